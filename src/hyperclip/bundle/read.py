"""Read a model folder: every size and every checksum is verified before anything is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperclip.bundle.checksum import file_size, read_capped, sha256_hex, sha256_of_file
from hyperclip.bundle.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, REQUIRED_FILES, FileEntry, Manifest
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["Bundle", "read_bundle"]

MAX_SHOP_FILE_BYTES = 512 * 2**20
SHOP_FILES = (*REQUIRED_FILES, "glossary.bin")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A verified model folder.

    Parameters
    ----------
    folder : Path
        Where it lies.
    manifest : Manifest
        What its ``model.json`` says.
    files : mapping of str to bytes
        Contents of the files that specializing needs; `read` gives the others.
    """

    folder: Path
    manifest: Manifest
    files: Mapping[str, bytes]

    @property
    def fingerprint(self) -> str:
        """SHA-256 that covers the manifest and, through their checksums, all files."""
        return self.manifest.fingerprint

    def read(self, name: str) -> bytes:
        """Return the verified content of any file of the folder, or raise `BundleError`."""
        if name in self.files:
            return self.files[name]
        if name not in self.manifest.files:
            raise BundleError(
                f"The model in {quote(str(self.folder), 300)} has no file {quote(name)}; expected one of "
                f"{', '.join(self.manifest.files)}; use another model."
            )
        entry = self.manifest.files[name]
        return _read_verified(self.folder / name, entry, max_bytes=entry.size_bytes)


def read_bundle(folder: str | Path) -> Bundle:
    """Read and verify a model folder.

    Parameters
    ----------
    folder : str or Path
        Folder with ``model.json``. Files that it does not list are ignored.

    Returns
    -------
    Bundle
        The manifest and the verified files.

    Raises
    ------
    BundleError
        If the folder or a file is missing, too large, or differs from what ``model.json`` says.
    """
    folder = Path(folder)
    data = read_capped(folder / MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES)
    manifest = Manifest.from_json(data, where=quote(str(folder / MANIFEST_NAME), 300))
    missing = [name for name in REQUIRED_FILES if name not in manifest.files]
    if missing:
        raise BundleError(
            f"The model in {quote(str(folder), 300)} lists no {', '.join(missing)}; expected "
            f"{', '.join(REQUIRED_FILES)}; get the model again."
        )
    files: dict[str, bytes] = {}
    for name, entry in manifest.files.items():
        if name in SHOP_FILES:
            files[name] = _read_verified(folder / name, entry, max_bytes=MAX_SHOP_FILE_BYTES)
        elif sha256_of_file(folder / name, size_bytes=entry.size_bytes) != entry.sha256:
            raise _changed(folder / name)
    return Bundle(folder=folder, manifest=manifest, files=files)


def _read_verified(path: Path, entry: FileEntry, *, max_bytes: int) -> bytes:
    """Return a file's content after its size and checksum were compared."""
    size_bytes = file_size(path)
    if size_bytes != entry.size_bytes:
        raise BundleError(
            f"{quote(str(path), 300)} has {size_bytes} bytes; expected {entry.size_bytes} as its model.json "
            "says; get the model again."
        )
    data = read_capped(path, max_bytes=max_bytes)
    if sha256_hex(data) != entry.sha256:
        raise _changed(path)
    return data


def _changed(path: Path) -> BundleError:
    """Say that a file is not the one that the manifest describes."""
    return BundleError(
        f"{quote(str(path), 300)} was changed or damaged (its SHA-256 differs); expected the file that "
        "model.json describes; get the model again."
    )
