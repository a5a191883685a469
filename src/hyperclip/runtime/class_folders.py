"""A labeled data set in the oldest form: a folder a class, named as the class is."""

from collections.abc import Iterator
from pathlib import Path

from hyperclip.errors import InputError
from hyperclip.runtime.image_files import list_folder, walk_images
from hyperclip.runtime.labeled import LabeledImage, LabeledImages, merge_equal_names
from hyperclip.runtime.picture_file import shown

__all__ = ["open_class_folders"]


def open_class_folders(root: Path) -> LabeledImages:
    """Read ``root/CLASS NAME/**/picture``, subfolders without pictures left out.

    Raises
    ------
    InputError
        When no subfolder holds a picture.
    """
    _, folders = list_folder(root)
    n_images = {folder: sum(1 for _ in walk_images(folder)) for folder in folders}
    folders = [folder for folder in folders if n_images[folder]]
    if not folders:
        raise InputError(
            f"{shown(root)} has no labeled pictures; expected one folder a class with pictures inside, a "
            "CSV table, or Parquet files with a classes.json; check the path."
        )
    classes = merge_equal_names([folder.name for folder in folders], where=shown(root))

    def read() -> Iterator[LabeledImage]:
        for folder, class_index in zip(folders, classes.index_of, strict=True):
            for path in walk_images(folder):
                yield LabeledImage(path, class_index, str(path.relative_to(root)))

    return LabeledImages(
        class_names=classes.names,
        merged_names=classes.merged,
        n_images=sum(n_images.values()),
        read=read,
    )
