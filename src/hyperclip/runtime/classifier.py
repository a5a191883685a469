"""A classifier file in Python, with the words and habits of scikit-learn."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.atomic import write_file
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError, InputError, NotSpecializedError
from hyperclip.runtime.assemble import fingerprint_of
from hyperclip.runtime.decode_ahead import decode_batches
from hyperclip.runtime.file_fingerprint import file_fingerprint
from hyperclip.runtime.metadata import Metadata
from hyperclip.runtime.model_file import parse_model, read_model_file
from hyperclip.runtime.session import Session

if TYPE_CHECKING:
    import onnx

    from hyperclip.runtime.preprocess import ImageSource

__all__ = ["Classifier", "softmax"]

BATCH_SIZE = 16
OUTPUTS = ("logits", "embedding")

FloatArray = npt.NDArray[np.float32]


class Classifier:
    """Tells the classes of one classifier file apart.

    Images are given as paths, the bytes of image files, PIL images, uint8 RGB arrays of shape
    (height, width, 3), an array of shape (n_images, height, width, 3), or any iterable of these.
    One image alone is treated as a list of one.

    Parameters
    ----------
    data : bytes, optional
        Content of a classifier file; `Classifier.load` reads one. Without it there are no classes yet.
    n_threads : int, optional
        Threads for computing; by default at most four.
    verify : bool
        Whether to compare the content with the fingerprint in it. Turn it off for a file that another
        program changed on purpose.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), str
        Class names in the order of the logits.
    metadata : Metadata
        What the file says about itself.

    Raises
    ------
    BundleError
        If the data are no intact classifier file.
    """

    def __init__(
        self, data: bytes | None = None, *, n_threads: int | None = None, verify: bool = True
    ) -> None:
        self._n_threads = n_threads
        self._data: bytes | None = None
        self._session: Session | None = None
        if data is not None:
            self._take(data, where="The classifier", verify=verify)

    @classmethod
    def load(cls, path: str | Path, *, n_threads: int | None = None, verify: bool = True) -> "Classifier":
        """Read a classifier file.

        Parameters
        ----------
        path : str or Path
            A file that `save` or ``hyperclip specialize`` wrote.
        n_threads, verify
            As in the class.

        Raises
        ------
        BundleError
            If the file is missing, too large, damaged, hostile or no classifier.
        """
        classifier = cls(n_threads=n_threads)
        classifier._take(read_model_file(path), where=quote(str(path), 300), verify=verify)
        return classifier

    def _take(self, data: bytes, *, where: str, verify: bool) -> None:
        """Check a classifier file and keep it."""
        model = parse_model(data, where=where)
        props = {entry.key: entry.value for entry in model.metadata_props}
        metadata = Metadata.from_props(props, where=where)
        if verify and not _is_untouched(data, model, metadata.fingerprint):
            raise BundleError(
                f"{where} was changed or damaged after it was written (its fingerprint differs); expected an "
                "untouched classifier file; specialize again, or load it with verify=False."
            )
        names = [value.name for value in model.graph.output]
        if [value.name for value in model.graph.input] != ["images"] or names != list(OUTPUTS):
            raise BundleError(
                f"{where} has the outputs {quote(names)}; expected an input images and the outputs logits "
                "and "
                "embedding; specialize again."
            )
        self._data, self._where = data, where
        self._metadata = metadata
        self._classes = np.array(metadata.class_names, dtype=np.str_)

    def _content(self) -> bytes:
        """Return the file's bytes, or say that there is nothing to work with yet."""
        if self._data is None:
            raise NotSpecializedError(
                "This classifier has no class names yet; expected one made from names; use "
                "`hyperclip.load('small').specialize(['cat', 'dog'])` or `Classifier.load(path)`."
            )
        return self._data

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """Class names in the order of the logits, shape (n_classes,)."""
        self._content()
        return self._classes

    @property
    def metadata(self) -> Metadata:
        """What the file says about itself."""
        self._content()
        return self._metadata

    def __repr__(self) -> str:
        if self._data is None:
            return "Classifier(no classes)"
        names = [quote(name, 30) for name in self._metadata.class_names]
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        return f"Classifier({len(names)} {'class' if len(names) == 1 else 'classes'}: {shown})"

    def predict(self, images: "ImageSource | Iterable[ImageSource]") -> npt.NDArray[np.str_]:
        """Return the most probable class name of each image, shape (n_images,)."""
        best = self.decision_function(images).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, images: "ImageSource | Iterable[ImageSource]") -> FloatArray:
        """Return the probability of each class.

        Returns
        -------
        ndarray of shape (n_images, n_classes), float32
            Each row sums to 1; where the model's activation is the sigmoid, each value stands alone.
        """
        return self.probabilities(self.decision_function(images))

    def probabilities(self, logits: FloatArray) -> FloatArray:
        """Return the probabilities that belong to logits of shape (n_images, n_classes)."""
        metadata = self.metadata
        scaled = logits.astype(np.float64) / (metadata.temperature or 1.0)
        if metadata.head.activation == "sigmoid":
            return (0.5 * (1.0 + np.tanh(0.5 * scaled))).astype(np.float32)
        return softmax(scaled).astype(np.float32)

    def decision_function(self, images: "ImageSource | Iterable[ImageSource]") -> FloatArray:
        """Return the logits, shape (n_images, n_classes), float32."""
        return self._run(images)[0]

    def embed(self, images: "ImageSource | Iterable[ImageSource]") -> FloatArray:
        """Return the embeddings that the head works on, shape (n_images, dim), float32."""
        return self._run(images)[1]

    def run_pixels(self, pixels: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
        """Return logits and embeddings of decoded images of equal size.

        Parameters
        ----------
        pixels : ndarray of shape (n_images, height, width, 3), uint8
            RGB; the file resizes them itself.
        """
        if self._session is None:
            self._session = Session(self._content(), where=self._where, n_threads=self._n_threads)
        logits, embedding = self._session.run(OUTPUTS, {"images": pixels})
        expected = (len(pixels), len(self._classes))
        if logits.shape != expected:
            raise BundleError(
                f"{self._where} gives logits of shape {logits.shape}; expected {expected}; specialize again."
            )
        return cast(FloatArray, logits), cast(FloatArray, embedding)

    def _run(self, images: "ImageSource | Iterable[ImageSource]") -> tuple[FloatArray, FloatArray]:
        """Decode images and run them in batches."""
        batches = decode_batches(_each(images), spec=self.metadata.images, batch_size=BATCH_SIZE)
        logits: list[FloatArray] = [np.zeros((0, len(self._classes)), np.float32)]
        embeddings: list[FloatArray] = [np.zeros((0, self.metadata.head.dim), np.float32)]
        for batch in batches:
            pixels: list[npt.NDArray[np.uint8]] = []
            for _, decoded in batch:
                if isinstance(decoded, InputError):
                    raise decoded
                pixels.append(decoded)
            batch_logits, batch_embeddings = self.run_pixels(np.stack(pixels))
            logits.append(batch_logits)
            embeddings.append(batch_embeddings)
        return np.concatenate(logits), np.concatenate(embeddings)

    def to_bytes(self) -> bytes:
        """Return the classifier file."""
        return self._content()

    def save(self, path: str | Path) -> None:
        """Write the classifier file; the path is used as given, and a missing folder is an error.

        Raises
        ------
        InputError
            If it cannot be written there.
        """
        write_file(Path(path), self._content())

    def __getstate__(self) -> dict[str, Any]:
        """Leave the session out: it cannot be pickled and is made again when needed."""
        return {**self.__dict__, "_session": None}


def _is_untouched(data: bytes, model: "onnx.ModelProto", fingerprint: str | None) -> bool:
    """Tell whether the content is what the fingerprint was made of.

    The bytes as they are tell it at no cost in memory; a file that another program wrote anew, its content
    unchanged, needs the copy that is made of the model.
    """
    return fingerprint is not None and (
        file_fingerprint(data) == fingerprint or fingerprint_of(model) == fingerprint
    )


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the softmax over the last axis, safe for large values."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _each(images: "ImageSource | Iterable[ImageSource]") -> "Iterator[ImageSource]":
    """Iterate over images; one image alone counts as a list of one."""
    if isinstance(images, np.ndarray):
        is_alone = images.ndim != 4 and images.dtype != object  # a wrong shape is refused by `decode`
    else:
        is_alone = isinstance(images, str | bytes | os.PathLike) or not hasattr(images, "__iter__")
    return iter([cast("ImageSource", images)] if is_alone else cast("Iterable[ImageSource]", images))
