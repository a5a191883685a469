"""What the text encoder learns from: texts, and the vector that each should get.

``python -m hyperclip.data.text_targets TEXT_KNOWLEDGE MEANINGS -o OUT`` writes a folder with
``texts.jsonl`` (text, kind, row of the target), ``vectors.npy``, ``tokenizer.json`` and ``about.json``.

Space. A sentence encoder's vectors are joined with their image in CLIP's text space, which kernel
ridge regression learns from the names whose CLIP vectors are known; the join is cut to its main
directions. Chosen on pictures of Tiny-ImageNet's training set with the asked classes' own concepts
removed (``docs/decisions``): relations help most, so the target of a meaning holds its parents too.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from hyperclip.errors import InputError

__all__ = ["TextTargets", "build_text_targets"]

_Floats = npt.NDArray[np.float32]
_CLIP_SHARE = 0.7
_PARENT_DECAY = 0.4
_N_PARENTS = 6
_GLOSS_WEIGHT = 2.0
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
        """Read a folder that `build_text_targets` wrote."""
        try:
            rows = [
                json.loads(line) for line in (folder / "texts.jsonl").read_text(encoding="utf-8").splitlines()
            ]
            table = np.load(folder / "vectors.npy", allow_pickle=False)
            tokenizer_json = (folder / "tokenizer.json").read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder} does not hold text targets ({type(error).__name__}); expected texts.jsonl, vectors.npy "
                "and tokenizer.json; make them with `python -m hyperclip.data.text_targets`."
            ) from error
        kinds = np.array([KINDS.index(row["kind"]) for row in rows])
        return cls([row["text"] for row in rows], kinds, table[[row["row"] for row in rows]], tokenizer_json)

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


class _KernelRidge:
    """Kernel ridge regression with kernel exp(2 (cos - 1)), both sides centred; outputs have unit length."""

    def __init__(self, inputs: _Floats, targets: _Floats, ridge: float = 0.1) -> None:
        self._inputs = inputs
        kernel = np.exp(2 * (inputs @ inputs.T - 1))
        self._mean, self._total = kernel.mean(axis=0), kernel.mean()
        centered = kernel - self._mean - kernel.mean(axis=1)[:, None] + self._total
        self._weights = np.linalg.solve(
            centered + ridge * np.eye(len(kernel), dtype=np.float32), targets - targets.mean(axis=0)
        )

    def __call__(self, rows: _Floats, chunk: int = 4096) -> _Floats:
        parts = []
        for start in range(0, len(rows), chunk):
            kernel = np.exp(2 * (rows[start : start + chunk] @ self._inputs.T - 1))
            centered = kernel - self._mean - kernel.mean(axis=1)[:, None] + self._total
            parts.append(_unit(centered @ self._weights))
        return np.concatenate(parts).astype(np.float32)


def _unit(rows: Any) -> Any:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)


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
        Folder in which the sentence encoder's vectors are kept between calls.
    """
    out.mkdir(parents=True, exist_ok=True)
    encode = _cached_encoder(vectors or out, on_progress)
    synsets = pq.read_table(knowledge / "wordnet-nouns.parquet").to_pylist()
    place = {row["wnid"]: i for i, row in enumerate(synsets)}
    gloss = encode("glosses", [f"{row['lemmas'][0].replace('_', ' ')}: {row['gloss']}" for row in synsets])
    lemmas = sorted({lemma.replace("_", " ") for row in synsets for lemma in row["lemmas"]})
    lemma_place = {lemma: i for i, lemma in enumerate(lemmas)}
    name = encode("lemmas", lemmas)
    sentences = _sentences(knowledge)
    sentence = encode("sentences", sentences)
    on_progress("learning the map to CLIP's space")
    to_clip = _clip_map(knowledge, gloss, place, encode)

    def join(rows: _Floats) -> _Floats:
        return np.concatenate([np.sqrt(1 - _CLIP_SHARE) * rows, np.sqrt(_CLIP_SHARE) * to_clip(rows)], axis=1)

    gloss_j, name_j, sentence_j = join(gloss), join(name), join(sentence)
    sample = np.concatenate([gloss_j[::4], name_j[::8], sentence_j[::8]])
    directions = np.linalg.svd(sample, full_matrices=False)[2][:dim].T
    gloss_j, name_j, sentence_j = (rows @ directions for rows in (gloss_j, name_j, sentence_j))
    parents = _parent_sums(knowledge, synsets, place, gloss_j)

    rows: list[dict[str, Any]] = []
    table: list[_Floats] = []
    senses: dict[str, list[tuple[int, int]]] = {}

    def add(kind: str, text: str, row: int) -> None:
        rows.append({"kind": kind, "text": text, "row": row})

    for line in meanings.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        i = place[entry["wnid"]]
        for lemma, text in entry["texts"].items():
            base = (
                _unit(name_j[lemma_place[lemma]] + _GLOSS_WEIGHT * gloss_j[i])
                if lemma in lemma_place
                else gloss_j[i]
            )
            table.append(_unit(base + parents[i]))
            add("meanings", text, len(table) - 1)
            add("sentences", f"{lemma}: {synsets[i]['gloss']}", len(table) - 1)
            rank = dict(zip(synsets[i]["lemmas"], _ranks(synsets[i]), strict=True))
            senses.setdefault(lemma, []).append(
                (rank.get(lemma.replace(" ", "_"), rank.get(lemma, 9)), len(table) - 1)
            )
    for lemma, found in senses.items():
        total = sum(table[row] / max(rank, 1) ** 2 for rank, row in found)
        table.append(_unit(total))
        add("names", lemma, len(table) - 1)
    for text, vector in zip(sentences, sentence_j, strict=True):
        table.append(_unit(vector))
        add("sentences", text, len(table) - 1)
    on_progress("training the tokenizer")
    tokenizer_json = _train_tokenizer([row["text"] for row in rows], vocab_size)
    np.save(out / "vectors.npy", np.stack(table).astype(np.float16))
    (out / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    (out / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    on_progress(f"{len(rows)} texts, {len(table)} targets of {dim} dimensions")


def _ranks(synset: dict[str, Any]) -> list[int]:
    rank = synset["sense_rank"]
    return [int(r) for r in rank] if isinstance(rank, list) else [int(rank)] * len(synset["lemmas"])


def _clip_map(
    knowledge: Path, gloss: _Floats, place: dict[str, int], encode: Callable[[str, list[str]], _Floats]
) -> _KernelRidge:
    table = pq.read_table(knowledge / "teacher-clip-b32-names.parquet")
    scale = np.array(json.loads(table.schema.metadata[b"scale"]), dtype=np.float32)
    found = {row["name"]: row for row in table.to_pylist()}
    names = sorted(found)
    own = encode("clip-names", names)
    clip = _unit(np.stack([np.asarray(_as_int8(found[n]["vec"]), dtype=np.float32) * scale for n in names]))
    meaning = np.stack(
        [gloss[place[found[n]["wnid"]]] if found[n]["wnid"] in place else own[i] for i, n in enumerate(names)]
    )
    return _KernelRidge(np.concatenate([own, meaning]), np.concatenate([clip, clip]).astype(np.float32))


def _as_int8(value: Any) -> Any:
    return np.frombuffer(value, dtype=np.int8) if isinstance(value, bytes) else value


def _parent_sums(
    knowledge: Path, synsets: list[dict[str, Any]], place: dict[str, int], gloss: _Floats
) -> _Floats:
    """For each synset, the vectors of what it is a kind of, fading with the distance."""
    hierarchy = json.loads((knowledge / "hierarchy.json").read_text(encoding="utf-8"))
    out = np.zeros_like(gloss)
    for i, row in enumerate(synsets):
        level = [row["wnid"]]
        for depth in range(1, _N_PARENTS + 1):
            level = [p for wnid in level for p in hierarchy.get(wnid, []) if p in place]
            if not level:
                break
            out[i] += _PARENT_DECAY**depth * gloss[[place[wnid] for wnid in level]].mean(axis=0)
    return out


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
    folder.mkdir(parents=True, exist_ok=True)

    def encode(name: str, texts: list[str]) -> _Floats:
        path = folder / f"sentence-encoder-{name}.npy"
        if path.is_file():
            rows = np.load(path, allow_pickle=False)
            if len(rows) == len(texts):
                return np.asarray(rows, dtype=np.float32)
        from hyperclip.models.sentence_encoder import SentenceEncoder

        on_progress(f"encoding {len(texts)} {name}")
        rows = SentenceEncoder().encode(texts)
        np.save(path, rows.astype(np.float16))
        return rows

    return encode


def _train_tokenizer(texts: list[str], vocab_size: int) -> str:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=40))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=["[PAD]", "[UNK]", "[CLS]"],
        limit_alphabet=80,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]"))]
    )
    return str(tokenizer.to_str())


def main(arguments: list[str] | None = None) -> None:
    """Command line of `build_text_targets`."""
    parser = argparse.ArgumentParser(prog="python -m hyperclip.data.text_targets", description=__doc__)
    parser.add_argument("knowledge", type=Path)
    parser.add_argument("meanings", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--vocab-size", type=int, default=12_000)
    options = parser.parse_args(arguments)
    build_text_targets(
        options.knowledge, options.meanings, options.out,
        dim=options.dim, vocab_size=options.vocab_size,
        on_progress=lambda message: print(message, file=sys.stderr, flush=True),
    )  # fmt: skip


if __name__ == "__main__":
    main()
