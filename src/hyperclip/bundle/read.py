"""Read a model folder: every size and every checksum is verified before anything is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperclip.bundle.borrow import borrow_files
from hyperclip.bundle.checksum import read_capped
from hyperclip.bundle.files import read_verified, verify_file
from hyperclip.bundle.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, REQUIRED_FILES, Manifest
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["Bundle", "read_bundle"]

MAX_SHOP_FILE_BYTES = 2**31 - 1  # the largest ONNX file that can be
SHOP_FILES = (*REQUIRED_FILES, "glossary.bin", "hypernetwork.onnx")


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
        Contents of the files that specializing needs, shared ones among them; `read` gives the others.
    shared_folder : Path or None
        The folder of the model whose files this one shares, if it does.
    """

    folder: Path
    manifest: Manifest
    files: Mapping[str, bytes]
    shared_folder: Path | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 that covers the manifest and, through their checksums, all files."""
        return self.manifest.fingerprint

    def read(self, name: str) -> bytes:
        """Return the verified content of any file of the model, or raise `BundleError`."""
        if name in self.files:
            return self.files[name]
        entry = self.manifest.all_files.get(name)
        if entry is None:
            raise BundleError(
                f"The model in {quote(str(self.folder), 300)} has no file {quote(name)}; expected one of "
                f"{', '.join(self.manifest.all_files)}; use another model."
            )
        folder = self.folder if name in self.manifest.files else self.shared_folder
        assert folder is not None
        return read_verified(folder / name, entry, max_bytes=entry.size_bytes)


def read_bundle(folder: str | Path) -> Bundle:
    """Read and verify a model folder.

    Parameters
    ----------
    folder : str or Path
        Folder with ``model.json``. Files that it does not list are ignored. Where it shares files of
        another model, that one is looked for beside the folder, then among the bundled models.

    Returns
    -------
    Bundle
        The manifest and the verified files.

    Raises
    ------
    BundleError
        If the folder or a file is missing, too large, or differs from what ``model.json`` says;
        or if the same holds for the model whose files it shares, or that one shares files itself.
    """
    folder = Path(folder)
    data = read_capped(folder / MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES)
    manifest = Manifest.from_json(data, where=quote(str(folder / MANIFEST_NAME), 300))
    missing = [name for name in REQUIRED_FILES if name not in manifest.all_files]
    if missing:
        raise BundleError(
            f"The model in {quote(str(folder), 300)} lists no {', '.join(missing)}; expected "
            f"{', '.join(REQUIRED_FILES)}; get the model again."
        )
    files: dict[str, bytes] = {}
    for name, entry in manifest.files.items():
        if name in SHOP_FILES:
            files[name] = read_verified(folder / name, entry, max_bytes=MAX_SHOP_FILE_BYTES)
        else:
            verify_file(folder / name, entry)
    if manifest.shares is None:
        return Bundle(folder=folder, manifest=manifest, files=files)
    place, shared = borrow_files(folder, manifest, keep=SHOP_FILES, max_bytes=MAX_SHOP_FILE_BYTES)
    return Bundle(folder=folder, manifest=manifest, files={**files, **shared}, shared_folder=place)
