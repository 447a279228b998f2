"""Correlation and order as losses, by hand."""

from __future__ import annotations

import pytest
import torch

from fmcvqa.models.losses import correlation_loss, rank_loss


def test_correlation_loss_is_half_of_one_minus_plcc() -> None:
    mos = torch.tensor([1.0, 2.0, 3.0, 6.0])
    assert correlation_loss(3 * mos - 1, mos).item() == pytest.approx(0, abs=1e-6)
    assert correlation_loss(-mos, mos).item() == pytest.approx(1, abs=1e-6)
    predicted = torch.tensor([2.0, 1.0, 4.0, 3.0])
    plcc = torch.corrcoef(torch.stack([predicted, mos]))[0, 1].item()
    assert correlation_loss(predicted, mos).item() == pytest.approx((1 - plcc) / 2, abs=1e-6)
    flat = torch.zeros(4, requires_grad=True)
    correlation_loss(flat, mos).backward()
    assert flat.grad is not None
    assert torch.isfinite(flat.grad).all()


def test_rank_loss_counts_every_pair_that_is_not_far_enough_apart() -> None:
    mos = torch.tensor([1.0, 2.0, 4.0])
    assert rank_loss(2 * mos, mos).item() == 0
    # Pairs (1, 2), (1, 4), (2, 4) are 1, 3 and 2 apart; predicted -1, 1 and 2 in their direction: 2, 2 and 0 short.
    assert rank_loss(torch.tensor([1.0, 0.0, 2.0]), mos).item() == pytest.approx((2 + 2 + 0) * 2 / 6)
    alone = torch.tensor([1.0], requires_grad=True)
    assert rank_loss(alone, torch.tensor([3.0])).item() == 0
