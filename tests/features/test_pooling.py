import pytest
import torch

from fmcvqa.features.pooling import RunningPool


def pooled(vectors: torch.Tensor, chunk: int) -> dict[str, torch.Tensor]:
    pool = RunningPool()
    for part in vectors.split(chunk):
        pool.update(part)
    return pool.result()


def test_mean_and_max_by_hand() -> None:
    result = pooled(torch.tensor([[1.0, -4.0], [2.0, -6.0], [6.0, -5.0]]), 2)
    assert result["mean"].tolist() == [3.0, -5.0]
    assert result["max"].tolist() == [6.0, -4.0]


@pytest.mark.parametrize("chunk", [1, 7, 32, 1000])
def test_chunks_do_not_matter(chunk: int) -> None:
    vectors = torch.randn(240, 50, generator=torch.Generator().manual_seed(1)) * 1e3
    whole = pooled(vectors, 240)
    assert all(torch.equal(values, whole[name]) for name, values in pooled(vectors, chunk).items())


def test_pools_merge_in_any_order() -> None:
    vectors = torch.randn(30, 8, generator=torch.Generator().manual_seed(2))
    first, second = RunningPool(), RunningPool()
    first.update(vectors[:11])
    second.update(vectors[11:])
    second.merge(first)
    second.merge(RunningPool())
    assert second.count == 30
    assert torch.equal(second.result()["mean"], pooled(vectors, 30)["mean"])


def test_nothing_to_pool_and_changed_width_are_errors() -> None:
    pool = RunningPool()
    with pytest.raises(ValueError, match="no frame was seen, so there is nothing to pool"):
        pool.result()
    with pytest.raises(ValueError, match=r"frame vectors have the shape \[n, d\] with n > 0, not \[0, 3\]"):
        pool.update(torch.ones(0, 3))
    pool.update(torch.ones(2, 3))
    with pytest.raises(ValueError, match="frame vectors of width 4 after some of width 3"):
        pool.update(torch.ones(2, 4))
