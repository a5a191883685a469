"""What an arm gave: accuracy clean and corrupted, sharpness, bytes and latency of its ONNX file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from benchmarks.adasap.pictures import Pictures, normalized
from benchmarks.latency.rounds import ratio, take_turns
from torch import Tensor, nn
from torch.nn import functional

from hyperclip.export.onnx_encoder import torch_to_onnx
from hyperclip.train.sam import climbed, perturbations

__all__ = ["correct", "latency_ratios", "sharpness", "to_onnx"]

BATCH_SIZE = 250
_RADIUS = 0.05


@torch.no_grad()
def correct(network: nn.Module, pictures: Pictures) -> npt.NDArray[np.bool_]:
    """Whether each picture is classified rightly."""
    parts = []
    for start in range(0, len(pictures), BATCH_SIZE):
        images = normalized(pictures.images[start : start + BATCH_SIZE])
        logits = network(images.contiguous(memory_format=torch.channels_last))
        parts.append(logits.argmax(dim=1).numpy() == pictures.target[start : start + BATCH_SIZE])
    return np.concatenate(parts)


def sharpness(network: nn.Module, pictures: Pictures) -> float:
    """Rise of the loss on pictures at the worst weights within SAM's ball of radius 0.05."""
    images, target = normalized(pictures.images), torch.from_numpy(pictures.target)

    def loss() -> Tensor:
        return functional.cross_entropy(network(images), target)

    network.zero_grad()
    start = loss()
    start.backward()
    weights = [parameter for parameter in network.parameters() if parameter.grad is not None]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    up = perturbations(weights, gradients, [_RADIUS] * len(weights), is_relative=False, is_global=True)
    with climbed(weights, up), torch.no_grad():
        rise = float(loss() - start)
    network.zero_grad()
    return rise


def to_onnx(network: nn.Module) -> bytes:
    """The network as an ONNX file of float32."""
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    plain = network.to(memory_format=torch.contiguous_format)
    model = torch_to_onnx(
        plain, (torch.zeros(2, 3, 64, 64),), names=["images"], outputs=["logits"], dynamic=({0: batch},)
    )
    data: bytes = model.SerializeToString()
    return data


def latency_ratios(files: Mapping[str, bytes], base: str, *, n_rounds: int) -> dict[str, Any]:
    """Time of a picture in each file over that in `base`, in alternating turns on one thread."""
    image = np.zeros((1, 3, 64, 64), np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    sessions = {
        name: onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        for name, data in files.items()
    }
    times = take_turns(
        {
            name: (lambda session=session: session.run(None, {"images": image}))
            for name, session in sessions.items()
        },
        n_rounds=n_rounds,
        seconds_a_turn=0.2,
    )
    return {
        name: {**found.summary(), "ratio_cpu": ratio(found.cpu_ms, times[base].cpu_ms)}
        for name, found in times.items()
    }
