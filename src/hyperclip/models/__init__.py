"""Image encoders, text encoders, hypernetworks and the model that joins them (needs PyTorch)."""

from hyperclip.models.compact import CompactEncoder
from hyperclip.models.conditioned_norm import ConditionedNorm, condition_norms
from hyperclip.models.heads import ClassHead, HeadConfig, LinearHead, MixtureHead, MixturePlusLinearHead
from hyperclip.models.hyperclip import HyperCLIP, HyperCLIPConfig, mean_by_class
from hyperclip.models.hypernetwork import Hypernetwork, HypernetworkConfig, TokenContext
from hyperclip.models.image_encoder import ImageEncoder, ImageEncoderConfig, mix_weights
from hyperclip.models.text_encoder import HuggingFaceTextEncoder, TextEncoder, TextEncoderConfig

__all__ = [
    "ClassHead",
    "CompactEncoder",
    "ConditionedNorm",
    "HeadConfig",
    "HuggingFaceTextEncoder",
    "HyperCLIP",
    "HyperCLIPConfig",
    "Hypernetwork",
    "HypernetworkConfig",
    "ImageEncoder",
    "ImageEncoderConfig",
    "LinearHead",
    "MixtureHead",
    "MixturePlusLinearHead",
    "TextEncoder",
    "TextEncoderConfig",
    "TokenContext",
    "condition_norms",
    "mean_by_class",
    "mix_weights",
]
