"""A model folder of a few kilobytes with everything that a real one has; made in milliseconds.

Shape letters: R texts, T tokens, E text dim, C classes, D embedding dim, F channels.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from hyperclip.bundle import (
    GeneratedParameter,
    HeadSpec,
    ImageSpec,
    Manifest,
    Shares,
    TextSpec,
    write_bundle,
)

TEXT_DIM = 6
DIM = 10
N_CHANNELS = 8
CONTEXT_LENGTH = 12
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")

Array = npt.NDArray[np.generic]
Pictures = list[npt.NDArray[np.uint8]]


def make_tokenizer() -> bytes:
    """Return a word-piece tokenizer of single Latin letters and digits, with start and end tokens."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789:.,-'"
    words = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), "cat", "dog", "photo"]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer.to_str().encode()


def make_model(
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, Array],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
) -> bytes:
    """Return a serialized model, opset 18, IR 8."""
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def make_encoder(*, seed: int = 0) -> bytes:
    """Return two convolutions with conditioned norms, float16 weights, and a projection to D numbers."""
    rng = np.random.default_rng(seed)
    f = N_CHANNELS
    constants: dict[str, Array] = {
        "stem.weight": rng.normal(0, 0.3, (f, 3, 3, 3)).astype(np.float16),
        "norm1.scale": rng.uniform(0.5, 1.5, (f, 1, 1)).astype(np.float32),
        "norm1.shift": rng.normal(0, 0.2, (f, 1, 1)).astype(np.float32),
        "depthwise.weight": rng.normal(0, 0.5, (f, 1, 3, 3)).astype(np.float32),
        "depthwise.bias": rng.normal(0, 0.1, f).astype(np.float32),
        "norm2.scale": rng.uniform(0.5, 1.5, (f, 1, 1)).astype(np.float32),
        "norm2.shift": rng.normal(0, 0.2, (f, 1, 1)).astype(np.float32),
        "projection.weight": rng.normal(0, 0.2, (DIM, f)).astype(np.float16),
    }
    make = helper.make_node
    nodes = [
        make("Cast", ["stem.weight"], ["stem.weight32"], to=TensorProto.FLOAT),
        make("Conv", ["images", "stem.weight32"], ["c1"], name="stem", pads=[0, 0, 1, 1], strides=[2, 2]),
        make("Mul", ["c1", "norm1.scale"], ["m1"]),
        make("Add", ["m1", "norm1.shift"], ["a1"]),
        make("Relu", ["a1"], ["r1"]),
        make(
            "Conv",
            ["r1", "depthwise.weight", "depthwise.bias"],
            ["c2"],
            name="depthwise",
            group=f,
            pads=[1] * 4,
        ),
        make("Mul", ["norm2.scale", "c2"], ["m2"]),
        make("Add", ["norm2.shift", "m2"], ["a2"]),
        make("Add", ["a2", "r1"], ["residual"]),
        make("GlobalAveragePool", ["residual"], ["pooled"]),
        make("Flatten", ["pooled"], ["flat"]),
        make("Cast", ["projection.weight"], ["projection.weight32"], to=TensorProto.FLOAT),
        make("Gemm", ["flat", "projection.weight32"], ["embedding"], transB=1),
    ]
    return make_model(
        nodes,
        constants,
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, "height", "width"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIM])],
    )


def layout() -> tuple[GeneratedParameter, ...]:
    """Return where each generated parameter lies."""
    names = ("norm1.scale", "norm1.shift", "norm2.scale", "norm2.shift")
    return tuple(
        GeneratedParameter(name=name, size=N_CHANNELS, offset=index * N_CHANNELS)
        for index, name in enumerate(names)
    )


def make_specializer(encoder: bytes, *, kind: str = "linear", n_tokens: int = 89, seed: int = 1) -> bytes:
    """Return a bag of int8 token vectors, a mean by class, and a set function of two moments."""
    rng = np.random.default_rng(seed)
    neutral = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.ModelProto.FromString(encoder).graph.initializer
    }
    start = np.concatenate([neutral[parameter.name].reshape(-1) for parameter in layout()])
    constants: dict[str, Array] = {
        "table": rng.integers(-127, 128, (n_tokens, TEXT_DIM)).astype(np.int8),
        "axis0": np.array([0], np.int64),
        "axis1": np.array([1], np.int64),
        "axis2": np.array([2], np.int64),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "epsilon": np.array(1e-9, np.float32),
        "start": start.astype(np.float32),
        "spread": rng.normal(0, 0.5, (2 * TEXT_DIM, len(start))).astype(np.float32),
        "concepts": rng.normal(0, 1.0, (TEXT_DIM, DIM)).astype(np.float32),
    }
    make = helper.make_node
    nodes = [
        make("Gather", ["table", "token_ids"], ["vectors8"]),
        make("Cast", ["vectors8"], ["vectors"], to=TensorProto.FLOAT),
        make("Cast", ["mask"], ["mask_float"], to=TensorProto.FLOAT),
        make("Unsqueeze", ["mask_float", "axis2"], ["mask_column"]),
        make("Mul", ["vectors", "mask_column"], ["masked"]),
        make("ReduceSum", ["masked", "axis1"], ["bag"], keepdims=0),
        make("LpNormalization", ["bag"], ["row_text"], axis=1),
        make("ReduceMax", ["class_index"], ["last"], keepdims=0),
        make("Add", ["last", "one"], ["n_classes"]),
        make("Range", ["zero", "n_classes", "one"], ["classes"]),
        make("Unsqueeze", ["classes", "axis1"], ["class_column"]),
        make("Equal", ["class_column", "class_index"], ["belongs"]),
        make("Cast", ["belongs"], ["belongs_float"], to=TensorProto.FLOAT),
        make("MatMul", ["belongs_float", "row_text"], ["class_sum"]),
        make("LpNormalization", ["class_sum"], ["class_text"], axis=1),
        make("ReduceMean", ["class_text", "axis0"], ["first"], keepdims=0),
        make("Mul", ["class_text", "class_text"], ["squares"]),
        make("ReduceMean", ["squares", "axis0"], ["second"], keepdims=0),
        make("Concat", ["first", "second"], ["moments"], axis=0),
        make("MatMul", ["moments", "spread"], ["change"]),
        make("Tanh", ["change"], ["bounded"]),
        make("Add", ["start", "bounded"], ["generated"]),
        make("MatMul", ["class_text", "concepts"], ["similarity"]),
        *_head_nodes(kind),
        make("ReduceSum", ["class_text", "axis1"], ["bias"], keepdims=0),
    ]
    rows = helper.make_tensor_value_info("token_ids", TensorProto.INT64, ["rows", "tokens"])
    mask = helper.make_tensor_value_info("mask", TensorProto.INT64, ["rows", "tokens"])
    class_index = helper.make_tensor_value_info("class_index", TensorProto.INT64, ["rows"])
    return make_model(
        nodes,
        constants,
        [rows, mask, class_index],
        [
            helper.make_tensor_value_info("head", TensorProto.FLOAT, ["classes", None]),
            helper.make_tensor_value_info("bias", TensorProto.FLOAT, ["classes"]),
            helper.make_tensor_value_info("generated", TensorProto.FLOAT, [len(start)]),
        ],
    )


