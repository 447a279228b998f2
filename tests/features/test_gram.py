import numpy as np
import pytest
import reference
import scipy.linalg
import torch

from fmcvqa.features.gram import (
    NORMALISATIONS,
    gram_matrix,
    gram_vector,
    matrix_sqrt,
    normalised_gram_vector,
    tap_vector,
    upper_triangle,
)


def test_gram_of_hand_computed_maps() -> None:
    # Two channels on a 1x2 grid: F = [[1, 2], [3, 4]], F F^T = [[5, 11], [11, 25]], divided by c*h*w = 4.
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    assert torch.equal(gram_matrix(maps), torch.tensor([[[5.0, 11.0], [11.0, 25.0]]]) / 4)
    assert torch.equal(gram_vector(maps), torch.tensor([[5.0, 11.0, 25.0]]) / 4)


def test_gram_is_symmetric_and_equals_the_double_loop() -> None:
    maps = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    gram = gram_matrix(maps)
    assert torch.allclose(gram, gram.transpose(1, 2), rtol=0, atol=1e-7)
    for n in range(3):
        for i in range(5):
            for j in range(5):
                expected = (maps[n, i].double() * maps[n, j].double()).sum() / (5 * 4 * 6)
                assert gram[n, i, j].item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize(("channels", "width"), [(256, 32_896), (288, 41_616)])
def test_widths_of_the_paper(channels: int, width: int) -> None:
    assert gram_vector(torch.ones(1, channels, 2, 2)).shape == (1, width)


@pytest.mark.parametrize("channels", [1, 63, 64, 65, 130])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_vector_in_strips_is_the_triangle_of_the_matrix(channels: int, layout: torch.memory_format) -> None:
    maps = torch.randn(2, channels, 3, 5, generator=torch.Generator().manual_seed(1)).to(memory_format=layout)
    vectors = gram_vector(maps)
    assert vectors.is_contiguous()
    torch.testing.assert_close(vectors, upper_triangle(gram_matrix(maps)), rtol=0, atol=1e-7)


def test_upper_triangle_runs_row_by_row() -> None:
    matrix = torch.tensor([[[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]]])
    assert upper_triangle(matrix).tolist() == [[1, 2, 3, 4, 5, 6]]
    assert upper_triangle(matrix[:, :2]).tolist() == [[1, 2, 3, 4, 5]]


def test_a_low_precision_map_is_correlated_in_float32_even_under_autocast() -> None:
    maps = torch.full((1, 1, 16, 16), 1.01).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gram = gram_matrix(maps)
    assert gram.dtype == torch.float32
    assert gram.item() == pytest.approx(float(maps[0, 0, 0, 0]) ** 2, abs=1e-6)


def test_a_pooled_tap_is_taken_as_it_is() -> None:
    assert tap_vector(torch.arange(6.0).reshape(2, 3, 1, 1), pooled=True).tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match=r"a pooled tap has the shape \[n, c, 1, 1\], not \[2, 3, 2, 1\]"):
        tap_vector(torch.ones(2, 3, 2, 1), pooled=True)


def test_three_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"feature maps have the shape \[n, c, h, w\], not \[2, 3, 4\]"):
        gram_matrix(torch.ones(2, 3, 4))
    with pytest.raises(ValueError, match=r"feature maps have the shape \[n, c, h, w\], not \[2, 3, 4\]"):
        gram_vector(torch.ones(2, 3, 4))


