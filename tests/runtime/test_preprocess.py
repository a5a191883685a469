"""Pictures as people have them: each gives the right pixels or one sentence."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperclip.bundle.manifest import ImageSpec
from hyperclip.errors import InputError
from hyperclip.runtime.preprocess import MAX_PIXELS, decode, fit_image, load_image, spec_before_crop

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def make_spec(
    size_px: int = 32, resize: str = "crop", crop_ratio: float = 1.0, interpolation: str = "bicubic"
) -> ImageSpec:
    return ImageSpec(
        size_px=size_px,
        resize=resize,
        crop_ratio=crop_ratio,
        interpolation=interpolation,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


def photo(width: int = 160, height: int = 120, seed: int = 0) -> Image.Image:
    """A smooth random picture, which lossy formats keep."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


# --- kinds of pictures -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    loaded = load_image(saved(photo(), kind))
    assert loaded.mode == "RGB"
    assert np.array_equal(pixels(loaded), pixels(photo()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
def test_lossy_formats_keep_the_picture(kind: str) -> None:
    if kind not in Image.registered_extensions().values():
        pytest.skip(f"this Pillow has no {kind}")
    loaded = load_image(saved(photo(), kind, quality=95))
    assert np.abs(pixels(loaded) - pixels(photo())).mean() < 4  # lossy at quality 95


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_turns_the_picture_upright_once(orientation: int, kind: str) -> None:
    # Four corners of different brightness tell all eight orientations apart.
    upright = np.zeros((40, 60), np.uint8)
    upright[:20, :30], upright[:20, 30:], upright[20:, :30], upright[20:, 30:] = 0, 80, 160, 240
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = load_image(saved(Image.fromarray(stored).convert("RGB"), kind, exif=exif))
    assert loaded.size == (60, 40)
    again = load_image(loaded)
    for x, y, level in [(10, 10, 0), (50, 10, 80), (10, 30, 160), (50, 30, 240)]:
        assert abs(pixels(loaded)[y, x, 0] - level) < 12  # JPEG and WebP are lossy
        assert abs(pixels(again)[y, x, 0] - level) < 12


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_does_not_cost_the_picture() -> None:
    data = saved(photo(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40)
    assert load_image(data).size == (160, 120)


def test_see_through_pixels_become_white() -> None:
    rgba = Image.new("RGBA", (4, 1))
    for x, value in enumerate([(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128), (0, 0, 255, 0)]):
        rgba.putpixel((x, 0), value)
    loaded = load_image(saved(rgba, "PNG"))
    assert [loaded.getpixel((x, 0)) for x in range(4)] == [RED, WHITE, (127, 127, 127), WHITE]


def test_gray_with_alpha_becomes_white_where_see_through() -> None:
    image = Image.new("LA", (2, 1))
    image.putpixel((0, 0), (40, 255))
    image.putpixel((1, 0), (40, 0))
    loaded = load_image(saved(image, "PNG"))
    assert [loaded.getpixel((x, 0)) for x in range(2)] == [(40, 40, 40), WHITE]


def palette_picture() -> Image.Image:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255] + [0] * 759)
    for x in range(3):
        image.putpixel((x, 0), x)
    return image


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {"transparency": 1}), ("PNG", {"transparency": b"\xff\x00\xff"}), ("GIF", {"transparency": 1})],
)
def test_palette_with_transparency(kind: str, options: dict[str, object]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = load_image(saved(palette_picture(), kind, **options))
    assert [loaded.getpixel((x, 0)) for x in range(3)] == [RED, WHITE, BLUE]


def test_palette_without_transparency() -> None:
    loaded = load_image(saved(palette_picture(), "PNG"))
    assert [loaded.getpixel((x, 0)) for x in range(3)] == [RED, GREEN, BLUE]


def test_one_transparent_color_in_rgb_becomes_white() -> None:
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), GREEN)
    loaded = load_image(saved(image, "PNG", transparency=GREEN))
    assert [loaded.getpixel((x, 0)) for x in range(2)] == [RED, WHITE]


def test_cmyk_jpeg_has_its_colors() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, full magenta and yellow: red
    red, green, blue = load_image(saved(cmyk, "JPEG", quality=95)).getpixel((8, 8))
    assert (red > 245, green < 10, blue < 10) == (True, True, True)


