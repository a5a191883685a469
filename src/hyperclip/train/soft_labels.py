"""Label caches of pictures softly with a trained image encoder, for what is distilled from it.

``python -m hyperclip.train.soft_labels RUN CACHE... --size-px 160 --file soft-small.npy`` writes the concept
logits of every picture into each cache's folder; ``none`` as RUN asks the untouched encoder.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
import torch

from hyperclip.bundle.atomic import write_file
from hyperclip.data.cache import ImageCache
from hyperclip.data.prepare import soft_labels
from hyperclip.errors import HyperclipError, InputError
from hyperclip.models import ImageEncoder, ImageEncoderConfig
from hyperclip.train.trained_encoder import load_image_encoder

__all__ = ["label_softly"]


@torch.inference_mode()
def label_softly(
    run: Path | None, cache: Path, *, size_px: int, share: float = 1.0, file: str = "soft.npy"
) -> Path:
    """Write the concept logits of every picture of a cache, as float16.

    Parameters
    ----------
    run : Path or None
        Finished run whose EfficientNet-Lite0 is asked; None for the untouched one.
    cache : Path
        Folder of the cache; the file is written into it.
    size_px : int
        Side at which the encoder sees the pictures.
    share : float
        Share of the run's weights, see `hyperclip.models.mix_weights`.
    file : str
        Plain name of the file.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    InputError
        If the file's name is a path, or run or cache cannot be read.
    """
    if Path(file).name != file or not file.endswith(".npy"):
        raise InputError(f"The file is called {file!r}; expected a plain name that ends in .npy; rename it.")
    encoder = ImageEncoder(ImageEncoderConfig(init="package"))
    if run is not None:
        load_image_encoder(encoder, run, share=share)
    pictures = ImageCache.open(cache)

    def report(n_done: int) -> None:
        print(f"\r{cache}: {n_done:,} of {len(pictures):,}", end="", file=sys.stderr, flush=True)

    logits = soft_labels(pictures, size_px=size_px, encoder=encoder, on_progress=report)
    print(file=sys.stderr)
    buffer = io.BytesIO()
    np.save(buffer, logits)
    write_file(cache / file, buffer.getvalue())
    return cache / file


def main(arguments: list[str] | None = None) -> None:
    """Command line of `label_softly`."""
    parser = argparse.ArgumentParser(prog="python -m hyperclip.train.soft_labels", description=__doc__)
    parser.add_argument("run", help="finished run, or 'none' for the untouched encoder")
    parser.add_argument("caches", type=Path, nargs="+")
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--share", type=float, default=1.0, help="share of the run's weights")
    parser.add_argument("--file", default="soft.npy")
    options = parser.parse_args(arguments)
    run = None if options.run == "none" else Path(options.run)
    try:
        for cache in options.caches:
            label_softly(run, cache, size_px=options.size_px, share=options.share, file=options.file)
    except HyperclipError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
