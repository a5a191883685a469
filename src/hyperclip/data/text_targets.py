"""What the text encoder learns from: texts, and the vector that each should get.

``python -m hyperclip.data.text_targets TEXT_KNOWLEDGE MEANINGS -o OUT`` writes a folder with
``texts.jsonl`` (text, kind, row of the target), ``vectors.npy`` and ``tokenizer.json``.

Space. A sentence encoder's vectors are joined with their image in CLIP's text space, which kernel
ridge regression learns from the names whose CLIP vectors are known; the join is cut to its main
directions. Chosen on pictures of Tiny-ImageNet's training set with the asked classes' own concepts
removed (``docs/decisions``): relations help most, so the target of a meaning holds its parents too.
"""

import argparse
import hashlib
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from hyperclip.bundle.atomic import write_file
from hyperclip.data.target_space import map_to_clip, parent_sums, unit
from hyperclip.data.word_pieces import train_word_pieces
from hyperclip.errors import HyperclipError, InputError

__all__ = ["KINDS", "TextTargets", "build_text_targets"]

_Floats = npt.NDArray[np.float32]
_CLIP_SHARE = 0.7
_GLOSS_WEIGHT = 2.0
_UNRANKED = 9  # as rare as a sense of unknown rank counts
KINDS = ("names", "meanings", "sentences")


