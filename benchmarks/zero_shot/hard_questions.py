"""Photographs that may be shown to anybody, with questions about them that are hard.

All come with scikit-image and are in the public domain or CC0 (`skimage.data` says so of each).
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

__all__ = ["QUESTIONS", "Question", "picture_path"]


class Question(NamedTuple):
    """A picture and a list of names, the right one first."""

    file: str
    names: tuple[str, ...]


QUESTIONS = (
    Question("chelsea.png", ("tabby cat", "Persian cat", "Siamese cat", "lynx", "tiger")),
    Question("coffee.png", ("espresso", "cappuccino", "cup of tea", "hot chocolate", "soup")),
    Question("rocket.jpg", ("rocket launch", "lighthouse", "fireworks", "chimney", "oil rig")),
    Question("astronaut.png", ("astronaut", "diver", "pilot", "firefighter", "racing driver")),
    Question("camera.png", ("photographer", "golfer", "soldier", "telescope", "surveyor")),
    Question("clock_motion.png", ("wall clock", "compass", "plate", "steering wheel", "drum")),
    Question("horse.png", ("horse", "cow", "dog", "deer", "camel")),
    Question("brick.png", ("brick wall", "stone wall", "roof tiles", "gravel", "wooden floor")),
    Question("grass.png", ("lawn", "moss", "straw", "carpet", "fur")),
    Question("gravel.png", ("gravel", "sand", "asphalt", "snow", "beans")),
    Question("text.png", ("handwriting", "printed page", "street map", "crossword", "envelope")),
    Question("hubble_deep_field.jpg", ("galaxies", "fireworks", "jellyfish", "snowflakes", "city at night")),
    Question("retina.jpg", ("retina of an eye", "full moon", "orange", "planet", "lamp")),
    Question("cell.png", ("cell under a microscope", "soap bubble", "jellyfish", "contact lens", "egg")),
)


def picture_path(question: Question) -> Path:
    """Return where the picture is installed."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image is not installed; its photographs are needed; run `make test` once.")
    return Path(spec.origin).parent / "data" / question.file
