"""Find a bundled model by its name, or take a folder as it is given."""

import difflib
from pathlib import Path

from hyperclip.errors import InputError

__all__ = ["find_bundle", "names"]

ZOO_FOLDER = Path(__file__).parent
MANIFEST_NAME = "model.json"  # not imported: the zoo knows nothing of what is inside a model


def names() -> list[str]:
    """Return the names of the bundled models, sorted."""
    return sorted(path.parent.name for path in ZOO_FOLDER.glob(f"*/{MANIFEST_NAME}"))


def find_bundle(name_or_folder: str | Path) -> Path:
    """Return the folder of a bundled model, or the given folder if it holds a model.

    Parameters
    ----------
    name_or_folder : str or Path
        ``"small"`` or the path of a folder with ``model.json``. A bundled name wins over a folder of
        that name; write ``./small`` for the folder.

    Returns
    -------
    Path
        The model's folder. Its content is not looked at.

    Raises
    ------
    InputError
        If there is neither a bundled model nor a model folder of that name.
    """
    bundled = names()
    if isinstance(name_or_folder, str) and name_or_folder in bundled:
        return ZOO_FOLDER / name_or_folder
    folder = Path(name_or_folder)
    try:
        if (folder / MANIFEST_NAME).exists():
            return folder
    except (OSError, ValueError):
        pass  # too long, a NUL inside, or no right to look: not a folder that can be used
    shown = ascii(str(name_or_folder)[:300])[:300]
    near = difflib.get_close_matches(str(name_or_folder)[:100], bundled, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "run `hyperclip list` to see the bundled models."
    raise InputError(
        f"There is no model {shown}; expected a bundled model ({', '.join(bundled) or 'none is installed'}) "
        f"or a folder with {MANIFEST_NAME}; {hint}"
    )
