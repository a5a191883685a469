"""Writing a drawn picture to a file, whole or not at all."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from hyperclip.bundle.atomic import write_file
from hyperclip.errors import InputError
from hyperclip.runtime.picture_file import shown

__all__ = ["check_picture_path", "write_picture"]

_KINDS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}


def check_picture_path(path: str | Path) -> Path:
    """Return the path, if its suffix says PNG or JPEG and its folder exists.

    Call it before drawing, so that a mistyped path costs no work.

    Raises
    ------
    InputError
        When it cannot be written to.
    """
    path = Path(path)
    if path.suffix.lower() not in _KINDS:
        raise InputError(
            f"{shown(path)} ends in {path.suffix or 'no suffix'!r}; expected .png or .jpg; rename it."
        )
    if not path.parent.is_dir():
        raise InputError(
            f"There is no folder {shown(path.parent)}; expected an existing folder for {path.name!r}; "
            "create it first or choose another path."
        )
    return path


def write_picture(image: Image.Image, path: str | Path) -> None:
    """Write an RGB picture as PNG or JPEG, by the suffix of the path.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode RGB.
    path : str or Path
        Used exactly as given; what is there is replaced at the end, in one step.

    Raises
    ------
    InputError
        When the suffix is another one or the path cannot be written to.
    """
    path = check_picture_path(path)
    stream = BytesIO()
    if _KINDS[path.suffix.lower()] == "PNG":
        image.save(stream, "PNG")
    else:
        image.save(stream, "JPEG", quality=92, subsampling=0)  # halved colors would fray small text
    write_file(path, stream.getvalue())
