"""Classify arrays (a camera's frames, a data set's images) and use the embeddings for your own ends."""

import numpy as np

import hyperclip


def main() -> None:
    """Classify synthetic frames; RGB, uint8, of any size."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (4, 240, 320, 3), dtype=np.uint8)

    classifier = hyperclip.load("small").specialize(
        ["mouse", "keyboard", "cable"],
        descriptions={"cable": "a cord that carries electricity or data"},  # your words win
        image_size_px=128,  # smaller is faster
    )
    probabilities = classifier.predict_proba(frames)  # (4, 3), each row sums to 1
    embeddings = classifier.embed(frames)  # (4, D): what a head of your own can be fitted on
    print(f"{probabilities.shape=} {embeddings.shape=}")

    certain = probabilities.max(axis=1) > 0.9  # your threshold, found on your own pictures
    for answer, is_certain in zip(classifier.predict(frames), certain, strict=True):
        print(answer if is_certain else f"perhaps {answer}")


if __name__ == "__main__":
    main()
