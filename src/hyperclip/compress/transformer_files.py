"""A Hugging Face transformer in a local folder: read without code or pickles, written whole (PyTorch)."""

import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperclip.bundle.atomic import replace_folder, write_file
from hyperclip.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Transformer", "architecture_of", "load_transformer", "save_transformer", "token_batches"]

MAX_TOKENS = 512
BATCH_SIZE = 16
MAX_CONFIG_BYTES = 4 * 2**20
NOT_COPIED = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".py", ".pkl")


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """A model and its tokenizer.

    Parameters
    ----------
    folder : Path
        Where they came from.
    model : transformers.PreTrainedModel
        In evaluation mode.
    tokenizer : transformers.PreTrainedTokenizerBase
    is_causal : bool
        Whether it predicts the next token; else it encodes.
    """

    folder: Path
    model: Any
    tokenizer: Any
    is_causal: bool


def load_transformer(folder: str | Path) -> Transformer:
    """Read an encoder or a causal language model; never pickled weights, never code from the folder.

    Parameters
    ----------
    folder : str or Path
        With ``config.json``, a tokenizer, and weights as ``.safetensors``.

    Raises
    ------
    InputError
        If something of this is missing, or the model has an encoder and a decoder.
    MissingExtraError
        If PyTorch or transformers is not installed.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
        raise InputError(
            f"The folder {str(folder)[:200]!r} lacks config.json or weights as .safetensors; expected both, "
            "as other forms of weights are not read; save the model with safe_serialization=True."
        )
    try:
        import torch  # noqa: F401  # transformers without it is there and useless
        import transformers
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("torch", "transformers"):
            raise  # a broken install must not look like a missing extra
        raise MissingExtraError(
            "Pruning a transformer needs PyTorch and transformers; run `pip install 'hyperclip[train]'`."
        ) from error
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        transformers.utils.logging.disable_progress_bar()  # ours is shown instead
        config = transformers.AutoConfig.from_pretrained(folder, **options)
        name = (config.architectures or [""])[0]
        if config.is_encoder_decoder:
            raise InputError(
                f"The model {name} has an encoder and a decoder; expected one stack of blocks; take an "
                "encoder or a causal language model."
            )
        kind: Any = getattr(transformers, name, None) or transformers.AutoModel
        model = kind.from_pretrained(
            folder, config=config, use_safetensors=True, dtype="auto", local_files_only=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).strip().partition("\n")[0][:300]
        raise InputError(
            f"The transformer in {str(folder)[:200]!r} cannot be read ({reason}); expected a folder that "
            "transformers reads without code of its own; save it again."
        ) from error
    is_causal = name.endswith(("ForCausalLM", "LMHeadModel"))
    return Transformer(folder=folder, model=model.eval(), tokenizer=tokenizer, is_causal=is_causal)


def token_batches(
    transformer: Transformer, texts: Sequence[str], *, max_tokens: int = MAX_TOKENS
) -> "list[Tensor]":
    """Return token ids of shape (B, T), texts of equal length together, so without padding."""
    import torch

    limit = getattr(transformer.model.config, "max_position_embeddings", None) or max_tokens
    by_length: dict[int, list[list[int]]] = defaultdict(list)
    for text in texts:
        ids = transformer.tokenizer(text, truncation=True, max_length=min(limit, max_tokens))["input_ids"]
        if ids:
            by_length[len(ids)].append(ids)
    return [
        torch.tensor(rows[start : start + BATCH_SIZE])
        for _, rows in sorted(by_length.items())
        for start in range(0, len(rows), BATCH_SIZE)
    ]


def architecture_of(folder: str | Path) -> str | None:
    """Return the architecture that a folder's ``config.json`` names; None where it is no transformer."""
    path = Path(folder) / "config.json"
    try:
        if (
            not path.is_file()
            or path.stat().st_size > MAX_CONFIG_BYTES
            or (path.parent / "model.json").exists()
        ):
            return None
        values = json.loads(path.read_bytes())
        names = values.get("architectures") if isinstance(values, dict) else None
        return str(names[0]) if names else None
    except (OSError, ValueError, RecursionError):
        return None


def save_transformer(transformer: Transformer, folder: str | Path) -> None:
    """Write model and tokenizer; the other small files of the original folder come along.

    Parameters
    ----------
    transformer : Transformer
        Weights are stored in the types that they had.
    folder : str or Path
        New or empty; its parent must exist.

    Raises
    ------
    InputError
        If it cannot be written, or holds something already.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            f"The output {str(folder)[:200]!r} is not empty; expected a new or empty folder; choose another."
        )
    files = {
        path.name: path.read_bytes()
        for path in sorted(transformer.folder.iterdir())
        if path.is_file() and path.suffix not in NOT_COPIED and not path.name.endswith(".index.json")
    }
    with tempfile.TemporaryDirectory(prefix="hyperclip-") as place:
        transformer.model.save_pretrained(place, safe_serialization=True)
        for name in os.listdir(place):
            files[name] = Path(place, name).read_bytes()
    replace_folder(folder, files)
    for inner in sorted(path for path in transformer.folder.iterdir() if path.is_dir()):
        settings = sorted(inner.glob("*.json"))  # such as the pooling of sentence encoders
        if settings:
            (folder / inner.name).mkdir()
        for path in settings:
            write_file(folder / inner.name / path.name, path.read_bytes())
