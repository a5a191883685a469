"""What a model takes from another one: the key ``shares`` of ``model.json``."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyperclip.bundle.files import FileEntry, check_file_names, entries_from_json
from hyperclip.bundle.strict import quote, take_fields
from hyperclip.errors import BundleError

__all__ = ["Shares"]

_BUNDLE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Files that lie in another model's folder instead of the model's own.

    Parameters
    ----------
    bundle : str
        Name of the other model, which is also that of its folder: letters, digits, ``-`` and ``_``.
    files : mapping of str to FileEntry
        At least one; what the other folder must hold.

    Raises
    ------
    BundleError
        If the name could be a path, or a file name is not plain.
    """

    bundle: str
    files: Mapping[str, FileEntry]

    def __post_init__(self) -> None:
        if not isinstance(self.bundle, str) or not _BUNDLE_NAME.fullmatch(self.bundle):
            raise BundleError(
                f"model.json: shares.bundle is {quote(self.bundle)}; expected the name of a model (letters, "
                "digits, '-' and '_'), never a path; write the bundle again."
            )
        check_file_names(self.files, where="model.json: shares.files")
        if not self.files:
            raise BundleError(
                "model.json: shares.files is empty; expected at least one file; leave shares out or name one."
            )
        object.__setattr__(self, "files", dict(sorted(self.files.items())))

    def to_dict(self) -> dict[str, Any]:
        """Return plain dicts as they are stored."""
        return {
            "bundle": self.bundle,
            "files": {name: dataclasses.asdict(entry) for name, entry in self.files.items()},
        }

    @classmethod
    def from_json(cls, value: object, where: str = "model.json: shares") -> "Shares":
        """Return what a parsed JSON object describes, or raise `BundleError`."""
        return cls(**take_fields(cls, value, where=where, convert={"files": entries_from_json}))