def _head_nodes(kind: str) -> list[onnx.NodeProto]:
    """Return what makes the rows of the head from similarities."""
    make = helper.make_node
    if kind == "linear":
        return [make("Identity", ["similarity"], ["head"])]
    if kind == "log_mixture":
        return [make("Softmax", ["similarity"], ["head"])]
    return [
        make("Softmax", ["similarity"], ["mixture"]),
        make("Concat", ["mixture", "similarity"], ["head"], axis=1),
    ]


def make_manifest(
    *, kind: str = "linear", resize: str = "crop", crop_ratio: float = 1.0, temperature: float | None = 0.5
) -> Manifest:
    """Return what the tiny model says about itself."""
    return Manifest(
        name="tiny",
        version="0.0.1",
        licence="Apache-2.0",
        commercial_use="A toy for tests, not worth selling.",
        training_data=("none",),
        origin="Random numbers with a fixed seed.",
        images=ImageSpec(
            size_px=32,
            sizes_px=(16, 32),
            resize=resize,
            crop_ratio=crop_ratio,
            interpolation="bicubic",
            mean=(0.5, 0.4, 0.3),
            std=(0.2, 0.3, 0.4),
        ),
        text=TextSpec(
            templates=("{}", "a photo of a {}."),
            context_length=CONTEXT_LENGTH,
            lowercase=True,
            pad_token="[PAD]",
            unknown_token="[UNK]",
            start_token="[CLS]",
            end_token="[SEP]",
        ),
        head=HeadSpec(
            kind=kind,
            dim=DIM,
            text_dim=TEXT_DIM,
            logit_scale=1.0,
            logit_bias=0.0,
            activation="softmax",
            temperature=temperature,
        ),
        generated=layout(),
    )


def make_files(*, kind: str = "linear") -> dict[str, bytes]:
    """Return the required files and one optional one."""
    encoder = make_encoder()
    return {
        "encoder.onnx": encoder,
        "specializer.onnx": make_specializer(encoder, kind=kind),
        "tokenizer.json": make_tokenizer(),
        "README.md": b"# tiny\n",
    }


def make_hypernetwork(*, n_generated: int = 4 * N_CHANNELS, seed: int = 5) -> bytes:
    """Return what turns class vectors into parameters: a random map of their mean."""
    rng = np.random.default_rng(seed)
    constants: dict[str, Array] = {
        "axis0": np.array([0], np.int64),
        "spread": rng.normal(0, 0.5, (TEXT_DIM, n_generated)).astype(np.float32),
    }
    make = helper.make_node
    return make_model(
        [
            make("ReduceMean", ["class_text", "axis0"], ["mean"], keepdims=0),
            make("MatMul", ["mean", "spread"], ["generated"]),
        ],
        constants,
        [helper.make_tensor_value_info("class_text", TensorProto.FLOAT, ["classes", TEXT_DIM])],
        [helper.make_tensor_value_info("generated", TensorProto.FLOAT, [n_generated])],
    )


def write_pair(folder: Path, *, kind: str = "linear", hypernetwork: bytes | None = None) -> Manifest:
    """Write ``tiny``, and ``micro`` beside it, which has an encoder of its own and shares the rest.

    Without a hypernetwork nothing of the encoder of ``micro`` is generated.
    """
    lender = write_bundle(folder / "tiny", make_manifest(kind=kind), make_files(kind=kind))
    shared = {name: lender.files[name] for name in ("specializer.onnx", "tokenizer.json")}
    manifest = dataclasses.replace(
        make_manifest(kind=kind, temperature=0.7),
        name="micro",
        generated=() if hypernetwork is None else layout(),
        shares=Shares(bundle="tiny", files=shared),
    )
    files = {"encoder.onnx": make_encoder(seed=9), "README.md": b"# micro\n"}
    if hypernetwork is not None:
        files["hypernetwork.onnx"] = hypernetwork
    return write_bundle(folder / "micro", manifest, files)
