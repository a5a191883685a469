"""Is the resize inside a classifier file that of Pillow? Largest and mean difference in gray levels.

python -m benchmarks.resize.run
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from benchmarks.command import finish, make_parser, say
from benchmarks.resize.tables import tables
from onnx import TensorProto, helper, numpy_helper

from hyperclip.bundle.manifest import ImageSpec
from hyperclip.runtime.preprocess import fit_image
from hyperclip.runtime.preprocess_graph import PIXELS, preprocessing_nodes
from hyperclip.runtime.session import Session

OUT_PX = (96, 128, 160, 192, 224)
SHAPES = (  # height and width of the pictures
    (1080, 1920), (768, 1024), (480, 640), (333, 500), (300, 225), (224, 224), (225, 224), (128, 171),
    (97, 640), (64, 64), (50, 70), (32, 32), (8, 200), (1, 1),
)  # fmt: skip
MEAN, STD = (0.0, 0.0, 0.0), (1.0 / 255.0,) * 3  # so that levels come out as they are


def main() -> None:
    """Command line of the benchmark."""
    parser = make_parser(__doc__)
    options = parser.parse_args()
    shapes = SHAPES if options.limit is None else SHAPES[: options.limit]
    rng = np.random.default_rng(0)
    pictures = {
        f"{height} x {width}": {
            "noise": rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            "stripes": _stripes(height, width),
        }
        for height, width in shapes
    }
    found: dict[str, Any] = {}
    for interpolation in ("bicubic", "bilinear"):
        for size_px in OUT_PX:
            spec = ImageSpec(
                size_px=size_px,
                resize="crop",
                crop_ratio=1.0,
                interpolation=interpolation,
                mean=MEAN,
                std=STD,
            )
            session = Session(_graph(spec), where="the preprocessing", n_threads=1)
            for shape, kinds in pictures.items():
                entry = found.setdefault(interpolation, {}).setdefault(shape, {})
                differences = np.stack([_difference(session, spec, pixels) for pixels in kinds.values()])
                entry[str(size_px)] = {
                    "max_levels": float(differences[:, 0].max()),
                    "mean_levels": float(differences[:, 1].mean()),
                }
        say(f"{interpolation} is done")
    finish("resize", {"differences": found}, options, tables=tables, n_threads=1, config={"seed": 0})


def _stripes(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return black and white lines of one pixel: the pattern that aliases most."""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    levels = np.where((rows // 2 + columns) % 2 == 0, 255, 0).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, axis=2)


def _graph(spec: ImageSpec) -> bytes:
    """Return the preprocessing of a classifier file alone."""
    nodes, constants = preprocessing_nodes(spec)
    body = helper.make_graph(
        nodes,
        "preprocessing",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, ["batch", 3, spec.size_px, spec.size_px])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _difference(session: Session, spec: ImageSpec, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the largest and the mean absolute difference of one picture."""
    from PIL import Image

    wanted = fit_image(Image.fromarray(pixels), spec=spec).astype(np.float32)
    (found,) = session.run([PIXELS], {"images": pixels[None]})
    difference = np.abs(np.asarray(found, np.float32)[0].transpose(1, 2, 0) - wanted)
    return np.array([difference.max(), difference.mean()], np.float32)


if __name__ == "__main__":
    main()
