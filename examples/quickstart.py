"""Make a classifier from class names, ask it about a picture, keep it as a file, use it again."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import hyperclip


def main(photo: str) -> None:
    """Classify one photograph."""
    model = hyperclip.load("small")
    classifier = model.specialize(["cat", "dog", "cup of coffee"])
    for name, meaning in zip(classifier.classes_, classifier.metadata.meanings, strict=True):
        print(f"{name}: {meaning.text}")

    probabilities = classifier.predict_proba(photo)[0]
    for index in (-probabilities).argsort():
        print(f"{probabilities[index]:6.1%}  {classifier.classes_[index]}")

    with TemporaryDirectory() as folder:
        path = Path(folder, "pets.onnx")
        classifier.save(path)  # an ordinary ONNX file: no hyperclip is needed to run it
        again = hyperclip.Classifier.load(path)
        print("The file says:", again.predict(photo)[0])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else sys.exit("usage: python examples/quickstart.py PHOTO"))
