"""A bundle's image encoder as a module that can be put into the context of a list of names.

What the names generate is added to the neutral scales and shifts, which learn. Channels that go take their
generated parameters with them; which ones are left is kept here.

Legend: K contexts, P generated parameters, F channels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from hyperclip.bundle.manifest import GeneratedParameter
from hyperclip.compress.graph_layers import StoredScale
from hyperclip.compress.graph_module import GraphModule
from hyperclip.errors import InputError
from hyperclip.models.channel_groups import ChannelGroup
from hyperclip.models.channel_removal import Cuts
from hyperclip.train.channel_importance import TaylorScores
from hyperclip.train.sam import neuron_norms

__all__ = ["ContextEncoder", "ContextTaylor"]


class ContextEncoder:
    """An encoder beside the contexts that it must serve.

    Parameters
    ----------
    model : onnx.ModelProto
        Plain float32, from `hyperclip.compress.encoder_file.plain_model`.
    layout : sequence of GeneratedParameter
        Of the bundle.
    contexts_KP : ndarray of shape (n_contexts, n_generated), float32
        Final values that lists of names generate; the neutral ones come besides.

    Raises
    ------
    InputError
        If the graph is not a convolutional encoder, or something other than scales and shifts of channels is
        generated.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        layout: Sequence[GeneratedParameter],
        contexts_KP: npt.NDArray[np.float32],
    ) -> None:
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.module = GraphModule(model.graph.node, constants, source="images", output="embedding").eval()
        self._model, self._layout = model, layout
        known = self.module.scales()
        n_reads = [name for node in model.graph.node for name in node.input]
        operators = {name: node.op_type for node in model.graph.node for name in node.input}
        for item in layout:
            if item.name not in known or n_reads.count(item.name) != 1:
                raise InputError(
                    f"The generated parameter {item.name!r} is no scale or shift of channels; expected those "
                    "of norms, as others cannot be pruned here; specialize the model first."
                )
            if operators[item.name] not in ("Mul", "Add"):
                raise InputError(
                    f"The generated parameter {item.name!r} is read by {operators[item.name]}; expected Mul "
                    "or Add; specialize the model first."
                )
        self._keys = {item.name: known[item.name] for item in layout}
        self._places = {item.name: torch.arange(item.offset, item.offset + item.size) for item in layout}
        self._neutral_P = torch.cat(
            [torch.from_numpy(np.array(constants[item.name], np.float32)).reshape(-1) for item in layout]
            or [torch.zeros(0)]
        )
        self._offsets_KP = torch.from_numpy(contexts_KP) - self._neutral_P

    @property
    def n_contexts(self) -> int:
        """Number K of contexts besides the neutral one."""
        return len(self._offsets_KP)

    @property
    def kept(self) -> npt.NDArray[np.int64]:
        """Places of the generated parameters that are left, ascending."""
        parts = [self._places[item.name].numpy() for item in self._layout]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    @property
    def layout(self) -> tuple[GeneratedParameter, ...]:
        """The layout of those that are left."""
        found, end = [], 0
        for item in self._layout:
            size = len(self._places[item.name])
            found.append(GeneratedParameter(name=item.name, size=size, offset=end))
            end += size
        return tuple(found)

    @property
    def neutral_shift(self) -> npt.NDArray[np.float32]:
        """How far the neutral values that are left were moved from the given ones."""
        if not self._layout:
            return np.zeros(0, np.float32)
        now = torch.cat([self._scale(item.name).weight.detach() for item in self._layout])
        return (now - self._neutral_P[torch.from_numpy(self.kept)]).numpy()

    def _scale(self, name: str) -> StoredScale:
        layer = self.module.layers[self._keys[name]]
        assert isinstance(layer, StoredScale)
        return layer

    def enter(self, context: int | None) -> None:
        """Put the encoder into a context; None for the neutral state."""
        for name, places in self._places.items():
            self._scale(name).offset = None if context is None else self._offsets_KP[context, places]

    def forget(self, cuts: Cuts) -> None:
        """Leave out the parameters of channels that were just removed."""
        for name, key in self._keys.items():
            kept = cuts.get(f"layers.{key}.weight", {}).get(0)
            if kept is not None:
                self._places[name] = self._places[name][kept]

    def written(self) -> onnx.ModelProto:
        """The graph with the weights of the module, in the neutral state; generated ones keep their names."""
        self.enter(None)
        return self.module.written(self._model, named=frozenset(self._keys))

    def lengths(self, module: nn.Module, groups: Sequence[ChannelGroup]) -> dict[str, Tensor]:
        """Length of each channel's weights as they are in the contexts: times the mean scale behind them.

        Summed over the layers that make the channel; shape (F,) for each group.
        """
        behind = self.module.scale_behind()
        names = {key: name for name, key in self._keys.items()}
        parameters = dict(module.named_parameters())
        found = {}
        for group in groups:
            total = torch.zeros(group.n_channels)
            for maker in group.makers:
                length = neuron_norms(parameters[maker])
                key = behind.get(maker.removeprefix("layers.").removesuffix(".weight"))
                total += length if key is None else length * self._mean_scale(key, names.get(key))
            found[group.name] = total
        return found

    def _mean_scale(self, key: str, name: str | None) -> Tensor:
        """Mean size of a scale over the neutral state and the contexts, shape (F,)."""
        layer = self.module.layers[key]
        assert isinstance(layer, StoredScale)
        neutral = layer.weight.detach()[None]
        if name is None or not self.n_contexts:
            return neutral[0].abs()
        offsets = self._offsets_KP[:, self._places[name]]
        return torch.cat([neutral, neutral + offsets]).abs().mean(dim=0)


class ContextTaylor(TaylorScores):
    """Taylor scores at the generated scales and shifts themselves, as they are in the batch's context."""

    def effects(self, model: nn.Module, group: ChannelGroup) -> list[Tensor]:
        """Scale times its gradient plus shift times its own, for each pair of the group."""
        assert isinstance(model, GraphModule)
        names = [place.tensor for place in group.places if place.tensor.endswith(".weight")]
        layers = [model.get_submodule(name.removesuffix(".weight")) for name in names]
        scales = [layer for layer in layers if isinstance(layer, StoredScale)]
        effects = [
            layer.values.detach() * (0 if layer.weight.grad is None else layer.weight.grad)
            for layer in scales
        ]
        multiplied = [effect for effect, layer in zip(effects, scales, strict=True) if not layer.adds]
        added = [effect for effect, layer in zip(effects, scales, strict=True) if layer.adds]
        if not multiplied or len(multiplied) != len(added):
            return super().effects(model, group)
        return [one + other for one, other in zip(multiplied, added, strict=True)]
