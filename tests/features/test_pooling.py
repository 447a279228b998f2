import numpy as np
import pytest
import reference
import torch

from fmcvqa.features.pooling import POOLS, RunningPool


def pooled(vectors: torch.Tensor, chunk: int) -> dict[str, torch.Tensor]:
    pool = RunningPool(POOLS)
    for part in vectors.split(chunk):
        pool.update(part)
    return pool.result()


def test_all_pools_by_hand() -> None:
    result = pooled(torch.tensor([[1.0, -4.0], [2.0, -6.0], [6.0, -5.0]]), 2)
    assert list(result) == ["mean", "max", "std", "delta"]
    assert result["mean"].tolist() == [3.0, -5.0]
    assert result["max"].tolist() == [6.0, -4.0]
    assert result["std"].tolist() == pytest.approx([(14 / 3) ** 0.5, (2 / 3) ** 0.5], rel=1e-7)
    assert result["delta"].tolist() == [2.5, 1.5]
    assert all(values.dtype == torch.float32 for values in result.values())


@pytest.mark.parametrize("chunk", [1, 7, 32, 1000])
def test_chunks_do_not_matter(chunk: int) -> None:
    vectors = torch.randn(240, 50, generator=torch.Generator().manual_seed(1)) * 1e3
    whole = pooled(vectors, 240)
    for name, values in pooled(vectors, chunk).items():
        assert torch.equal(values, whole[name])
        slow = reference.pooled(vectors.double().numpy(), name)
        np.testing.assert_allclose(values.numpy(), slow, rtol=1e-6, atol=1e-4 if name == "mean" else 0)


@pytest.mark.parametrize("chunk", [1, 3, 16])
def test_a_small_spread_about_a_large_mean_is_not_lost(chunk: int) -> None:
    vectors = 1e8 + torch.randn(100, 20, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    naive = vectors.square().mean(0) - vectors.mean(0).square()
    slow = vectors.numpy().std(0)
    assert np.abs(naive.numpy() - slow**2).max() > 0.1
    np.testing.assert_allclose(pooled(vectors, chunk)["std"].numpy(), slow, rtol=1e-6)


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_one_frame_and_frames_that_never_change_give_exactly_nothing(chunk: int) -> None:
    frame = torch.rand(1, 30, generator=torch.Generator().manual_seed(4))
    for frames in (frame, frame.repeat(8, 1)):
        result = pooled(frames, chunk)
        assert torch.equal(result["mean"], frame[0])
        assert not result["std"].any()
        assert not result["delta"].any()


def test_pools_merge_in_any_order_and_change_in_the_frames_own() -> None:
    vectors = torch.randn(30, 8, generator=torch.Generator().manual_seed(2))
    parts = [RunningPool(POOLS) for _ in range(4)]
    for pool, frames in zip(parts, (vectors[:11], vectors[11:12], vectors[12:]), strict=False):
        pool.update(frames)
    first, second, third, nothing = parts
    second.merge(third)
    first.merge(second)
    first.merge(nothing)
    nothing.merge(first)
    assert nothing.count == first.count == 30
    assert all(torch.equal(values, nothing.result()[name]) for name, values in pooled(vectors, 30).items())
    turned = RunningPool()
    for frames in (vectors[11:], vectors[:11]):
        part = RunningPool()
        part.update(frames)
        turned.merge(part)
    assert all(torch.equal(values, pooled(vectors, 30)[name]) for name, values in turned.result().items())


def test_only_what_is_asked_for_is_pooled() -> None:
    pool = RunningPool(("delta",))
    pool.update(torch.tensor([[1.0], [4.0]]))
    assert {name: values.tolist() for name, values in pool.result().items()} == {"delta": [3.0]}


def test_what_cannot_be_pooled_is_an_error() -> None:
    pool = RunningPool()
    with pytest.raises(ValueError, match="no frame was seen, so there is nothing to pool"):
        pool.result()
    with pytest.raises(ValueError, match=r"frame vectors have the shape \[n, d\] with n > 0, not \[0, 3\]"):
        pool.update(torch.ones(0, 3))
    pool.update(torch.ones(2, 3))
    with pytest.raises(ValueError, match="frame vectors of width 4 after some of width 3"):
        pool.update(torch.ones(2, 4))
    with pytest.raises(ValueError, match="pools std cannot join mean, max"):
        pool.merge(RunningPool(("std",)))
    with pytest.raises(ValueError, match="there is no pool p90; there are mean, max, std, delta"):
        RunningPool(("mean", "p90"))
