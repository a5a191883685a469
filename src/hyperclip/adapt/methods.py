"""The table of methods: a name to the class that does it. scikit-learn."""

from collections.abc import Mapping

from hyperclip.adapt.adapter import Adapter
from hyperclip.adapt.auto import Auto
from hyperclip.adapt.gda import GDA
from hyperclip.adapt.linear_probe import LinearProbe
from hyperclip.adapt.prototype import Prototype
from hyperclip.adapt.slr_avd import SLRAVD
from hyperclip.adapt.wise import Wise
from hyperclip.adapt.zero_shot import ZeroShot

__all__ = ["METHODS", "TRAINING_METHODS"]

METHODS: Mapping[str, type[Adapter]] = {
    "auto": Auto,
    "zero_shot": ZeroShot,
    "prototype": Prototype,
    "linear_probe": LinearProbe,
    "gda": GDA,
    "wise": Wise,
    "slr_avd": SLRAVD,
}

# These train the encoder too: they see the pictures themselves and load PyTorch (extra `train`), so that
# `auto` does not try them. Which module does it is known to `hyperclip.adapt.adapted`.
TRAINING_METHODS = ("slr_ft",)
