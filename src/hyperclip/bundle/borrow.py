"""Find the model whose files another one shares: beside it, or among the bundled ones."""

import os
from pathlib import Path

from hyperclip.bundle.checksum import read_capped
from hyperclip.bundle.files import MANIFEST_NAME, read_verified, verify_file
from hyperclip.bundle.manifest import MAX_MANIFEST_BYTES, Manifest
from hyperclip.bundle.strict import quote
from hyperclip.errors import BundleError

__all__ = ["borrow_files"]


def borrow_files(
    folder: Path, manifest: Manifest, *, keep: tuple[str, ...], max_bytes: int
) -> tuple[Path, dict[str, bytes]]:
    """Find and verify the files that a model shares.

    Parameters
    ----------
    folder : Path
        Of the model that shares. A folder beside it with the other model's name comes first, then the
        bundled model of that name.
    manifest : Manifest
        Of the model that shares; its `shares` say what each file must be.
    keep : tuple of str
        Names of the files whose content is wanted; the others are verified alone.
    max_bytes : int
        Refuse to read a larger one of those.

    Returns
    -------
    folder : Path
        Of the other model.
    files : dict of str to bytes

    Raises
    ------
    BundleError
        If there is no such model, it shares files itself, or a file is missing or another one.
    """
    assert manifest.shares is not None
    beside = Path(os.path.abspath(folder)).parent / manifest.shares.bundle
    places = [beside, *_bundled(manifest.shares.bundle)]
    first_error = None
    for place in dict.fromkeys(places):
        if not os.path.exists(place / MANIFEST_NAME):
            continue
        try:
            return place, _read(place, manifest, keep=keep, max_bytes=max_bytes)
        except BundleError as error:
            first_error = first_error or error
    if first_error is not None:
        raise first_error
    raise BundleError(
        f"The model '{manifest.name}' in {quote(str(folder), 300)} shares files of the model "
        f"'{manifest.shares.bundle}', which is not there; expected the folder {quote(str(beside), 300)} or a "
        "bundled model of that name; put that model's folder beside this one."
    )


def _bundled(name: str) -> list[Path]:
    """Return the folder of the bundled model of that name, if there is one."""
    from hyperclip.zoo import find_bundle, names

    return [find_bundle(name)] if name in names() else []


def _read(place: Path, manifest: Manifest, *, keep: tuple[str, ...], max_bytes: int) -> dict[str, bytes]:
    """Return the wanted files of the other model after verifying all that are shared."""
    shares = manifest.shares
    assert shares is not None
    where = quote(str(place), 300)
    try:
        data = read_capped(place / MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES)
        other = Manifest.from_json(data, where=quote(str(place / MANIFEST_NAME), 300))
    except BundleError as error:
        raise BundleError(
            f"The model '{manifest.name}' shares files of the model '{shares.bundle}', whose model.json in "
            f"{where} cannot be used; expected a whole model; get '{shares.bundle}' again."
        ) from error
    if other.shares is not None:
        raise BundleError(
            f"The model '{manifest.name}' shares files of the model '{shares.bundle}' in {where}, which "
            f"itself shares those of '{other.shares.bundle}'; expected a model with files of its own; "
            f"write '{manifest.name}' again with '{other.shares.bundle}'."
        )
    files = {}
    for name, entry in shares.files.items():
        try:
            if name in keep:
                files[name] = read_verified(place / name, entry, max_bytes=max_bytes)
            else:
                verify_file(place / name, entry)
        except BundleError as error:
            state = "is another one or damaged" if os.path.exists(place / name) else "is missing"
            raise BundleError(
                f"The model '{manifest.name}' shares {name} of the model '{shares.bundle}', but that in "
                f"{where} {state}; expected the file that the model.json of '{manifest.name}' describes; get "
                f"'{manifest.name}' and '{shares.bundle}' of the same release."
            ) from error
    return files
