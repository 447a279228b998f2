import pytest
import torch

from fmcvqa.features.gram import gram_matrix, gram_vector, tap_vector, upper_triangle


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


def test_upper_triangle_runs_row_by_row() -> None:
    matrix = torch.tensor([[[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]]])
    assert upper_triangle(matrix).tolist() == [[1, 2, 3, 4, 5, 6]]


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
