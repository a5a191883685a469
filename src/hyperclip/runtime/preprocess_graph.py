"""Preprocessing as ONNX operators: uint8 pictures of any size to the encoder's normalized pixels.

`hyperclip.runtime.preprocess.fit_image` does the same with Pillow; a test keeps the two together.
"""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from hyperclip.bundle.specs import MAX_PROPORTION, ImageSpec

__all__ = ["PIXELS", "Parts", "preprocessing_nodes"]

PIXELS = "preprocess/pixels"  # normalized float32 (batch, 3, S, S)
PILLOW_CUBIC_A = -0.5
INTERPOLATIONS = {"bicubic": "cubic", "bilinear": "linear"}

Parts = tuple[list[onnx.NodeProto], dict[str, npt.NDArray[np.generic]]]


def preprocessing_nodes(images: ImageSpec) -> Parts:
    """Return operators and constants from the input ``images`` to the tensor `PIXELS`.

    With `crop` the square is cut out before the resize, so that a picture of extreme proportions costs
    nothing; with `shortest` what lies far outside the square is cut off first.
    Columns are resized before rows, with whole levels between, because Pillow does so: in one step,
    overshoot that Pillow clips in the middle would survive, up to 27 levels of it in noise.

    Parameters
    ----------
    images : ImageSpec
        Size, crop, interpolation and normalization.

    Returns
    -------
    nodes : list of onnx.NodeProto
        From uint8 (batch, height, width, 3) to float32 (batch, 3, S, S).
    constants : dict of str to ndarray
        What they read besides.
    """
    make = helper.make_node
    constants: dict[str, npt.NDArray[np.generic]] = {
        "preprocess/size": np.array([images.size_px], np.int64),
        "preprocess/black": np.array(0.0, np.float32),
        "preprocess/white": np.array(255.0, np.float32),
        "preprocess/mean": (np.array(images.mean) * 255.0).astype(np.float32).reshape(1, 3, 1, 1),
        "preprocess/gain": (1.0 / (np.array(images.std) * 255.0)).astype(np.float32).reshape(1, 3, 1, 1),
    }
    cut, cut_constants = _CUTS[images.resize](images)
    resize, resize_constants = (_resize_shortest if images.is_resized_first else _resize_square)(images)
    constants.update({**cut_constants, **resize_constants})
    nodes = [
        *cut,
        make("Transpose", ["preprocess/part" if cut else "images"], ["preprocess/planes"], perm=[0, 3, 1, 2]),
        make("Cast", ["preprocess/planes"], ["preprocess/float"], to=TensorProto.FLOAT),
        *resize,
        make("Sub", ["preprocess/levels", "preprocess/mean"], ["preprocess/centered"]),
        make("Mul", ["preprocess/centered", "preprocess/gain"], [PIXELS]),
    ]
    for node in nodes:
        node.name = node.output[0]
    return nodes, constants


def _resize_square(images: ImageSpec) -> Parts:
    """Return the resize of ``preprocess/float`` to the square of the encoder."""
    constants = {"preprocess/size": np.array([images.size_px], np.int64)}
    nodes = [
        *_resize_nodes("preprocess/float", "preprocess/columns", 3, images.interpolation, "preprocess/size"),
        *_resize_nodes("preprocess/columns", "preprocess/levels", 2, images.interpolation, "preprocess/size"),
    ]
    return nodes, dict(constants)


def _resize_shortest(images: ImageSpec) -> Parts:
    """Return the resize of the shorter side and the cut of the middle square, column by column first.

    Both sides shrink by the same factor, the longer one down to whole pixels; where the square starts is
    rounded as the spec says.
    """
    make = helper.make_node
    constants: dict[str, npt.NDArray[np.generic]] = {
        "preprocess/size": np.array([images.size_px], np.int64),
        "preprocess/resize_px": np.array([images.resize_px], np.int64),
        "preprocess/height_at": np.array([0], np.int64),
        "preprocess/width_at": np.array([1], np.int64),
        "preprocess/axis_2": np.array([2], np.int64),
        "preprocess/axis_3": np.array([3], np.int64),
    }
    nodes = [
        make("Mul", ["preprocess/kept", "preprocess/resize_px"], ["preprocess/enlarged"]),
        make("Div", ["preprocess/enlarged", "preprocess/shorter"], ["preprocess/targets"]),
        make("Sub", ["preprocess/targets", "preprocess/size"], ["preprocess/rest"]),
    ]
    if images.resize == "shortest_floor":
        constants["preprocess/two"] = np.array([2], np.int64)
        nodes.append(make("Div", ["preprocess/rest", "preprocess/two"], ["preprocess/offsets"]))
    else:
        constants["preprocess/half"] = np.array([0.5], np.float64)
        nodes += [
            make("Cast", ["preprocess/rest"], ["preprocess/rest_real"], to=TensorProto.DOUBLE),
            make("Mul", ["preprocess/rest_real", "preprocess/half"], ["preprocess/rest_half"]),
            make("Round", ["preprocess/rest_half"], ["preprocess/rest_even"]),
            make("Cast", ["preprocess/rest_even"], ["preprocess/offsets"], to=TensorProto.INT64),
        ]
    source = "preprocess/float"
    for side, axis, result in (("width", 3, "preprocess/columns"), ("height", 2, "preprocess/levels")):
        target, first, last = (f"preprocess/{side}_{what}" for what in ("target", "first", "last"))
        nodes += [
            make("Gather", ["preprocess/targets", f"preprocess/{side}_at"], [target]),
            make("Gather", ["preprocess/offsets", f"preprocess/{side}_at"], [first]),
            make("Add", [first, "preprocess/size"], [last]),
            *_resize_nodes(source, f"{result}_all", axis, images.interpolation, target),
            make("Slice", [f"{result}_all", first, last, f"preprocess/axis_{axis}"], [result]),
        ]
        source = result
    return nodes, constants


