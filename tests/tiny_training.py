"""A text encoder small enough to train in a test: eleven nouns, random targets, a recipe of twenty steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np

TEXT_DIM = 8
CLASSES = {"n1": "cat", "n2": "dog", "n3": "fox", "n4": "cup", "n5": "jug", "n6": "pan"}
INNER = {"n11": "animal", "n12": "vessel", "n13": "thing"}
STRANGERS = {"n21": "teapot", "n22": "spoon"}
NAMES = {**CLASSES, **INNER, **STRANGERS}
PARENTS = {
    "n1": ["n11"], "n2": ["n11"], "n3": ["n11"], "n4": ["n12"], "n5": ["n12"], "n6": ["n12"],
    "n11": ["n13"], "n12": ["n13"],
}  # fmt: skip


def meaning(wnid: str, name: str) -> str:
    """What a name means, as the glossary would say it."""
    return f"{name}: a kind of {NAMES[PARENTS.get(wnid, ['n13'])[0]]}"


def make_tokenizer(texts: list[str]) -> str:
    """A tokenizer that knows every word of some texts; a trained one differs from time to time."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = sorted({word for text in texts for word in text.replace(":", " : ").split()})
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 2)])
    return str(tokenizer.to_str())


def write_text_targets(folder: Path) -> Path:
    """Write what `hyperclip.data.text_targets` writes, with random vectors."""
    rows: list[dict[str, Any]] = []
    for place, (wnid, name) in enumerate(NAMES.items()):
        texts = {"names": name, "meanings": meaning(wnid, name), "sentences": f"the {name} is here"}
        rows += [{"kind": kind, "text": text, "row": place} for kind, text in texts.items()]
    vectors = np.random.default_rng(0).normal(size=(len(NAMES), TEXT_DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    folder.mkdir(exist_ok=True)
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    (folder / "tokenizer.json").write_text(make_tokenizer([row["text"] for row in rows]))
    (folder / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def make_text_recipe(targets: Path) -> dict[str, Any]:
    """A text encoder of a few thousand weights, for twenty steps."""
    return {
        "run": {"objective": "text", "n_steps": 20, "seed": 1, "log_every": 1, "evaluate_every": 10},
        "optimizer": {"peak_lr": 0.02, "warmup_steps": 2},
        "text": {
            "data": str(targets), "batch_size": 24, "held_out_share": 0.2,
            "encoder": {
                "vocab_size": 40, "context_length": 12, "width": 16, "n_layers": 1, "n_heads": 2,
                "mlp_ratio": 2, "text_dim": TEXT_DIM,
            },
        },
    }  # fmt: skip
