"""A small causal language model with random weights: that the plumbing holds, not that anything is kept."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.wanda.arms import Arm

from hyperclip.compress.transformer_files import Transformer

__all__ = ["CausalModel"]

N_CALIBRATION = 64
N_JUDGED = 64


class CausalModel:
    """A Llama of four blocks over word pieces of the bundled tokenizer.

    Parameters
    ----------
    captions : list of str
        Training captions; the first ones judge, others calibrate.
    """

    def __init__(self, captions: list[str]) -> None:
        import torch
        import transformers
        from tokenizers import Tokenizer

        from hyperclip.zoo import find_bundle

        tokenizer = Tokenizer.from_file(str(find_bundle("small") / "tokenizer.json"))
        torch.manual_seed(0)
        config = transformers.LlamaConfig(
            vocab_size=tokenizer.get_vocab_size(), hidden_size=128, intermediate_size=256,
            num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
        )  # fmt: skip
        fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
        model = transformers.LlamaForCausalLM(config).eval()
        for name, parameter in model.named_parameters():
            if "proj" in name:
                parameter.data.mul_(2)  # as they are, blocks hardly change the hidden states
        self._place = tempfile.TemporaryDirectory(prefix="hyperclip-")
        model.save_pretrained(self._place.name, safe_serialization=True)
        fast.save_pretrained(self._place.name)
        self._captions = captions

    def _load(self) -> Transformer:
        from hyperclip.compress.transformer_files import load_transformer

        return load_transformer(Path(self._place.name))

    def measure(self, arm: Arm) -> dict[str, Any]:
        """Prune, and compare the likeliest next tokens with those of the dense model."""
        from hyperclip.compress.transformer import prune_transformer
        from hyperclip.compress.transformer_measure import next_tokens

        dense = self._load()
        judged = self._captions[:N_JUDGED]
        texts = self._captions[N_JUDGED : N_JUDGED + N_CALIBRATION]
        pruned, report = prune_transformer(dense, texts, arm.config())
        old, new = (next_tokens(model, judged)[0] for model in (dense, pruned))
        return {"agreement": float((old == new).mean()), "n": len(old), "n_layers": len(report.layers)}
