"""The ten class names of this benchmark; imports nothing, as cold starts are timed."""

__all__ = ["NAMES"]

NAMES = (
    "cat", "dog", "cup of coffee", "cup of tea", "rocket", "airplane", "astronaut", "diver", "flower",
    "temple",
)  # fmt: skip