def test_black_and_white_of_one_bit() -> None:
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    assert pixels(load_image(saved(image, "PNG"))).tolist() == [[[0, 0, 0], [255, 255, 255]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_gray_is_scaled_and_not_clipped(kind: str) -> None:
    values = np.array([[0, 257, 32768, 65535]], np.uint16)
    loaded = pixels(load_image(saved(Image.fromarray(values), kind)))
    assert loaded[0, :, 0].tolist() == [0, 1, 128, 255]
    assert (loaded == loaded[..., :1]).all()


def test_dark_16_bit_gray_is_not_taken_for_8_bit() -> None:
    values = np.full((4, 4), 200, np.uint16)
    for kind in ("PNG", "TIFF", "PPM"):
        assert load_image(saved(Image.fromarray(values), kind)).getpixel((0, 0)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.25, 0.5, 1.0], [0, 64, 128, 255]),
        ([0.0, 64.0, 128.0, 255.0], [0, 64, 128, 255]),
        ([0.0, 257.0, 32768.0, 65535.0], [0, 1, 128, 255]),
        ([-1.0, 0.0, 0.5, 1.0], [0, 128, 191, 255]),
        ([np.nan, np.inf, -np.inf, 0.5], [0, 255, 0, 128]),
        ([np.nan, np.nan, np.nan, np.nan], [0, 0, 0, 0]),
        ([7e5, 7e5, 7e5, 7e5], [255, 255, 255, 255]),
    ],
)
def test_float_tiff_is_scaled_by_its_range(values: list[float], expected: list[int]) -> None:
    data = saved(Image.fromarray(np.array([values], np.float32)), "TIFF")
    assert pixels(load_image(data))[0, :, 0].tolist() == expected


def test_32_bit_integer_tiff_is_scaled_by_its_range() -> None:
    values = np.array([[0, 1_000_000, 2_000_000]], np.int32)
    assert pixels(load_image(saved(Image.fromarray(values), "TIFF")))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation_counts(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), color) for color in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50, **options)
    assert load_image(data).getpixel((10, 10)) == RED


def test_first_page_of_a_tiff_and_first_picture_of_an_mpo() -> None:
    pages = [Image.new("RGB", (32, 32), color) for color in (RED, BLUE)]
    assert load_image(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])).getpixel((5, 5)) == RED
    mpo = saved(pages[0], "MPO", save_all=True, append_images=pages[1:])
    assert load_image(mpo, min_side_px=8).getpixel((2, 2))[0] > 245


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_one_pixel_becomes_a_whole_square(kind: str) -> None:
    for resize in ("crop", "squash"):
        square = decode(saved(Image.new("RGB", (1, 1), WHITE), kind), spec=make_spec(resize=resize))
        assert square.shape == (32, 32, 3)
        assert (square == 255).all()


# --- sources -----------------------------------------------------------------------------------


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "ein Bild mit Ünï©ode 猫.png"
    path.write_bytes(saved(photo(), "PNG"))
    with Image.open(path) as opened:
        sources = [path, str(path), path.read_bytes(), photo(), np.array(photo()), opened]
        squares = [decode(source, spec=make_spec()) for source in sources]
    assert all(np.array_equal(square, squares[0]) for square in squares)


def test_the_callers_picture_is_not_changed() -> None:
    image = photo()
    image.info["transparency"] = (1, 2, 3)
    loaded = load_image(image)
    loaded.putpixel((0, 0), GREEN)
    assert image.info == {"transparency": (1, 2, 3)}
    assert image.getpixel((0, 0)) != GREEN

    array = np.array(photo())
    load_image(array).putpixel((0, 0), GREEN)
    assert np.array_equal(array, np.array(photo()))


