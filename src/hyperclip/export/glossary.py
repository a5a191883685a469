"""WordNet and a sentence encoder to ``glossary.bin``: facts and small vectors, no sentences of others.

``python -m hyperclip.export.glossary TEXT_KNOWLEDGE_DIR -o OUT_DIR`` takes about six minutes on one
core, nearly all of it for the sentence vectors; ``--vectors FILE.npy`` keeps and reuses these. With
``--targets FOLDER`` (of `hyperclip.data.text_targets`) it also holds what the text encoder was taught.
"""

import argparse
import dataclasses
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperclip.bundle.atomic import write_file
from hyperclip.data.wordnet import read_classes
from hyperclip.errors import HyperclipError, InputError
from hyperclip.export.glossary_tables import make_tables, restrict_parents
from hyperclip.export.more_words import add_words, correct_ranks
from hyperclip.export.offensive import remove_offensive
from hyperclip.export.taught_vectors import make_class_vectors, mean_cosine, taught_vectors
from hyperclip.export.wordnet_nouns import Synset, read_nouns
from hyperclip.runtime.glossary import Glossary, meaning_text
from hyperclip.runtime.glossary_format import LEARNT, pack_glossary, unpack_glossary

__all__ = ["build_glossary", "encode_glosses", "shorten_vectors", "write_meaning_texts"]

LICENSE = "LICENSE-wordnet.txt"
DIM = 64
CLASS_DIM = 128
STEP = 0.03  # of a unit vector's number, per unit of the stored one
GLOSS_MAX_TOKENS = 256


def build_glossary(
    text_knowledge: Path,
    *,
    vectors: Path | None = None,
    targets: Path | None = None,
    learnt: Path | None = None,
    class_dim: int = CLASS_DIM,
    on_progress: Callable[[str, int, int], None] | None = None,
    on_cosine: Callable[[float], None] | None = None,
) -> dict[str, bytes]:
    """Return the glossary's files for a bundle: ``glossary.bin`` and ``LICENSE-wordnet.txt``.

    Parameters
    ----------
    text_knowledge : Path
        Folder with ``wordnet-nouns.parquet``, ``hierarchy.json`` and ``LICENSE-wordnet.txt``.
    vectors : Path, optional
        An ``.npy`` file of the glosses' sentence vectors, float16, of shape (n_synsets, dim); read where
        it exists, written where it does not.
    targets : Path, optional
        A folder of `hyperclip.data.text_targets`: the glossary then holds the vectors that the text encoder
        was taught for the senses.
    learnt : Path, optional
        A ``classes.json`` of what the image encoder was shown: a list of objects with ``wnid``. Where the
        other names say little, a name means one of these.
    class_dim : int
        How many numbers of 4 bits such a vector keeps.
    on_progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is.
    on_cosine : callable, optional
        Called with the mean cosine of the stored vectors to the exact ones.

    Returns
    -------
    dict of str to bytes
        File name to content.

    Raises
    ------
    InputError
        When a file is missing or is not what it should be.
    MissingExtraError
        When pyarrow or the sentence encoder is not installed.
    """
    license_file = text_knowledge / LICENSE
    if not license_file.is_file():
        raise InputError(
            f"{license_file} is missing; WordNet's licence must go with its words; give the folder that "
            "holds it."
        )
    synsets, parents = read_nouns(text_knowledge)
    sentence_vectors = _read_or_encode(synsets, vectors, on_progress)
    words = add_words(correct_ranks(synsets))
    kept = sorted(remove_offensive(words, parents), key=lambda synset: synset.wnid)
    row_of = {synset.wnid: row for row, synset in enumerate(synsets)}
    short = shorten_vectors(sentence_vectors)[[row_of[synset.wnid] for synset in kept]]
    tables = make_tables(kept, restrict_parents(kept, parents), short)
    if targets is not None:
        from hyperclip.data.text_targets import TextTargets  # needs pyarrow, whose lack read_nouns explains

        original = [synsets[row_of[synset.wnid]] for synset in kept]
        taught = taught_vectors(original, TextTargets.open(targets))
        classes = make_class_vectors(taught, class_dim=class_dim)
        tables = dataclasses.replace(tables, class_vectors=classes)
        if on_cosine is not None:
            on_cosine(mean_cosine(classes, taught))
    if learnt is not None:
        tables = dataclasses.replace(tables, flags=tables.flags | LEARNT * _is_one_of(tables.wnids, learnt))
    data = pack_glossary(tables)
    unpack_glossary(data)
    return {"glossary.bin": data, LICENSE: license_file.read_bytes()}


def _is_one_of(wnids: NDArray[np.uint32], classes: Path) -> NDArray[np.uint8]:
    """Return 1 for each id that a file of classes holds, 0 for the others."""
    own = [int(entry["wnid"][1:]) for entry in read_classes(classes)]
    return np.isin(wnids, np.array(own, np.uint32)).astype(np.uint8)


