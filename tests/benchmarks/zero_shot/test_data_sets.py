"""Parts of labeled sets, and coarser names."""

from pathlib import Path

from benchmarks.zero_shot.data_sets import joined, limited, with_coarse_names

from hyperclip.runtime.labeled import LabeledImage, LabeledImages


def make_images(n_images: int) -> LabeledImages:
    items = [LabeledImage(Path(f"{index}.png"), index % 3, f"{index}.png") for index in range(n_images)]
    return LabeledImages(
        class_names=("golden apple", "red apple", "pear"), n_images=n_images, read=lambda: iter(items)
    )


def test_a_part_is_spread_over_the_set_and_can_be_read_twice() -> None:
    part = limited(make_images(10), 3)

    assert [item.shown_path for item in part] == ["0.png", "3.png", "6.png"]
    assert [item.shown_path for item in part] == ["0.png", "3.png", "6.png"]
    assert len(part) == 3


def test_a_part_is_never_larger_than_the_set() -> None:
    assert len(list(limited(make_images(4), 100))) == len(limited(make_images(4), 100)) == 4


def test_classes_with_one_coarse_name_become_one_class() -> None:
    coarse = with_coarse_names(make_images(3), ["apple", "apple", "pear"])

    assert coarse.class_names == ("apple", "pear")
    assert [item.class_index for item in coarse] == [0, 0, 1]


def test_splits_are_joined_one_after_another_and_can_be_read_twice() -> None:
    both = joined([make_images(4), make_images(2)])

    assert len(both) == len(list(both)) == len(list(both)) == 6
    assert [item.shown_path for item in both][3:] == ["3.png", "0.png", "1.png"]
