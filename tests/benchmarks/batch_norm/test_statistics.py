"""Borrowing the statistics of the batch."""

import pytest

pytest.importorskip("torch", reason="BatchNorm is measured in PyTorch: pip install 'hyperclip[train]'")

import torch
from benchmarks.batch_norm.statistics import batch_statistics

from hyperclip.models import ImageEncoder, ImageEncoderConfig

pytestmark = pytest.mark.torch


def test_batch_statistics_are_used_and_leave_no_trace() -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(ImageEncoderConfig(name="mobilenetv4_conv_small_050", embedding_dim=8)).eval()
    images = 3 + 2 * torch.randn(4, 3, 32, 32)
    kept = {key: value.clone() for key, value in encoder.state_dict().items() if "running" in key}
    with torch.inference_mode():
        before = encoder(images)
        with batch_statistics(encoder):
            inside = encoder(images)
        after = encoder(images)

    assert (inside - before).abs().max() > 1e-3
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    for key, value in kept.items():
        torch.testing.assert_close(encoder.state_dict()[key], value, rtol=0, atol=0)
    assert not any(norm.training for norm in encoder.norms())


def test_the_rule_is_restored_after_an_error() -> None:
    encoder = ImageEncoder(ImageEncoderConfig(name="mobilenetv4_conv_small_050", embedding_dim=8)).eval()
    encoder.freeze_statistics()

    with pytest.raises(RuntimeError), batch_statistics(encoder):
        raise RuntimeError("stop")

    assert all(norm.are_statistics_frozen and not norm.training for norm in encoder.norms())