def write_meaning_texts(path: Path, *, text_knowledge: Path, glossary: Glossary) -> None:
    """Write what the text encoder will read about every word, as lessons for it.

    Parameters
    ----------
    path : Path
        JSON lines, one a synset in the order of WordNet's file: ``{"wnid", "lemmas", "texts": {lemma:
        "lemma: meaning"}}``. A word that the glossary leaves out is not among the texts.
    text_knowledge : Path
        Folder of WordNet's files.
    glossary : Glossary
        Built from them.
    """
    lines = []
    for synset in read_nouns(text_knowledge)[0]:
        words = set(glossary.words(synset.wnid))
        meanings = {lemma: glossary.explain(lemma, synset.wnid) for lemma in synset.lemmas if lemma in words}
        texts = {lemma: meaning_text(lemma, meaning) for lemma, meaning in meanings.items() if meaning}
        lines.append(json.dumps({"wnid": synset.wnid, "lemmas": synset.lemmas, "texts": texts}))
    write_file(path, "".join(line + "\n" for line in lines).encode())


def encode_glosses(
    synsets: list[Synset], *, on_progress: Callable[[str, int, int], None] | None = None
) -> NDArray[np.float16]:
    """Return the sentence vectors of "word: gloss" for each synset, shape (n_synsets, 384), float16."""
    from hyperclip.models.sentence_encoder import SentenceEncoder

    def report(n_done: int) -> None:
        if on_progress is not None:
            on_progress("sentence vectors", n_done, len(synsets))

    texts = [f"{synset.lemmas[0]}: {synset.gloss}" for synset in synsets]
    encoder = SentenceEncoder(max_tokens=GLOSS_MAX_TOKENS)
    return encoder.encode(texts, batch_size=64, on_progress=report).astype(np.float16)


def shorten_vectors(vectors: NDArray[np.floating], *, dim: int = DIM, step: float = STEP) -> NDArray[np.int8]:
    """Return meaning vectors of few bits: principal components, unit length, whole numbers from -7 to 7.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_features), floating
        Sentence vectors.
    dim : int
        How many components to keep, at most n_features.
    step : float
        The size of one unit. Numbers beyond 7 units are cut, which takes weight from the first
        components, as measured to be slightly better than keeping it.

    Returns
    -------
    ndarray of shape (n, dim), int8
    """
    centered = vectors.astype(np.float64)
    centered -= centered.mean(axis=0)
    _, components = np.linalg.eigh(centered.T @ centered)
    components = components[:, ::-1][:, :dim]
    # An eigenvector's sign is arbitrary: fix it, so that every machine writes the same file.
    components *= np.sign(components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])])
    short = centered @ components
    short /= np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-12)
    units: NDArray[np.int8] = np.clip(np.rint(short / step), -7, 7).astype(np.int8)
    return units


def _read_or_encode(
    synsets: list[Synset], path: Path | None, on_progress: Callable[[str, int, int], None] | None
) -> NDArray[np.float16]:
    """Return the sentence vectors, from `path` where they are there."""
    if path is None or not path.is_file():
        made = encode_glosses(synsets, on_progress=on_progress)
        if path is not None:
            buffer = io.BytesIO()
            np.save(buffer, made)
            write_file(path, buffer.getvalue())
        return made
    stored = np.load(path, allow_pickle=False, mmap_mode="r")
    if stored.ndim != 2 or len(stored) != len(synsets) or stored.dtype != np.float16:
        raise InputError(
            f"{path} holds {stored.dtype} of shape {stored.shape}; expected float16 with {len(synsets):,} "
            "rows; delete it to make it again."
        )
    return np.array(stored)


def main(arguments: list[str] | None = None) -> int:
    """Build a glossary from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hyperclip.export.glossary", description=__doc__)
    parser.add_argument("text_knowledge", type=Path, metavar="TEXT_KNOWLEDGE_DIR")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT_DIR", help="an existing folder"
    )
    parser.add_argument(
        "--vectors", type=Path, metavar="FILE.npy", help="keep and reuse the sentence vectors"
    )
    parser.add_argument(
        "--targets", type=Path, metavar="FOLDER", help="also store what the text encoder was taught"
    )
    parser.add_argument(
        "--class-dim", type=int, default=CLASS_DIM, help="numbers of 4 bits of each taught vector"
    )
    parser.add_argument(
        "--learnt", type=Path, metavar="CLASSES.json", help="prefer the senses of what a model was shown"
    )
    parser.add_argument("--texts", type=Path, metavar="FILE.jsonl", help="also write every meaning's text")
    options = parser.parse_args(arguments)
    try:
        if not options.output.is_dir():
            raise InputError(f"{options.output} is no folder; expected one that exists; create it first.")
        files = build_glossary(
            options.text_knowledge, vectors=options.vectors, targets=options.targets,
            learnt=options.learnt, class_dim=options.class_dim, on_progress=_show,
            on_cosine=lambda cosine: print(f"mean cosine to the targets: {cosine:.4f}", file=sys.stderr),
        )  # fmt: skip
        for name, data in files.items():
            write_file(options.output / name, data)
            print(f"{options.output / name}: {len(data):,} bytes", file=sys.stderr)
        if options.texts is not None:
            glossary = Glossary.read(files["glossary.bin"])
            write_meaning_texts(options.texts, text_knowledge=options.text_knowledge, glossary=glossary)
    except HyperclipError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _show(what: str, n_done: int, n_all: int) -> None:
    """Rewrite one line of the terminal."""
    print(
        f"\r{what}: {n_done:,} of {n_all:,}", end="\n" if n_done == n_all else "", file=sys.stderr, flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
