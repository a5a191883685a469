"""The towers of an imported CLIP, built again from the model folder that ``hyperclip import`` wrote.

``source.json`` says what builds them; with ``--trainable`` the folder also has their weights. Sizes and
checksums are verified, nothing is downloaded, and no pickle is opened.

Legend: n texts or pictures, T tokens, S pixels of a side, E width of the shared space.
"""

import inspect
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from hyperclip.bundle.checksum import read_capped
from hyperclip.bundle.files import read_verified, verify_file
from hyperclip.bundle.manifest import MANIFEST_NAME, Manifest
from hyperclip.bundle.strict import parse_json
from hyperclip.errors import BundleError, InputError, MissingExtraError
from hyperclip.models.quiet_library import quiet_library

__all__ = ["WEIGHTS", "ImportedFolder", "is_imported", "load_imported"]

SOURCE, WEIGHTS = "source.json", "weights.safetensors"
MAX_JSON_BYTES = 4 * 2**20


def is_imported(folder: Path) -> bool:
    """Tell whether a folder looks like an imported model."""
    return (folder / MANIFEST_NAME).is_file() and (folder / SOURCE).is_file()


def load_imported(folder: Path) -> tuple[nn.Module, nn.Module]:
    """Load both towers of an imported CLIP with their weights.

    Parameters
    ----------
    folder : Path
        What ``hyperclip import --trainable`` wrote.

    Returns
    -------
    image_tower : torch.nn.Module
        (n, 3, S, S) float32, normalized as ``model.json`` says, to (n, E), of any length.
    text_tower : torch.nn.Module
        (n, T) int64 token ids and mask to (n, E), of any length.

    Raises
    ------
    InputError
        If it is no imported model, is damaged, or has no weights.
    MissingExtraError
        If the library that it comes from is not installed.
    """
    imported = ImportedFolder.open(folder)
    return imported.image_tower(with_weights=True), imported.text_tower(with_weights=True)


@dataclass(frozen=True, kw_only=True)
class ImportedFolder:
    """What an imported model says of itself; its towers are built when they are asked for."""

    folder: Path
    manifest: Manifest
    settings: Mapping[str, Any]
    """As ``source.json`` has them: the library, and what it needs to build the towers."""

    @classmethod
    def open(cls, folder: Path) -> "ImportedFolder":
        """Read ``model.json`` and ``source.json``.

        Raises
        ------
        InputError
            If one of them is missing or damaged.
        """
        with _as_input_error(folder):
            data = read_capped(folder / MANIFEST_NAME, max_bytes=MAX_JSON_BYTES)
            manifest = Manifest.from_json(data, where=str(folder / MANIFEST_NAME))
        if SOURCE not in manifest.files:
            raise InputError(
                f"{folder} is a model folder without {SOURCE}; expected one that `hyperclip import` wrote; "
                "import the model first."
            )
        with _as_input_error(folder):
            text = read_verified(folder / SOURCE, manifest.files[SOURCE], max_bytes=MAX_JSON_BYTES)
            settings = parse_json(text, where=SOURCE, max_bytes=MAX_JSON_BYTES)
        if not isinstance(settings, dict) or str(settings.get("library")) not in _BUILDERS:
            raise InputError(
                f"{folder / SOURCE} does not say what builds the towers; expected the library "
                f"{' or '.join(_BUILDERS)}; import the model again."
            )
        return cls(folder=folder, manifest=manifest, settings=settings)

    def image_tower(self, *, with_weights: bool) -> nn.Module:
        """Build the image tower, with the folder's weights or with random ones; see `load_imported`."""
        return self._tower(0, "image", with_weights)

    def text_tower(self, *, with_weights: bool) -> nn.Module:
        """Build the text tower, with the folder's weights or with random ones; see `load_imported`."""
        return self._tower(1, "text", with_weights)

    def tokenizer_json(self) -> bytes:
        """Return the verified ``tokenizer.json``."""
        with _as_input_error(self.folder):
            name = "tokenizer.json"
            return read_verified(self.folder / name, self.manifest.files[name], max_bytes=2**28)

    def _tower(self, place: int, part: str, with_weights: bool) -> nn.Module:
        if with_weights:
            self._check_weights()
        try:
            with quiet_library(is_offline=True):
                tower = _BUILDERS[self.settings["library"]](self.settings)[place]
        except (KeyboardInterrupt, SystemExit, MemoryError, MissingExtraError):
            raise
        except Exception as error:  # of the library, which may be of another version
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"The {part} tower of {self.folder} cannot be built ({type(error).__name__}: {reason}); "
                f"expected what {self.settings['library']} knows without a network; install the version that "
                "it was imported with, or import it again."
            ) from error
        if with_weights:
            self._fill(tower, part)
        return tower.float().eval()

    def _check_weights(self) -> None:
        entry = self.manifest.files.get(WEIGHTS)
        if entry is None:
            raise InputError(
                f"{self.folder} has no weights to train from ({WEIGHTS} is missing); expected a model that "
                "keeps them; import it again with --trainable."
            )
        with _as_input_error(self.folder):
            verify_file(self.folder / WEIGHTS, entry)

    def _fill(self, tower: nn.Module, part: str) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.folder / WEIGHTS, "pt") as file:
                names = [name for name in file.keys() if name.startswith(f"{part}.")]  # noqa: SIM118
                state = {name.removeprefix(f"{part}."): file.get_tensor(name) for name in names}
            tower.load_state_dict(state)
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"{self.folder / WEIGHTS} does not fit the {part} tower ({reason}); expected its tensors; "
                "import the model again with --trainable."
            ) from error