def _resize_nodes(source: str, result: str, axis: int, interpolation: str, size: str) -> list[onnx.NodeProto]:
    """Return an antialiased resize of one axis, then whole levels from 0 to 255."""
    make = helper.make_node
    cubic = {"cubic_coeff_a": PILLOW_CUBIC_A} if interpolation == "bicubic" else {}
    return [
        make(
            "Resize",
            [source, "", "", size],
            [f"{result}_real"],
            mode=INTERPOLATIONS[interpolation],
            antialias=1,
            axes=[axis],
            exclude_outside=1,  # Pillow normalizes the weights inside the picture
            **cubic,
        ),
        make("Round", [f"{result}_real"], [f"{result}_whole"]),
        make("Clip", [f"{result}_whole", "preprocess/black", "preprocess/white"], [result]),
    ]


def _cut_square(images: ImageSpec) -> Parts:
    """Return the nodes that cut out the centered square of side max(1, round(shorter side * ratio))."""
    make, crop_ratio = helper.make_node, images.crop_ratio
    constants: dict[str, npt.NDArray[np.generic]] = {
        "preprocess/spatial_axes": np.array([1, 2], np.int64),
        "preprocess/two": np.array([2], np.int64),
    }
    nodes = [
        make("Shape", ["images"], ["preprocess/sides"], start=1, end=3),
        make("ReduceMin", ["preprocess/sides"], ["preprocess/shorter"], keepdims=1),
    ]
    side = "preprocess/shorter"
    if crop_ratio != 1.0:
        constants["preprocess/ratio"] = np.array([crop_ratio], np.float64)
        constants["preprocess/half"] = np.array([0.5], np.float64)
        constants["preprocess/one"] = np.array([1], np.int64)
        nodes += [
            make("Cast", [side], ["preprocess/shorter_real"], to=TensorProto.DOUBLE),
            make("Mul", ["preprocess/shorter_real", "preprocess/ratio"], ["preprocess/side_real"]),
            make("Add", ["preprocess/side_real", "preprocess/half"], ["preprocess/side_half_up"]),
            make("Floor", ["preprocess/side_half_up"], ["preprocess/side_floor"]),
            make("Cast", ["preprocess/side_floor"], ["preprocess/side_whole"], to=TensorProto.INT64),
            make("Max", ["preprocess/side_whole", "preprocess/one"], ["preprocess/side"]),
        ]
        side = "preprocess/side"
    nodes += [
        make("Sub", ["preprocess/sides", side], ["preprocess/margins"]),
        make("Div", ["preprocess/margins", "preprocess/two"], ["preprocess/starts"]),
        make("Add", ["preprocess/starts", side], ["preprocess/ends"]),
        make(
            "Slice",
            ["images", "preprocess/starts", "preprocess/ends", "preprocess/spatial_axes"],
            ["preprocess/part"],
        ),
    ]
    return nodes, constants


def _cut_ends(images: ImageSpec) -> Parts:
    """Return the nodes that cut off both ends of a picture of extreme proportions."""
    make = helper.make_node
    constants: dict[str, npt.NDArray[np.generic]] = {
        "preprocess/spatial_axes": np.array([1, 2], np.int64),
        "preprocess/two": np.array([2], np.int64),
        "preprocess/proportion": np.array([MAX_PROPORTION], np.int64),
    }
    nodes = [
        make("Shape", ["images"], ["preprocess/sides"], start=1, end=3),
        make("ReduceMin", ["preprocess/sides"], ["preprocess/shorter"], keepdims=1),
        make("Mul", ["preprocess/shorter", "preprocess/proportion"], ["preprocess/longest"]),
        make("Min", ["preprocess/sides", "preprocess/longest"], ["preprocess/kept"]),
        make("Sub", ["preprocess/sides", "preprocess/kept"], ["preprocess/margins"]),
        make("Div", ["preprocess/margins", "preprocess/two"], ["preprocess/starts"]),
        make("Add", ["preprocess/starts", "preprocess/kept"], ["preprocess/ends"]),
        make(
            "Slice",
            ["images", "preprocess/starts", "preprocess/ends", "preprocess/spatial_axes"],
            ["preprocess/part"],
        ),
    ]
    return nodes, constants


def _cut_nothing(images: ImageSpec) -> Parts:
    """Return nothing: the whole picture counts."""
    return [], {}


_CUTS = {"crop": _cut_square, "squash": _cut_nothing, "shortest": _cut_ends, "shortest_floor": _cut_ends}
