"""Texts as directions in the space of embeddings, so that a picture's likeness to each can be measured.

Legend: M texts, D numbers of an embedding, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hyperclip.adapt.random_phrases import random_phrases
from hyperclip.adapt.shots import Floats
from hyperclip.errors import InputError
from hyperclip.runtime.metadata import Metadata
from hyperclip.runtime.specialize import Model
from hyperclip.runtime.texts import ClassTexts

__all__ = ["TextFeatures", "class_texts_of", "directions", "random_control", "text_features"]


@dataclass(frozen=True, kw_only=True)
class TextFeatures:
    """What each column of the features of `SLRAVD` measures.

    Parameters
    ----------
    texts : tuple of str
        The class prompts first, in the order of the classes; then the descriptions, each once.
    kinds : tuple of str
        Of each: "prompt" or "description".
    classes : tuple of tuple of int
        Of each: the classes that it was written for.
    rows : ndarray of shape (n_texts, dim), float64, unit length
        A picture's likeness to a text is the product of its features with the row.
    """

    texts: tuple[str, ...]
    kinds: tuple[str, ...]
    classes: tuple[tuple[int, ...], ...]
    rows: Floats = field(repr=False)

    @property
    def n_descriptions(self) -> int:
        """How many texts are no class prompts."""
        return self.kinds.count("description")


def directions(model: Model, head_rows: npt.ArrayLike) -> Floats:
    """Return the unit vectors that rows of a head point to.

    Of a head that mixes concepts and has a linear part, the linear part counts, which is the only one
    that folds into a matrix; of one that only mixes, the shares of the concepts, centered.

    Parameters
    ----------
    model : Model
        Whose head it is.
    head_rows : array-like of shape (n_texts, width)

    Returns
    -------
    ndarray of shape (n_texts, dim), float64
    """
    rows = np.asarray(head_rows, np.float64)[:, -model.manifest.head.dim :]
    if model.manifest.head.kind != "linear":
        rows = rows - rows.mean(axis=1, keepdims=True)
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


def class_texts_of(model: Model, metadata: Metadata) -> ClassTexts:
    """Return the texts that a classifier was made from; `model` must be the one that made it.

    Raises
    ------
    InputError
        If the classifier comes from another model.
    """
    if metadata.model.fingerprint != model.fingerprint:
        raise InputError(
            f"The classifier was made from the model {metadata.model.name} {metadata.model.version}, not "
            f"from this {model.manifest.name} {model.manifest.version}; expected the same one; name it with "
            "--model."
        )
    return model.texts(
        metadata.class_names,
        templates=metadata.templates,
        descriptions={
            name: meaning.text
            for name, meaning in zip(metadata.class_names, metadata.meanings, strict=True)
            if meaning.source == "user" and meaning.text is not None
        },
        phrasings=dict(zip(metadata.class_names, metadata.phrasings, strict=True)),
    )


def text_features(
    model: Model, class_texts: ClassTexts, descriptions: Mapping[str, Sequence[str]]
) -> TextFeatures:
    """Embed class prompts and descriptions.

    Parameters
    ----------
    model : Model
    class_texts : ClassTexts
        The classes, as the classifier reads them.
    descriptions : mapping of str to sequence of str
        Class name to phrases, as the functions of `hyperclip.adapt.descriptions` give them. They are
        read as they stand, so that each means the same for every class.
    """
    belongs: dict[str, list[int]] = {}
    for index, name in enumerate(class_texts.class_names):
        for text in descriptions.get(name, ()):
            belongs.setdefault(text, []).append(index)
    prompts = [template_text[0] for template_text in class_texts.name_texts]
    heads = [model.generate(class_texts).head]
    if belongs:
        heads.append(model.text_rows(list(belongs)))
    return TextFeatures(
        texts=(*prompts, *belongs),
        kinds=(*["prompt"] * len(prompts), *["description"] * len(belongs)),
        classes=(*((index,) for index in range(len(prompts))), *map(tuple, belongs.values())),
        rows=directions(model, np.concatenate(heads)),
    )


def random_control(model: Model, features: TextFeatures, *, seed: int = 0) -> TextFeatures:
    """Return the same features with random phrases of the same number and length for the descriptions.

    Another seed is another draw, independent of the first.
    """
    n_prompts = len(features.texts) - features.n_descriptions
    phrases = random_phrases(features.texts[n_prompts:], seed=seed)
    rows = features.rows.copy()
    if phrases:
        rows[n_prompts:] = directions(model, model.text_rows(phrases))
    return TextFeatures(
        texts=(*features.texts[:n_prompts], *phrases),
        kinds=features.kinds,
        classes=features.classes,
        rows=rows,
    )
