"""Equal texts are never negatives of one another."""

import pytest

pytest.importorskip("torch", reason="losses need PyTorch: pip install 'hyperclip[train]'")

import torch

from hyperclip.errors import InputError
from hyperclip.losses import positives_from_texts

pytestmark = pytest.mark.torch


def test_equal_texts_are_positives_of_one_another() -> None:
    found = positives_from_texts(["a cat", "dog", " A  Cat", "dogs"])

    expected = [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert found.dtype == torch.bool
    assert found.int().tolist() == expected
    assert positives_from_texts(torch.tensor([4, 7, 4, 9])).int().tolist() == expected
    token_ids = torch.tensor([[1, 2], [1, 3], [1, 2], [1, 4]])
    assert positives_from_texts(token_ids).int().tolist() == expected


def test_texts_are_found_among_other_candidates() -> None:
    found = positives_from_texts(["cat", "dog"], ["bird", "dog", "cat"])

    assert found.int().tolist() == [[0, 0, 1], [0, 1, 0]]
    assert positives_from_texts(torch.tensor([5]), torch.tensor([4, 5])).int().tolist() == [[0, 1]]


def test_texts_and_ids_cannot_be_mixed() -> None:
    with pytest.raises(InputError, match="convert one of them"):
        positives_from_texts(["cat"], torch.tensor([1]))