def test_normalisations_of_hand_computed_maps() -> None:
    # F = [[3], [-4]]: F F^T / 2 = [[4.5, -6], [-6, 8]] has the one eigenvalue 12.5, so its root is itself / sqrt(12.5).
    maps = torch.tensor([[[[3.0]], [[-4.0]]]])
    gram = np.array([4.5, -6.0, 8.0])
    signed = np.sign(gram) * np.sqrt(np.abs(gram))
    expected = {
        "none": gram,
        "signed_sqrt": signed,
        "l2": gram / np.sqrt(4.5**2 + 6**2 + 8**2),
        "signed_sqrt_l2": signed / np.sqrt(4.5 + 6 + 8),
        "matrix_sqrt": gram / np.sqrt(12.5),
    }
    assert set(expected) == set(NORMALISATIONS)
    for name, values in expected.items():
        found = normalised_gram_vector(maps, name)  # type: ignore[arg-type]
        np.testing.assert_allclose(found[0].numpy(), values, rtol=1e-6)
        assert not normalised_gram_vector(0 * maps, name).any()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NORMALISATIONS)
@pytest.mark.parametrize("shape", [(6, 5, 7), (12, 2, 3)], ids=["of full rank", "of half the rank"])
def test_normalisations_equal_the_slow_reference(name: str, shape: tuple[int, int, int]) -> None:
    maps = torch.randn(3, *shape, generator=torch.Generator().manual_seed(5))
    found = normalised_gram_vector(maps, name).double().numpy()  # type: ignore[arg-type]
    for frame in range(3):
        slow = reference.vector(maps[frame : frame + 1], name)
        # The root of what float32 leaves of a Gram number 0; else 1e-6: processors add 35 products in other orders.
        floor = 3e-4 if name.startswith("signed_sqrt") else 1e-6
        np.testing.assert_allclose(found[frame], slow, rtol=0, atol=floor * np.abs(slow).max())


def test_the_root_of_a_matrix_is_scipys_and_its_floor_is_as_stated() -> None:
    f = torch.randn(2, 40, 90, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    root = matrix_sqrt(f @ f.mT)
    np.testing.assert_allclose(root[1].numpy(), scipy.linalg.sqrtm((f[1] @ f[1].T).numpy()).real, rtol=0, atol=1e-12)
    low = f[:1, :, :3] * torch.tensor([1.0, 1e-3, 1e-6])  # rank 3 of 40, roots that fall by a thousand twice
    gram = low @ low.mT
    left, singular, _ = np.linalg.svd(low[0].numpy(), full_matrices=False)
    error = np.abs(matrix_sqrt(gram)[0].numpy() - left @ np.diag(singular) @ left.T).max() / singular[0]
    assert error < 3e-8
    values, vectors = np.linalg.eigh(gram[0].float().numpy())
    narrow = vectors @ np.diag(np.sqrt(np.maximum(values, 0))) @ vectors.T
    assert np.abs(narrow - left @ np.diag(singular) @ left.T).max() / singular[0] > 1e-5  # what float32 would give


def test_a_map_that_is_not_finite_has_no_root_and_spoils_no_other() -> None:
    maps = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(7))
    maps[0, 1, 2, 2] = torch.nan
    found = tap_vector(maps, pooled=False, normalisation="matrix_sqrt")
    assert found[0].isnan().all()
    assert torch.equal(found[1], tap_vector(maps[1:], pooled=False, normalisation="matrix_sqrt")[0])


def test_a_pooled_tap_is_not_normalised() -> None:
    maps = torch.tensor([4.0, 9.0]).reshape(1, 2, 1, 1)
    assert tap_vector(maps, pooled=True, normalisation="signed_sqrt_l2").tolist() == [[4.0, 9.0]]


def test_a_channel_that_responds_nowhere_is_exactly_zero_in_the_root() -> None:
    maps = torch.rand(2, 40, 5, 5, generator=torch.Generator().manual_seed(0)).relu()
    maps[0, ::7] = 0  # silent in one frame, not in the other
    gram = gram_matrix(maps.double())
    root, silent = matrix_sqrt(gram), torch.arange(40) % 7 == 0
    assert not root[0, silent].any() and not root[0, :, silent].any()
    kept = matrix_sqrt(gram[:1, ~silent][:, :, ~silent])[0]
    assert torch.allclose(root[0, ~silent][:, ~silent], kept, rtol=0, atol=1e-7 * float(kept.max()))
    assert (root[1] != 0).all()