def test_strided_and_read_only_arrays_are_read() -> None:
    array = np.array(photo())[::2, ::-1]
    array.flags.writeable = False
    assert np.array_equal(np.asarray(load_image(array)), array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected \(height, width, 3\) and uint8"):
        load_image(array)


def test_other_objects_and_empty_pictures_are_refused() -> None:
    with pytest.raises(InputError, match="An image is of type int; expected a path"):
        load_image(3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="0 x 5 pixels"):
        load_image(Image.new("RGB", (0, 5)))


# --- bad files ---------------------------------------------------------------------------------


def refusal(source: object) -> str:
    """Return the sentence with which a source is refused."""
    with pytest.raises(InputError) as caught:
        load_image(source)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    assert len(message.encode()) < 1500
    assert message.endswith(".")
    return message


def test_bad_paths_are_named_in_one_sentence(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.jpg") == (
        f"'{tmp_path / 'gone.jpg'}' does not exist; expected a picture; check the spelling."
    )
    assert "is a folder" in refusal(tmp_path)
    assert "cannot be opened" in refusal("a\0b.png")
    assert "cannot be opened" in refusal("x" * 5000)
    inside_a_file = tmp_path / "file"
    inside_a_file.write_bytes(b"x")
    assert "Not a directory" in refusal(inside_a_file / "a.png")
    assert "is not a regular file" in refusal(os.devnull)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "is not a regular file" in refusal(tmp_path / "pipe.png")


def test_missing_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(saved(photo(), "PNG"))

    def deny(*_: object, **__: object) -> None:  # chmod would not stop a test that runs as root
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", deny)
    message = refusal(path)
    assert message.startswith(f"'{path}' cannot be opened (Permission denied)")


def test_files_that_are_no_pictures_are_named(tmp_path: Path) -> None:
    for content, words in [
        (b"", "is empty"),
        (b"P", "is not a picture"),
        (b"hello, world\n" * 50, "is not a picture"),
        (b"%PDF-1.7\n", "is not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "is not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0" * 4, "is a HEIC picture"),
    ]:
        path = tmp_path / "picture.jpg"
        path.write_bytes(content)
        message = refusal(path)
        assert message.startswith(f"'{path}' {words}")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_a_cut_off_file_is_refused(kind: str) -> None:
    data = saved(photo(), kind)
    message = refusal(data[: len(data) // 2])
    assert message.startswith("The given data is a damaged or unusual")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF"])
def test_random_damage_gives_a_picture_or_one_sentence(kind: str) -> None:
    if kind not in Image.registered_extensions().values():
        pytest.skip(f"this Pillow has no {kind}")
    rng = np.random.default_rng(7)
    data = np.frombuffer(saved(photo(48, 40), kind), np.uint8)
    for _ in range(60):
        broken = data.copy()
        broken[rng.integers(0, min(len(data), 400), size=rng.integers(1, 12))] = rng.integers(0, 256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on damaged metadata
            try:
                outcome = load_image(broken.tobytes()).mode
            except InputError as error:
                outcome = str(error)
        assert outcome == "RGB" or outcome.startswith("The given data ")
        assert "\n" not in outcome


def test_messages_stay_on_one_printable_line(tmp_path: Path) -> None:
    path = tmp_path / "evil\n\x1b[31mname\udcff.png"
    path.write_bytes(b"nothing")
    message = refusal(path)
    assert message.isprintable()
    assert r"evil\n\x1b[31mname\udcff.png' is not a picture" in message
    assert refusal(b"x" * 20).startswith("The given data is not a picture")


def test_the_name_that_the_caller_gives_is_used() -> None:
    with pytest.raises(InputError, match=r"^'test\.parquet, row 3' is empty"):
        decode(b"", spec=make_spec(), name="test.parquet, row 3")


# --- large pictures ----------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    """A PNG that only claims to be large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"\0" * 20) + chunk(b"IEND", b"")


def test_more_than_120_megapixels_are_refused_before_decoding() -> None:
    assert MAX_PIXELS == 120_000_000
    message = refusal(png_header(60_000, 50_000))
    assert message == (
        "The given data has 60000 x 50000 pixels, 3000 megapixels; "
        "expected at most 120; make it smaller first."
    )


@pytest.mark.parametrize("size", [(800, 600), (4000, 3000)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_shrinking_while_decoding_changes_little(kind: str, size: tuple[int, int]) -> None:
    data = saved(photo(*size), kind, **({"compress_level": 1} if kind == "PNG" else {}))
    exact = fit_image(load_image(data), spec=make_spec(96)).astype(int)
    quick = decode(data, spec=make_spec(96)).astype(int)
    assert np.abs(quick - exact).mean() < 1  # of 255 levels: the crop starts up to one shrunk pixel beside
    assert np.abs(quick - exact).max() <= 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("size", [(300, 200), (700, 500), (5000, 1700), (9000, 1000), (4100, 4000)])
def test_shrinking_while_decoding_keeps_twice_the_size_needed(kind: str, size: tuple[int, int]) -> None:
    loaded = load_image(saved(Image.new("RGB", size), kind), min_side_px=448)
    assert min(loaded.size) >= min(448, *size)
    assert abs(loaded.width / loaded.height - size[0] / size[1]) < 0.02 * size[0] / size[1]


def test_reducing_in_strips_equals_reducing_at_once() -> None:
    rng = np.random.default_rng(3)
    rgba = Image.fromarray(rng.integers(0, 256, (2003, 4001, 4), dtype=np.uint8))
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    at_once = Image.alpha_composite(white, rgba).convert("RGB").reduce(5)
    loaded = load_image(rgba, min_side_px=400)
    assert loaded.size == (801, 401)
    assert np.array_equal(pixels(loaded), pixels(at_once))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("kind", ["JPEG", "PNG-palette", "PNG-alpha", "TIFF-16"])
def test_100_megapixels_stay_within_bounded_memory(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "huge"
    mode, value = {
        "JPEG": ("RGB", (200, 30, 40)),
        "PNG-palette": ("P", 0),
        "PNG-alpha": ("RGBA", (255, 0, 0, 128)),
        "TIFF-16": ("I;16", 40000),
    }[kind]
    image = Image.new(mode, (10_000, 10_000), value)
    image.save(path, kind.split("-")[0], **({"compress_level": 1} if "PNG" in kind else {}))
    del image
    program = (
        "import sys, warnings; warnings.simplefilter('error');"
        "from hyperclip.runtime.preprocess import decode; from hyperclip.bundle.manifest import ImageSpec;"
        "spec = ImageSpec(size_px=224, resize='crop', crop_ratio=1.0, interpolation='bicubic',"
        " mean=(.5,.5,.5), std=(.5,.5,.5));"
        "assert decode(sys.argv[1], spec=spec).shape == (224, 224, 3);"
        "from pathlib import Path; print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert result.stderr == ""
    bytes_per_pixel = {"JPEG": 0, "PNG-palette": 1, "PNG-alpha": 4, "TIFF-16": 2}[kind]
    peak_mb = int(result.stdout) / 1024
    assert peak_mb < 100 * bytes_per_pixel + 250  # the decoded picture once, and a strip


# --- fitting -----------------------------------------------------------------------------------


def test_crop_takes_the_middle_square() -> None:
    image = Image.new("RGB", (300, 100), RED)
    image.paste(Image.new("RGB", (100, 100), BLUE), (100, 0))
    assert (fit_image(image, spec=make_spec()) == np.array(BLUE)).all()
    assert (fit_image(image.rotate(90, expand=True), spec=make_spec()) == np.array(BLUE)).all()


def test_squash_keeps_the_whole_picture() -> None:
    image = Image.new("RGB", (300, 100), RED)
    image.paste(Image.new("RGB", (150, 100), BLUE), (150, 0))
    square = fit_image(image, spec=make_spec(resize="squash"))
    assert square[:, :14].tolist() == np.broadcast_to(RED, (32, 14, 3)).tolist()
    assert square[:, 18:].tolist() == np.broadcast_to(BLUE, (32, 14, 3)).tolist()


@pytest.mark.parametrize(("size", "ratio", "box"), [
    ((101, 60), 0.875, (24, 3, 77, 56)),  # 52.5 rounds up to 53
    ((7, 4), 0.1, (3, 1, 4, 2)),  # never less than one pixel
    ((64, 48), 1.0, (8, 0, 56, 48)),
])  # fmt: skip
def test_crop_ratio_rounds_half_up(
    size: tuple[int, int], ratio: float, box: tuple[int, int, int, int]
) -> None:
    image = photo(*size, seed=5)
    expected = image.crop(box).resize((32, 32), Image.Resampling.BICUBIC)
    assert np.array_equal(fit_image(image, spec=make_spec(crop_ratio=ratio)), np.asarray(expected))


def test_a_crop_after_decoding_cuts_the_same_part() -> None:
    for size_px in (32, 96, 97, 224):
        for ratio in (0.05, 0.33, 0.5, 0.7, 0.875, 0.9, 0.95, 0.99, 1.0):
            spec = make_spec(size_px, crop_ratio=ratio)
            before = spec_before_crop(spec)
            assert before.crop_ratio == 1.0
            assert int(before.size_px * ratio + 0.5) == size_px or before.size_px == 2048
    image = photo(640, 480)
    spec = make_spec(96, crop_ratio=0.75)
    in_two_steps = fit_image(Image.fromarray(decode(image, spec=spec_before_crop(spec))), spec=spec)
    in_one_step = fit_image(image, spec=spec)
    assert np.abs(in_two_steps.astype(int) - in_one_step).max() <= 2  # rounding, and rims seen or not
    squash = make_spec(96, resize="squash", crop_ratio=0.5)
    assert spec_before_crop(squash) == squash


def test_interpolation_is_obeyed() -> None:
    image = photo(90, 90)
    expected = image.resize((32, 32), Image.Resampling.BILINEAR)
    square = fit_image(image, spec=make_spec(interpolation="bilinear"))
    assert np.array_equal(square, np.asarray(expected))
    assert not np.array_equal(square, fit_image(image, spec=make_spec()))


def test_only_rgb_is_fitted() -> None:
    with pytest.raises(InputError, match="mode 'L'; expected 'RGB'"):
        fit_image(Image.new("L", (5, 5)), spec=make_spec())


def test_threads_agree_with_one_another() -> None:
    data = [
        saved(photo(640, 480, seed), kind) for seed in range(3) for kind in ("JPEG", "PNG", "WEBP", "GIF")
    ]
    alone = [decode(item, spec=make_spec()) for item in data]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda item: decode(item, spec=make_spec()), data * 2))
    assert all(np.array_equal(together[i], alone[i % len(data)]) for i in range(len(together)))
