"""A picture to a name: with a classifier file, and with open_clip as its documentation does it."""

from pathlib import Path
from typing import Any

from benchmarks.import_clip.names import NAMES

__all__ = ["FilePipeline", "SourcePipeline", "write_photographs", "write_weights"]

TEMPLATE = "a photo of a {}."


class FilePipeline:
    """Needs neither PyTorch nor the model."""

    def __init__(self, file: Path, *, n_threads: int | None = None) -> None:
        from hyperclip import Classifier

        self._classifier = Classifier.load(file, n_threads=n_threads)

    def predict(self, path: Path) -> str:
        """The best of the names."""
        return str(self._classifier.predict([path])[0])


class SourcePipeline:
    """Model, transforms and tokenizer of open_clip; the names are read once."""

    def __init__(self, name: str, weights: Path) -> None:
        import open_clip
        import torch

        self._model, _, self._preprocess = open_clip.create_model_and_transforms(
            name, pretrained=str(weights), pretrained_text=False
        )
        self._model.eval()
        tokens = open_clip.get_tokenizer(name)([TEMPLATE.replace("{}", one) for one in NAMES])
        with torch.inference_mode():
            self._text = self._model.encode_text(tokens, normalize=True)

    def predict(self, path: Path) -> str:
        """The best of the names."""
        import torch
        from PIL import Image

        with torch.inference_mode(), Image.open(path) as image:
            vector = self._model.encode_image(self._preprocess(image)[None], normalize=True)
            return NAMES[int((vector @ self._text.T).argmax())]


def write_photographs(folder: Path) -> list[Path]:
    """Write photographs of many shapes as JPEG files."""
    from hyperclip.export.import_pictures import comparison_pictures

    paths = []
    for index, picture in enumerate(comparison_pictures()[0]):
        paths.append(folder / f"{index:02d}.jpg")
        picture.save(paths[-1], quality=92)
    return paths


def write_weights(name: str, path: Path) -> Path:
    """Write the random weights that `one` imported, where they are no longer there."""
    import open_clip
    import torch
    from benchmarks.import_clip.small_models import lively
    from safetensors.torch import save_file

    if not path.exists():
        torch.manual_seed(0)
        made: Any = lively(open_clip.create_model(name, pretrained_text=False))
        save_file({key: value.clone().contiguous() for key, value in made.state_dict().items()}, path)
    return path
