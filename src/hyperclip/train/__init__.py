"""Training: one loop, recipes in TOML, checkpoints that resume bit for bit (needs PyTorch)."""

from hyperclip.train.engine import fit

__all__ = ["fit"]