@dataclass(frozen=True)
class TextTargets:
    """Texts with their targets.

    Parameters
    ----------
    texts : list of str, length n
    kinds : ndarray of shape (n,), int
        Place in `KINDS`.
    vectors : ndarray of shape (n, E), float16, unit length
    tokenizer_json : str
    """

    texts: list[str]
    kinds: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float16]
    tokenizer_json: str

    @classmethod
    def open(cls, folder: Path) -> "TextTargets":
        """Read a folder that `build_text_targets` wrote.

        Raises
        ------
        InputError
            If a file is missing or damaged, or they do not fit one another.
        """
        try:
            rows = [
                json.loads(line) for line in (folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()
            ]
            table = np.load(folder / "vectors.npy", allow_pickle=False)
            tokenizer_json = (folder / "tokenizer.json").read_text(encoding="utf-8")
            kinds = np.array([KINDS.index(row["kind"]) for row in rows], dtype=np.int64)
            texts = [str(row["text"]) for row in rows]
            vectors = table[np.array([row["row"] for row in rows], dtype=np.int64)]
            return cls(texts, kinds, vectors, tokenizer_json)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise InputError(
                f"{folder} does not hold text targets ({type(error).__name__}); expected texts.jsonl, "
                "vectors.npy and tokenizer.json; make them with `python -m hyperclip.data.text_targets`."
            ) from error

    @property
    def n_tokens(self) -> int:
        """Size of the tokenizer's vocabulary."""
        from tokenizers import Tokenizer

        return int(Tokenizer.from_str(self.tokenizer_json).get_vocab_size())

    def rows_of(self, kind: str) -> npt.NDArray[np.int64]:
        """Rows of one kind."""
        return np.flatnonzero(self.kinds == KINDS.index(kind))

    def tokenizer(
        self, context_length: int
    ) -> Callable[[Sequence[str]], tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """A function from texts to token ids and mask, both (n, T), T as long as the longest text."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        tokenizer.enable_truncation(context_length)
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"), pad_token="[PAD]")

        def encode(texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
            encoded = tokenizer.encode_batch(list(texts))
            return (
                np.array([e.ids for e in encoded], dtype=np.int64),
                np.array([e.attention_mask for e in encoded], dtype=np.int64),
            )

        return encode


def build_text_targets(
    knowledge: Path,
    meanings: Path,
    out: Path,
    *,
    dim: int = 256,
    vocab_size: int = 12_000,
    vectors: Path | None = None,
    on_progress: Callable[[str], None] = lambda message: None,
) -> None:
    """Write the folder that the text objective trains on.

    Parameters
    ----------
    knowledge : Path
        Folder with WordNet nouns, hierarchy, descriptions, captions and CLIP's vectors of names.
    meanings : Path
        JSON lines ``{"wnid", "texts": {lemma: meaning text}}``, as the glossary's builder writes them.
    out : Path
        Folder to write.
    dim : int
        E.
    vocab_size : int
        Of the tokenizer.
    vectors : Path, optional
        Folder in which the sentence encoder's vectors are kept between calls; `out` where left out.
    on_progress : callable, optional
        Called with what is being done.

    Raises
    ------
    InputError
        If the meanings are of another WordNet, or there are fewer texts than dimensions.
    """
    out.mkdir(parents=True, exist_ok=True)
    encode = _cached_encoder(vectors or out, on_progress)
    synsets = pq.read_table(knowledge / "wordnet-nouns.parquet").to_pylist()
    place = {row["wnid"]: i for i, row in enumerate(synsets)}
    gloss = encode("glosses", [f"{row['lemmas'][0].replace('_', ' ')}: {row['gloss']}" for row in synsets])
    lemmas = sorted({lemma.replace("_", " ") for row in synsets for lemma in row["lemmas"]})
    name = encode("lemmas", lemmas)
    sentences = _sentences(knowledge)
    sentence = encode("sentences", sentences)
    on_progress("learning the map to CLIP's space")
    to_clip = map_to_clip(knowledge, gloss=gloss, place=place, encode=encode)
    gloss, name, sentence = _main_directions(
        *(_join(rows, to_clip(rows)) for rows in (gloss, name, sentence)), dim=dim
    )
    hierarchy = json.loads((knowledge / "hierarchy.json").read_text(encoding="utf-8"))
    parents = parent_sums(hierarchy, [row["wnid"] for row in synsets], gloss)
    table = _Table()
    _add_meanings(
        table, meanings, synsets=synsets, place=place, gloss=gloss, parents=parents,
        name_of=dict(zip(lemmas, name, strict=True)),
    )  # fmt: skip
    for text, vector in zip(sentences, sentence, strict=True):
        table.add(unit(vector), ("sentences", text))
    on_progress("training the tokenizer")
    tokenizer_json = train_word_pieces([row["text"] for row in table.rows], vocab_size)
    buffer = io.BytesIO()
    np.save(buffer, np.stack(table.vectors).astype(np.float16))
    (out / "texts.jsonl").unlink(missing_ok=True)  # written last: with it the folder is complete
    write_file(out / "vectors.npy", buffer.getvalue())
    write_file(out / "tokenizer.json", tokenizer_json.encode())
    write_file(out / "texts.jsonl", "".join(json.dumps(row) + "\n" for row in table.rows).encode())
    on_progress(f"{len(table.rows)} texts, {len(table.vectors)} targets of {dim} dimensions")


class _Table:
    """Targets, and the texts that should get them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.vectors: list[_Floats] = []

    def add(self, vector: _Floats, *texts: tuple[str, str]) -> int:
        """Add a target with its (kind, text) pairs and return its row."""
        self.vectors.append(vector)
        place = len(self.vectors) - 1
        self.rows += [{"kind": kind, "text": text, "row": place} for kind, text in texts]
        return place


def _join(rows: _Floats, in_clip: _Floats) -> _Floats:
    """Both spaces beside each other, in the shares that were found to work best."""
    return np.concatenate([np.sqrt(1 - _CLIP_SHARE) * rows, np.sqrt(_CLIP_SHARE) * in_clip], axis=1)


def _main_directions(gloss: _Floats, name: _Floats, sentence: _Floats, *, dim: int) -> list[_Floats]:
    """Cut three tables of vectors to the `dim` directions that matter most in a sample of all."""
    sample = np.concatenate([gloss[::4], name[::8], sentence[::8]])
    if min(sample.shape) < dim:
        raise InputError(
            f"A sample of the texts has {len(sample)} vectors of {sample.shape[1]} numbers; expected at "
            f"least {dim} of either; give more texts or a smaller dim."
        )
    directions = np.linalg.svd(sample, full_matrices=False)[2][:dim].T
    return [rows @ directions for rows in (gloss, name, sentence)]


def _add_meanings(
    table: _Table,
    meanings: Path,
    *,
    synsets: list[dict[str, Any]],
    place: Mapping[str, int],
    gloss: _Floats,
    parents: _Floats,
    name_of: Mapping[str, _Floats],
) -> None:
    """Add every name with a meaning, its definition, and the bare name as the mean of its senses."""
    senses: dict[str, list[tuple[int, int]]] = {}
    for line in meanings.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        i = place.get(entry["wnid"])
        if i is None:
            raise InputError(
                f"{meanings} tells the meaning of {entry['wnid']!r}, which is none of the {len(place)} "
                "nouns; expected both from one WordNet; build the meanings again."
            )
        ranks: dict[str, int] = dict(zip(synsets[i]["lemmas"], _ranks(synsets[i]), strict=True))
        for lemma, text in entry["texts"].items():
            own = unit(name_of[lemma] + _GLOSS_WEIGHT * gloss[i]) if lemma in name_of else gloss[i]
            row = table.add(
                unit(own + parents[i]), ("meanings", text), ("sentences", f"{lemma}: {synsets[i]['gloss']}")
            )
            rank = ranks.get(lemma.replace(" ", "_"), ranks.get(lemma, _UNRANKED))
            senses.setdefault(lemma, []).append((rank, row))
    for lemma, found in senses.items():
        total = sum((table.vectors[row] / max(rank, 1) ** 2 for rank, row in found), np.float32(0))
        table.add(unit(total), ("names", lemma))


def _ranks(synset: dict[str, Any]) -> list[int]:
    rank = synset["sense_rank"]
    return [int(r) for r in rank] if isinstance(rank, list) else [int(rank)] * len(synset["lemmas"])


def _sentences(knowledge: Path) -> list[str]:
    """Captions of the training split, and descriptions whose licence is known."""
    captions = pq.read_table(knowledge / "captions.parquet").to_pylist()
    described = pq.read_table(knowledge / "descriptions.parquet").to_pylist()
    own = {
        row["caption"] for row in captions if row["source"].startswith("flickr8k") and row["split"] == "train"
    }
    other = {
        f"{row['class_name']}: {row['description']}" for row in described if row["source"] == "descriptors"
    }
    return sorted(own) + sorted(other)


def _cached_encoder(folder: Path, on_progress: Callable[[str], None]) -> Callable[[str, list[str]], _Floats]:
    """The sentence encoder, whose vectors of a list of texts are kept as a file."""
    folder.mkdir(parents=True, exist_ok=True)

    def encode(name: str, texts: list[str]) -> _Floats:
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
        path = folder / f"sentence-encoder-{name}-{digest}.npy"
        if path.is_file():
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float32)
        from hyperclip.models.sentence_encoder import SentenceEncoder

        on_progress(f"encoding {len(texts)} {name}")
        rows = SentenceEncoder().encode(texts)
        buffer = io.BytesIO()
        np.save(buffer, rows.astype(np.float16))
        write_file(path, buffer.getvalue())
        return rows

    return encode


def main(arguments: list[str] | None = None) -> None:
    """Command line of `build_text_targets`."""
    parser = argparse.ArgumentParser(prog="python -m hyperclip.data.text_targets", description=__doc__)
    parser.add_argument("knowledge", type=Path)
    parser.add_argument("meanings", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--vocab-size", type=int, default=12_000)
    options = parser.parse_args(arguments)
    try:
        build_text_targets(
            options.knowledge, options.meanings, options.out,
            dim=options.dim, vocab_size=options.vocab_size,
            on_progress=lambda message: print(message, file=sys.stderr, flush=True),
        )  # fmt: skip
    except HyperclipError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
