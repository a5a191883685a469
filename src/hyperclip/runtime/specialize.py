"""Class names to a classifier: the one thing that hyperclip is for."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hyperclip.bundle.manifest import ImageSpec, Manifest
from hyperclip.bundle.read import Bundle, read_bundle
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError, InputError
from hyperclip.runtime.assemble import assemble
from hyperclip.runtime.classifier import Classifier
from hyperclip.runtime.describe import describe
from hyperclip.runtime.fold import fold_norms
from hyperclip.runtime.graph import Graph, neutral_values, read_graph, write_generated
from hyperclip.runtime.hypernetwork import HYPERNETWORK, Hypernetwork
from hyperclip.runtime.model_file import parse_model
from hyperclip.runtime.specializer import Generated, Specializer
from hyperclip.runtime.texts import ClassTexts, collect_texts
from hyperclip.runtime.tokenizer import TextTokenizer
from hyperclip.zoo import find_bundle

if TYPE_CHECKING:
    from hyperclip.runtime.glossary import Glossary

__all__ = ["Model", "load"]

logger = logging.getLogger(__name__)

ENCODER = "encoder.onnx"
MAX_SHOWN = 5


def load(model: str | Path = "small", *, n_threads: int | None = None) -> "Model":
    """Load a model that makes classifiers from class names.

    Parameters
    ----------
    model : str or Path
        Name of a bundled model, or a model folder.
    n_threads : int, optional
        Threads for computing; by default at most four.

    Returns
    -------
    Model
        Its `specialize` makes classifiers.

    Raises
    ------
    InputError
        If there is no such model.
    BundleError
        If its folder is damaged.

    Examples
    --------
    >>> classifier = load("small").specialize(["cat", "dog"])  # doctest: +SKIP
    """
    return Model.load(find_bundle(model), n_threads=n_threads)


class Model:
    """A bundle, ready to make classifiers.

    Parameters
    ----------
    bundle : Bundle
        A verified model folder.
    n_threads : int, optional
        Threads for computing; by default at most four.

    Attributes
    ----------
    manifest : Manifest
        What the bundle says about itself.
    glossary : Glossary or None
        The meanings of names, where the bundle has them.
    """

    def __init__(self, bundle: Bundle, *, n_threads: int | None = None) -> None:
        self._bundle = bundle
        self._n_threads = n_threads
        self._tokenizer = TextTokenizer(bundle.files["tokenizer.json"], bundle.manifest.text)
        own = bundle.files.get(HYPERNETWORK)
        self._hypernetwork = None if own is None else Hypernetwork(own, bundle.manifest, n_threads=n_threads)
        self._specializer = Specializer(
            bundle.files["specializer.onnx"], self._tokenizer, bundle.manifest,
            with_generated=own is None and not _generates_for_another(bundle.manifest), n_threads=n_threads,
        )  # fmt: skip
        self._encoder = self._read_encoder()
        self.glossary = self._read_glossary()

    @classmethod
    def load(cls, folder: str | Path, *, n_threads: int | None = None) -> "Model":
        """Read and verify a model folder; raises `BundleError` if anything in it is wrong."""
        return cls(read_bundle(folder), n_threads=n_threads)

    def _read_encoder(self) -> Graph:
        """Take the encoder apart and check that it fits the manifest."""
        model = parse_model(self._bundle.files[ENCODER], where=ENCODER)
        graph = read_graph(model, where=ENCODER, input_name="images", output_name="embedding")
        dims = model.graph.output[0].type.tensor_type.shape.dim
        dim = dims[-1].dim_value if dims else 0
        if dim not in (0, self.manifest.head.dim):
            raise BundleError(
                f"{ENCODER} gives embeddings of {dim} numbers; expected {self.manifest.head.dim} as "
                "model.json "
                "says; get the model again."
            )
        neutral = np.zeros(self.manifest.n_generated, np.float32)
        write_generated(graph, neutral, self.manifest.generated, where=ENCODER)  # checks the layout
        return graph

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self._bundle.manifest

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the bundle; files made from it carry it."""
        return self._bundle.fingerprint

    @property
    def neutral_parameters(self) -> npt.NDArray[np.float32]:
        """The generated parameters that the encoder holds without a task, shape (n_generated,), float32."""
        return neutral_values(self._encoder, self.manifest.generated)

    def _read_glossary(self) -> "Glossary | None":
        """Return the meanings of names, or None where the bundle has none."""
        data = self._bundle.files.get("glossary.bin")
        if data is None:
            return None
        from hyperclip.runtime.glossary import Glossary

        glossary = Glossary.read(data)
        if glossary.text_dim not in (None, self.manifest.head.text_dim):
            raise BundleError(
                f"glossary.bin has class vectors of {glossary.text_dim} numbers; expected "
                f"{self.manifest.head.text_dim} as model.json says; get the model again."
            )
        return glossary

    def borrow_glossary(self, model: str | Path = "small") -> None:
        """Look meanings up in another model's glossary; they are read as texts, never as its vectors.

        Whether that helps depends on what the text encoder was trained on: measure it.

        Parameters
        ----------
        model : str or Path
            Name of a bundled model, or a model folder.

        Raises
        ------
        InputError
            If there is no such model, or it has no glossary.
        """
        from hyperclip.runtime.glossary import Glossary

        data = read_bundle(find_bundle(model)).files.get("glossary.bin")
        if data is None:
            raise InputError(
                f"The model {quote(str(model))} has no glossary; expected one that has; 'small' has one."
            )
        self.glossary = Glossary.read(data).words_only()

    def embed_text(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the unit vectors of texts, shape (n_texts, text_dim), float32; no template is added."""
        if isinstance(texts, str) or len(texts) == 0:
            raise InputError(f"The texts are {quote(texts)}; expected a list of at least one; pass a list.")
        return self._specializer.embed(list(texts))

    def text_rows(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the rows that texts have in a head, each as if it were a class, shape (n_texts, width)."""
        return self._specializer.generate(self.embed_text(texts)).head

    def unreadable(self, class_names: Sequence[str]) -> list[str]:
        """Return those names that the tokenizer cannot read, so that only their meaning counts."""
        return self._tokenizer.find_unreadable(list(class_names))

    def texts(
        self,
        class_names: Sequence[str],
        *,
        templates: Sequence[str] | None = None,
        descriptions: Mapping[str, str] | None = None,
        phrasings: Mapping[str, Sequence[str]] | None = None,
        use_glossary: bool = True,
    ) -> ClassTexts:
        """Return the meanings that would be chosen and the texts that would be read; see `specialize`."""
        return collect_texts(
            class_names,
            templates=self.manifest.text.templates if templates is None else templates,
            descriptions=descriptions or {},
            phrasings=phrasings or {},
            glossary=self.glossary if use_glossary else None,
        )

    def generate(
        self, texts: ClassTexts, *, on_progress: Callable[[int, int], None] = lambda n_done, n_all: None
    ) -> Generated:
        """Return head, bias and encoder parameters for the classes of `texts`.

        The parameters do not depend on the order of the classes, to the last bit: the classes are
        always brought into the same order first.
        """
        class_text = texts.mean_by_class(self._specializer.embed(texts.all_texts(), on_progress=on_progress))
        order = sorted(range(len(texts.class_names)), key=lambda index: texts.class_names[index])
        generated = self._specializer.generate(class_text[order])
        if self._hypernetwork is not None:
            generated = generated._replace(parameters=self._hypernetwork.generate(class_text[order]))
        place = np.argsort(order)
        return generated._replace(head=generated.head[place], bias=generated.bias[place])

    def specialize(
        self,
        class_names: Sequence[str],
        *,
        templates: Sequence[str] | None = None,
        descriptions: Mapping[str, str] | None = None,
        phrasings: Mapping[str, Sequence[str]] | None = None,
        image_size_px: int | None = None,
        use_glossary: bool = True,
        context: str | Sequence[str] = "own",
        on_progress: Callable[[int, int], None] = lambda n_done, n_all: None,
    ) -> Classifier:
        """Make a classifier that tells the named classes apart.

        Parameters
        ----------
        class_names : sequence of str
            At least one, each different after trimming and case folding. They come back as typed.
        templates : sequence of str, optional
            What to put around each name, such as ``"a photo of a {}."``; by default the model's own.
        descriptions : mapping of str to str, optional
            Class name to its meaning in your words; wins over the glossary.
        phrasings : mapping of str to sequence of str, optional
            Class name to other words for the same class.
        image_size_px : int, optional
            Side of the square that the encoder sees; smaller is faster. One of the model's sizes.
        use_glossary : bool
            Whether to look up meanings of names that have no description.
        context : "own", "neutral" or sequence of str
            What the image encoder is made for. ``"own"``: the class names. ``"neutral"``: no task in
            particular. A list of other names: those instead. The head is always that of the class
            names. Only evaluation needs anything but ``"own"``.
        on_progress : callable, optional
            Called with the number of texts that were read and of all texts: large text encoders take
            their time over long lists.

        Returns
        -------
        Classifier
            Ready to predict and to save.

        Raises
        ------
        InputError
            If an argument cannot be used; the sentence says what to change.
        BundleError
            If the model gives something that it should not.

        Examples
        --------
        >>> model = load("small")  # doctest: +SKIP
        >>> model.specialize(["cat", "dog"], descriptions={"cat": "a small pet"})  # doctest: +SKIP
        Classifier(2 classes: 'cat', 'dog')
        """
        images = self._image_spec(image_size_px)
        texts = self.texts(
            class_names,
            templates=templates,
            descriptions=descriptions,
            phrasings=phrasings,
            use_glossary=use_glossary,
        )
        self._warn(texts)
        generated = self.generate(texts, on_progress=on_progress)
        parameters = self._context_parameters(context, generated, templates, use_glossary)
        encoder = write_generated(self._encoder, parameters, self.manifest.generated, where=ENCODER)
        metadata = describe(self.manifest, texts, images=images)
        data = assemble(
            fold_norms(encoder),
            head=generated.head,
            bias=generated.bias,
            head_spec=self.manifest.head,
            images=images,
            metadata=metadata.to_values(),
        )
        return Classifier(data, n_threads=self._n_threads, verify=False)  # it was written just now

    def _context_parameters(
        self,
        context: str | Sequence[str],
        own: Generated,
        templates: Sequence[str] | None,
        use_glossary: bool,
    ) -> npt.NDArray[np.float32]:
        """Return the encoder parameters that a context asks for."""
        if isinstance(context, str):
            if context == "own":
                return own.parameters
            if context == "neutral":
                return self.neutral_parameters
            raise InputError(
                f"context is {quote(context)}; expected 'own', 'neutral' or a list of names; use one of them."
            )
        other = self.texts(context, templates=templates, use_glossary=use_glossary)
        return self.generate(other).parameters

    def _image_spec(self, image_size_px: int | None) -> ImageSpec:
        """Return how the file treats pictures, at the wanted size."""
        images = self.manifest.images
        size_px = images.size_px if image_size_px is None else image_size_px
        if size_px not in images.sizes_px:
            raise InputError(
                f"image_size_px is {quote(size_px)}; expected one of {', '.join(map(str, images.sizes_px))}; "
                "choose one of these sizes."
            )
        return dataclasses.replace(images, size_px=int(size_px), sizes_px=(int(size_px),))

    def _warn(self, texts: ClassTexts) -> None:
        """Log which names the text encoder cannot read or reads only in part."""
        unreadable = self.unreadable(texts.class_names)
        if unreadable:
            logger.warning(
                "The tokenizer cannot read %s; only the meaning of such names counts: describe them in words "
                "that it knows.",
                _listed(unreadable),
            )
        cut = self._tokenizer.find_cut(texts.all_texts())
        if cut:
            logger.warning(
                "Only the first %d tokens are read of %s.", self.manifest.text.context_length, _listed(cut)
            )


def _generates_for_another(manifest: Manifest) -> bool:
    """Tell whether the specializer is another model's, and what it generates is for that one's encoder."""
    is_shared = manifest.shares is not None and "specializer.onnx" in manifest.shares.files
    return is_shared and not manifest.generated


def _listed(texts: Sequence[str]) -> str:
    """Return the first few texts, quoted, and how many more there are."""
    more = f" and {len(texts) - MAX_SHOWN} more" if len(texts) > MAX_SHOWN else ""
    return ", ".join(quote(text) for text in texts[:MAX_SHOWN]) + more
