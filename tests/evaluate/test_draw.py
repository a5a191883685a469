"""Contact sheets, confusion pictures and curves: what must be in them, and what may not break them."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperclip.errors import InputError, MissingExtraError
from hyperclip.evaluate import typography
from hyperclip.evaluate.contact_sheet import _n_columns
from hyperclip.evaluate.draw import Tile, contact_sheet, draw_confusion, draw_curves
from hyperclip.evaluate.tile import TileLayout, format_percent
from hyperclip.evaluate.typography import drawable_with, ellipsize, text_width, wrap, write

GREEN, RED, BLUE = (24, 140, 104), (206, 74, 52), (52, 106, 214)


def photo(color: tuple[int, int, int] = (120, 90, 60), size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, color)


def tile(*predictions: tuple[str, float], truth: str | None = None, image: Image.Image | None = None) -> Tile:
    return Tile(image=image or photo(), predictions=predictions or (("cat", 0.7), ("dog", 0.3)), truth=truth)


def sheet(tmp_path: Path, tiles: list[Tile], **options: object) -> np.ndarray:
    path = tmp_path / "sheet.png"
    contact_sheet(tiles, path, title="Title", **options)  # type: ignore[arg-type]
    with Image.open(path) as image:
        assert image.mode == "RGB"
        return np.asarray(image).astype(int)


def share_of(pixels: np.ndarray, color: tuple[int, int, int]) -> float:
    """Return the share of pixels that have exactly this color."""
    return float((pixels == color).all(axis=-1).mean())


# --- contact sheet -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_tiles", [1, 2, 3, 4, 5, 6, 7, 13])
def test_every_photograph_is_on_the_sheet(tmp_path: Path, n_tiles: int) -> None:
    colors = [(10 + 7 * i, 255 - 7 * i, 40) for i in range(n_tiles)]
    pixels = sheet(tmp_path, [tile(image=photo(color)) for color in colors])
    assert all(share_of(pixels, color) > 0.2 / (2 * n_tiles) for color in colors)
    height, width, _ = pixels.shape
    assert 0.4 < width / height < 2.4


def test_a_sheet_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        contact_sheet([tile(truth="dog")], tmp_path / name, title="T", subtitle="s", footer="f")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_right_wrong_and_unknown_have_their_colors(tmp_path: Path) -> None:
    right, wrong, unknown = (sheet(tmp_path, [tile(truth=truth)]) for truth in ("Cat ", "dog", None))
    assert share_of(right, GREEN) > 0
    assert share_of(right, RED) == share_of(right, BLUE) == 0
    assert share_of(wrong, RED) > 0
    assert share_of(wrong, GREEN) > 0  # the bar of the right name
    assert share_of(wrong, BLUE) == 0
    assert share_of(unknown, BLUE) > 0
    assert share_of(unknown, RED) == share_of(unknown, GREEN) == 0


def test_the_longer_bar_belongs_to_the_larger_probability(tmp_path: Path) -> None:
    shares = [share_of(sheet(tmp_path, [tile(("cat", p))]), BLUE) for p in (0.0, 0.1, 0.5, 1.0)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[3] == pytest.approx(2 * shares[2], rel=0.05)  # round ends


def test_predictions_are_put_in_order() -> None:
    assert tile(("a", 0.1), ("b", 0.6), ("c", 0.3)).predictions == (("b", 0.6), ("c", 0.3), ("a", 0.1))
    assert tile(("a", np.float32(1.0000001)), ("b", -1e-9)).predictions == (("a", 1.0), ("b", 0.0))
    assert tile(("a", 0.1), ("b", 0.6), truth="B").is_right is True
    assert tile(("a", 0.1), ("b", 0.6), truth="a").is_right is False
    assert tile(("a", 0.1)).is_right is None


def test_percentages_call_nothing_certain_that_is_not() -> None:
    values = [0.0, 1e-9, 0.0049, 0.005, 0.014, 0.5, 0.994, 0.9951, 0.999999, 1.0]
    assert [format_percent(value) for value in values] == [
        *("0%", "<1%", "<1%", "1%", "1%", "50%", "99%", ">99%", ">99%", "100%")
    ]


def test_surplus_tiles_are_counted_and_not_drawn(tmp_path: Path) -> None:
    def many():  # type: ignore[no-untyped-def]
        for index in range(200):
            yield tile(image=photo((index, 0, 99)))

    contact_sheet(many(), tmp_path / "many.jpg", title="T", max_tiles=5)
    contact_sheet([tile(image=photo((i, 0, 99))) for i in range(5)], tmp_path / "five.jpg", title="T")
    with Image.open(tmp_path / "many.jpg") as cut, Image.open(tmp_path / "five.jpg") as five:
        assert cut.width == five.width
        assert 10 < cut.height - five.height < 60  # the line that says so
    pixels = sheet(tmp_path, [tile(image=photo((i, 0, 99))) for i in range(7)], max_tiles=5)
    assert share_of(pixels, (4, 0, 99)) > 0
    assert share_of(pixels, (5, 0, 99)) == 0


def test_only_what_some_tile_has_takes_space() -> None:
    bare = TileLayout.of([tile()], 4)
    full = TileLayout.of([tile(), Tile(image=photo(), predictions=[("a", 1)], meaning="m", caption="c")], 4)
    assert full.height / full.width > bare.height / bare.width
    assert TileLayout.of([tile(("a", 1.0))], 4).n_names == 1
    assert TileLayout.of([tile()] * 3, 1).height < TileLayout.of([tile()] * 3, 2).height


def test_grids_have_few_holes() -> None:
    for n_tiles in range(1, 33):
        n_columns = _n_columns(n_tiles, 0.75)
        assert 1 <= n_columns <= 8
        assert -n_tiles % n_columns <= n_columns // 2


def test_odd_tiles_do_not_break_a_sheet(tmp_path: Path) -> None:
    names = [
        "",
        " ",
        "x" * 3000,
        "word " * 500,
        "Ünï©ødé",
        "猫",
        "🐱👩‍🚀",
        "a\nb\t\x00\x1bc",
        "\ud800",
        "مرحبا",
        "नमस्ते",
    ]
    sizes = [(1, 1), (2000, 1), (1, 2000), (3000, 40), (24, 24)]
    tiles = [
        Tile(
            image=photo(size=sizes[i % len(sizes)]),
            predictions=[(name, 0.5), (name[::-1], 0.5)],
            truth=names[i - 1],
            meaning=name,
            caption=name,
        )
        for i, name in enumerate(names)
    ]
    path = tmp_path / "odd.png"
    contact_sheet(tiles, path, title=names[3], subtitle=names[2], footer=names[7])
    with Image.open(path) as image:
        assert image.width < 3000


def test_nothing_is_written_outside_a_tile(tmp_path: Path) -> None:
    long = "W" * 400
    tiles = [Tile(image=photo(), predictions=[(long, 1.0)], truth="x", meaning=long, caption=long)]
    pixels = sheet(tmp_path, tiles, subtitle=long, footer=long)
    assert (pixels[:, :40] == pixels[0, 0]).all()
    assert (pixels[:, -40:] == pixels[0, 0]).all()


def test_bad_tiles_and_paths_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no predictions"):
        Tile(image=photo(), predictions=[])
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="expected 0 to 1; pass probabilities"):
            tile(("cat", value))
    with pytest.raises(InputError, match="no pictures for a contact sheet"):
        contact_sheet([], tmp_path / "a.png", title="T")

    def never():  # type: ignore[no-untyped-def]
        raise AssertionError("the tiles were asked for")
        yield

    with pytest.raises(InputError, match=r"ends in '\.gif'; expected \.png or \.jpg"):
        contact_sheet(never(), tmp_path / "a.gif", title="T")
    with pytest.raises(InputError, match="no folder"):
        contact_sheet(never(), tmp_path / "gone" / "a.png", title="T")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        contact_sheet([tile()], path, title="T")
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"old"


# --- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["cup of coffee", "W" * 50, "iiii " * 40, "é猫🐱" * 20, ""])
@pytest.mark.parametrize("width", [40, 120, 400])
def test_ellipsized_text_fits(text: str, width: int) -> None:
    cut = ellipsize(text, width, size_px=20, weight=0.02)
    assert text_width(cut, size_px=20, weight=0.02) <= width
    assert cut == text or cut.endswith("…")


def test_ellipsis_cuts_as_little_as_possible() -> None:
    text = "a long name of a class"
    width = text_width(text, size_px=20)
    assert ellipsize(text, width, size_px=20) == text
    assert ellipsize(text, width - 1, size_px=20) == "a long name of a cla…"


def test_wrapped_text_keeps_its_words_and_its_width() -> None:
    text = "the quick brown fox jumps over the lazy dog"
    lines = wrap(text, 200, size_px=20, n_lines=5)
    assert " ".join(lines) == text
    assert len(lines) > 1
    assert all(text_width(line, size_px=20) <= 200 for line in lines)
    two = wrap(text * 5, 200, size_px=20, n_lines=2)
    assert len(two) == 2
    assert two[1].endswith("…")
    assert wrap("", 200, size_px=20, n_lines=2) == []


def test_text_is_as_wide_as_measured() -> None:
    for text, weight in [("cup of coffee", 0.0), ("cup of coffee", 0.018), ("Ünïcode", 0.018)]:
        canvas = Image.new("RGB", (600, 60), (255, 255, 255))
        write(canvas, (20, 40), text, size_px=30, color=(0, 0, 0), weight=weight)
        columns = np.flatnonzero((np.asarray(canvas) < 128).any(axis=(0, 2)))
        assert columns[-1] - columns[0] == pytest.approx(text_width(text, size_px=30, weight=weight), abs=5)
        right = Image.new("RGB", (600, 60), (255, 255, 255))
        write(right, (580, 40), text, size_px=30, color=(0, 0, 0), weight=weight, anchor="rs")
        assert np.flatnonzero((np.asarray(right) < 128).any(axis=(0, 2)))[-1] == pytest.approx(580, abs=4)


def test_characters_that_no_font_draws_are_replaced() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    font = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
    assert drawable_with(font, "cat é Ж") == "cat é Ж"
    assert drawable_with(font, "猫") == "[732B]"
    assert drawable_with(font, "\U0001f9a9") == "[flamingo]"
    assert drawable_with(font, "a\u200db\tc\ud800") == "ab c"


def test_without_further_fonts_names_stay_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typography, "_available_fonts", lambda: ())
    drawable = typography._drawable.__wrapped__  # past its cache
    assert drawable("café crème") == ("cafe creme", None)
    assert drawable("猫 🐱") == ("[732B] [cat face]", None)


# --- confusion and curves ----------------------------------------------------------------------


def random_confusion(n_classes: int) -> np.ndarray:
    wrong = np.random.default_rng(n_classes).integers(0, 3, (n_classes, n_classes))
    return wrong + 3 * n_classes * np.eye(n_classes, dtype=int)


@pytest.mark.parametrize("n_classes", [1, 2, 12, 40, 200])
def test_confusion_pictures_of_any_number_of_classes(tmp_path: Path, n_classes: int) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "confusion.png"
    draw_confusion(random_confusion(n_classes), [f"class {i}" for i in range(n_classes)], path)
    with Image.open(path) as image:
        pixels = np.asarray(image)
        assert 600 < image.width < 3000
    green = (pixels[..., 1].astype(int) - pixels[..., 0]) > 40
    assert green.mean() > 0.0005  # the diagonal


@pytest.mark.filterwarnings("error")
def test_confusion_pictures_with_odd_names_and_no_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    names = ["$x_1$", "$\\frac{", "猫 🐱", "long " * 100, "a\nb", "\ud800"]
    draw_confusion(random_confusion(6), names, tmp_path / "names.jpg")
    draw_confusion(np.zeros((2, 2), int), ["a", "b"], tmp_path / "empty.png")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["empty.png", "names.jpg"]


def test_confusion_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"shape \(2, 2\); expected \(3, 3\)"):
        draw_confusion(np.zeros((2, 2)), ["a", "b", "c"], tmp_path / "a.png")
    with pytest.raises(InputError, match=r"expected \.png or \.jpg"):
        draw_confusion(np.zeros((1, 1)), ["a"], tmp_path / "a.svg")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (
        lambda: draw_confusion([[1]], ["a"], tmp_path / "a.png"),
        lambda: draw_curves([{"step": 1, "loss": 2.0}], tmp_path / "a.png"),
    ):
        with pytest.raises(MissingExtraError, match=r"run `pip install 'hyperclip\[report\]'`"):
            draw()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("error")
def test_curves_of_a_log_with_gaps(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows: list[dict[str, float]] = [{"step": i, "loss": 1 / (i + 1)} for i in range(200)]
    rows[10]["eval/top1"] = 0.5
    rows[20]["eval/top1"] = float("nan")
    rows[30]["grad_norm"] = float("inf")
    draw_curves(rows, tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        pixels = np.asarray(image).astype(int)
    assert (pixels[..., 2] - pixels[..., 0] > 60).any()  # blue lines
    draw_curves([{"step": 1}], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
