"""Write a model folder: the same content gives the same bytes, and half a folder never appears."""

import contextlib
import dataclasses
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from hyperclip.bundle.atomic import replace_folder
from hyperclip.bundle.checksum import sha256_hex
from hyperclip.bundle.manifest import MANIFEST_NAME, REQUIRED_FILES, FileEntry, Manifest
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError, InputError

__all__ = ["check_replaceable", "write_bundle"]


def write_bundle(folder: str | Path, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
    """Write ``model.json`` and the files of a model into a folder, all or nothing.

    Parameters
    ----------
    folder : str or Path
        Its parent must exist. A model folder or an empty folder that is already there is replaced;
        a folder with anything else in it is refused.
    manifest : Manifest
        What to say about the model; its `files` are replaced by the sizes and checksums of `files`. What
        it shares need not be at hand, and must not be among `files`.
    files : mapping of str to bytes
        Plain file name to content; `encoder.onnx`, `specializer.onnx` and `tokenizer.json` at least.

    Returns
    -------
    Manifest
        What was written, with `files` filled in.

    Raises
    ------
    BundleError
        If a required file is missing, a file name is not plain, or a file is both given and shared.
    InputError
        If the folder cannot be written or holds something else.
    """
    folder = Path(folder)
    shared = manifest.shares.files if manifest.shares is not None else {}
    missing = [name for name in REQUIRED_FILES if name not in files and name not in shared]
    if missing:
        raise BundleError(
            f"The model has no {', '.join(missing)}; expected {', '.join(REQUIRED_FILES)}; "
            "add what is missing."
        )
    entries = {name: FileEntry(sha256=sha256_hex(data), size_bytes=len(data)) for name, data in files.items()}
    written = dataclasses.replace(manifest, files=entries)
    check_replaceable(folder, new_names=set(files))
    replace_folder(folder, {**files, MANIFEST_NAME: written.to_json()})
    return written


def check_replaceable(folder: Path, *, new_names: Collection[str] = ()) -> None:
    """Refuse to replace a folder that holds files which no model put there; raises `InputError`.

    Parameters
    ----------
    folder : Path
        Need not exist.
    new_names : collection of str
        Names of the files that will be written, which may be there already.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"{quote(str(folder), 300)} is a file; expected a folder; choose another path.")
    known = {*new_names, MANIFEST_NAME}
    # Where no readable model is there, only files of the same names may be replaced.
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        known |= set(json.loads((folder / MANIFEST_NAME).read_bytes())["files"])
    strangers = sorted(path.name for path in folder.iterdir() if path.name not in known or path.is_dir())
    if strangers:
        raise InputError(
            f"{quote(str(folder), 300)} holds {quote(strangers[0])}, which is not part of a model; "
            "expected a new, empty or model folder; choose another path or move the file away."
        )
