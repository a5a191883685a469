"""Small CLIPs of other libraries with random weights, their tokenizers trained here: plumbing alone."""

from functools import cache
from pathlib import Path
from typing import Any

import torch

VISION = {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 16}
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
SETTINGS: dict[str, dict[str, Any]] = {
    "causal": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT},
    "quick_gelu": {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT, "quick_gelu": True},
    "two_way": {
        "embed_dim": 24, "vision_cfg": VISION, "text_cfg": {**TEXT, "no_causal_mask": True},
        "force_custom_text": True,
    },
    "sigmoid": {
        "embed_dim": 24, "vision_cfg": VISION,
        "text_cfg": {**TEXT, "no_causal_mask": True, "pool_type": "last"},
        "force_custom_text": True, "init_logit_bias": -10.0,
        "force_preprocess_cfg": {"resize_mode": "squash", "mean": (0.5,) * 3, "std": (0.5,) * 3},
    },
    "class_token": {
        "embed_dim": 24, "vision_cfg": VISION, "text_cfg": {**TEXT, "embed_cls": True},
        "force_custom_text": True,
    },
    "residual": {
        "embed_dim": 32, "text_cfg": TEXT,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    },
    "many_branches": {
        "embed_dim": 24, "text_cfg": TEXT, "force_custom_text": True,
        "vision_cfg": {
            "timm_model_name": "fastvit_t8", "timm_pool": "avg", "timm_proj": None, "image_size": 64,
        },
    },
}  # fmt: skip


def lively(model: torch.nn.Module) -> torch.nn.Module:
    """Make a new model's answers depend on what it reads: biases, norms and statistics are not flat."""
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if name.endswith(("logit_scale", "logit_bias")) or not value.is_floating_point():
                continue
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0, generator=random)
            elif value.ndim == 1:
                value.add_(0.2 * torch.randn(value.shape, generator=random))
            elif "token_embedding" in name or "positional_embedding" in name:
                value.mul_(20)
    return model


@cache
def open_clip_weights(kind: str, folder: Path) -> Path:
    """Write the weights of a small open_clip model and return the file."""
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = lively(open_clip.create_model("ViT-B-32", pretrained_text=False, **SETTINGS[kind]))
    path = folder / f"{kind}.safetensors"
    save_file({name: value.clone() for name, value in model.state_dict().items()}, path)
    return path


def write_hugging_face(kind: str, folder: Path) -> Path:
    """Write a small CLIP or SigLIP as transformers writes it, its tokenizer trained on a few texts."""
    import transformers

    folder.mkdir()
    torch.manual_seed(0)
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "hidden_size": 32}
    vision = {**layers, "image_size": 64, "patch_size": 16}
    if kind == "clip":
        tokenizer = _clip_tokenizer(transformers)
        text = {**layers, "vocab_size": len(tokenizer), "max_position_embeddings": 24,
                "eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}  # fmt: skip
        config: Any = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
        model: Any = transformers.CLIPModel(config)
        processor: Any = transformers.CLIPImageProcessor(
            size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64}
        )
    else:
        tokenizer = (_siglip_tokenizer if kind == "siglip" else _siglip2_tokenizer)(transformers, folder)
        text = {
            **layers,
            "vocab_size": len(tokenizer) + 8,
            "max_position_embeddings": 20,
            "projection_size": 32,
        }
        config = transformers.SiglipConfig(text_config=text, vision_config=vision)
        model = transformers.SiglipModel(config)
        model.logit_bias.data.fill_(-6.0)
        processor = transformers.SiglipImageProcessor(size={"height": 64, "width": 64})
    model.logit_scale.data.fill_(2.5)
    lively(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


CORPUS = [
    "a photo of a cat", "this is a photo of golden retriever", "crème brûlée in the café", "t-shirt "
    "x-ray 50 mm",
    "don't know the farmer's market", "person riding a bicycle in the snow", "espresso machine and cup "
    "of coffee",
    "a very long description of one more red thing", "traffic light rocket sea anemone tabby cat "
    "labrador black",
] * 20  # fmt: skip


def _clip_tokenizer(transformers: Any) -> Any:
    """A byte-pair tokenizer of CLIP's kind: the merges that open_clip brings along."""
    import open_clip

    inner = open_clip.get_tokenizer("ViT-B-32")
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {names.get(token, token): number for token, number in inner.encoder.items()}
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=list(inner.bpe_ranks), model_max_length=24)


def _siglip_tokenizer(transformers: Any, folder: Path) -> Any:
    """A SentencePiece tokenizer, trained here."""
    import io

    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS), model_writer=out, vocab_size=120, model_type="unigram", pad_id=-1,
        eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    path = folder / "spiece.model"
    path.write_bytes(out.getvalue())
    return transformers.SiglipTokenizer(vocab_file=str(path), model_max_length=20)


def open_clip_tokenizer(architecture: str, folder: Path) -> Any:
    """Return a tokenizer for an architecture whose own lies on a hub: of the same kind, trained here."""
    import open_clip
    import transformers

    config = open_clip.get_model_config(architecture)["text_cfg"]
    make = _siglip2_tokenizer if "SigLIP2" in architecture else _unigram_tokenizer
    folder.mkdir(exist_ok=True)
    make(transformers, folder).save_pretrained(folder)
    return open_clip.tokenizer.HFTokenizer(
        str(folder), context_length=config["context_length"], **config.get("tokenizer_kwargs", {})
    )


def _unigram_tokenizer(transformers: Any, folder: Path) -> Any:
    """A unigram tokenizer of T5's kind, trained here."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=special, unk_token="<unk>")
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def _siglip2_tokenizer(transformers: Any, folder: Path) -> Any:
    """A byte-pair tokenizer of Gemma's kind, trained here: lower case, an end token, a padding token."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")
    special = ["<pad>", "<eos>", "<bos>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=500, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", tokenizer.token_to_id("<eos>"))]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>",
        unk_token="<unk>", model_max_length=20,
    )  # fmt: skip