@contextmanager
def _as_input_error(folder: Path) -> Iterator[None]:
    """A damaged folder that a recipe names is a recipe that cannot be used."""
    try:
        yield
    except BundleError as error:
        raise InputError(f"The imported model {folder} cannot be used: {error}") from error


def _of_open_clip(settings: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
    from hyperclip.models.open_clip_towers import image_tower_of, text_tower_of

    try:
        import open_clip
    except ModuleNotFoundError as error:
        raise _missing(error, "open_clip") from error
    config = _without_downloads(dict(settings["config"]))
    known = inspect.signature(open_clip.create_model).parameters
    config = {key: value for key, value in config.items() if key.startswith("force_") or key not in known}
    options = {"pretrained_text": False, "load_weights": False, **config}
    if "folder_config" not in settings:
        name = str(settings["name"])
        if ":" in name:
            raise ValueError(f"{name!r} is no architecture")
        model = open_clip.create_model(name, **options)
    else:
        with tempfile.TemporaryDirectory() as place:
            described = json.dumps(_without_downloads(settings["folder_config"]))
            (Path(place) / "open_clip_config.json").write_text(described, encoding="utf-8")
            model = open_clip.create_model(f"local-dir:{place}", **options)
    return image_tower_of(model.float().eval()), text_tower_of(model)[0]


def _of_transformers(settings: Mapping[str, Any]) -> tuple[nn.Module, nn.Module]:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise _missing(error, "transformers") from error
    from hyperclip.models.transformers_towers import image_tower_of, text_tower_of

    kinds: dict[str, tuple[Any, Any]] = {
        "clip": (transformers.CLIPConfig, transformers.CLIPModel),
        "siglip": (transformers.SiglipConfig, transformers.SiglipModel),
    }
    config_class, model_class = kinds[settings["family"]]
    config = config_class.from_dict(settings["config"])
    model = model_class._from_config(config, attn_implementation="eager").float().eval()
    return image_tower_of(model), text_tower_of(model)[0]


_BUILDERS = {"open_clip": _of_open_clip, "transformers": _of_transformers}


def _without_downloads(value: Any) -> Any:
    """A configuration without the keys that make open_clip fetch weights of its own."""
    if isinstance(value, Mapping):
        return {key: _without_downloads(item) for key, item in value.items() if "pretrained" not in key}
    return value


def _missing(error: ModuleNotFoundError, library: str) -> Exception:
    """What to raise where a library of the extra cannot be imported."""
    if error.name != library:
        return error  # a broken install must not look like a missing extra
    return MissingExtraError(
        f"Training an imported model needs {library}, which is not installed; expected the extra `import`; "
        "run `pip install 'hyperclip[import]'`."
    )
