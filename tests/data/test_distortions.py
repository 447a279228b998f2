"""The 24 distortions: the property that defines each, their levels, chance, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
from scipy import ndimage

from fmcvqa.data.distortions import DISTORTIONS, LEVELS, NOMINAL, distort, psnr
from fmcvqa.data.distortions.base import fitted
from fmcvqa.data.distortions.coding import decoded, encoded
from fmcvqa.data.distortions.ycbcr import luma, to_rgb, to_ycbcr
from fmcvqa.data.pixels import to_pixels
from fmcvqa.data.synthetic.scenes import Scene
from fmcvqa.errors import ConfigError

SCENE = Scene((1,), (96, 128)).frame()
FLAT = np.full((96, 128, 3), 128, np.uint8)
Image = npt.NDArray[np.uint8]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def error(image: Image, number: int, level: int, reference: Image | None = None) -> npt.NDArray[np.float64]:
    """What a distortion adds to an image."""
    return distort(image, number, level, rng()).pixels.astype(float) - (image if reference is None else reference)


def at(number: int, image: Image, strength: float, seed: int = 0) -> Image:
    return DISTORTIONS[number].prepare(image, rng(seed))(strength)


def test_there_are_all_24() -> None:
    assert list(DISTORTIONS) == list(range(1, 25))
    for kind in DISTORTIONS.values():
        assert (kind.strengths is None) != (kind.psnr is None)
        assert len(kind.strengths or kind.psnr or ()) == len(LEVELS)
    assert NOMINAL == (33, 30, 27, 24, 21)


# Steps of whole numbers or wrong bits miss by more; on 96 x 128 pixels one wrong bit is already far.
COARSE = {12: 6.0, 13: 3.0, 22: 3.0}


@pytest.mark.parametrize("number", [n for n, kind in DISTORTIONS.items() if kind.psnr])
def test_fitted_levels_meet_their_psnr(number: int) -> None:
    kind = DISTORTIONS[number]
    assert kind.psnr is not None
    for level in (2, 4):
        out = distort(SCENE, number, level, rng(level))
        assert (out.pixels.shape, out.pixels.dtype) == (SCENE.shape, np.uint8)
        assert out.psnr == psnr(SCENE, out.pixels)
        assert out.psnr == pytest.approx(kind.psnr[level - 1], abs=COARSE.get(number, 0.2))


@pytest.mark.parametrize("number", DISTORTIONS)
def test_chance_alone_decides_and_the_original_stays(number: int) -> None:
    kept, kind = SCENE.copy(), DISTORTIONS[number]
    strength = kind.strengths[2] if kind.strengths else {6: 0.1, 19: 0.1}.get(number, 12.0)
    one, same, other = (at(number, SCENE, strength, seed) for seed in (5, 5, 6))
    assert np.array_equal(one, same)
    assert np.array_equal(SCENE, kept)
    drawn = number not in (7, 8, 10, 11, 16, 17, 18, 22, 23)
    assert np.array_equal(one, other) != drawn


OF_ALL = """
import hashlib
from fmcvqa.data.distortions import DISTORTIONS, distort
from fmcvqa.data.synthetic.scenes import Scene
import numpy as np
scene, pixels = Scene((2,), (192, 256)).frame(), hashlib.sha256()
for number in DISTORTIONS:
    for level in (1, 2, 3, 4, 5) if number == 18 else (1,):
        pixels.update(distort(scene, number, level, np.random.default_rng(0)).pixels.tobytes())
print(pixels.hexdigest())
"""


def test_every_processor_makes_the_same_bytes() -> None:
    """OpenBLAS and NumPy each choose their code by the processor; these make them take an old one's."""
    old = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX2 AVX512F"}
    made = [
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", OF_ALL],
            env=os.environ | changes,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for changes in ({}, old)
    ]
    assert made[0] == made[1]


def test_the_colours_are_those_of_jpeg() -> None:
    """BT.601 as JFIF writes it: pure red, green, blue and white by hand, Pillow's rounded ones, and back again."""
    pure = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    by_hand = [[76.245, -43.028, 127.5], [149.685, -84.472, -106.765], [29.07, 127.5, -20.735], [255, 0, 0]]
    assert to_ycbcr(pure)[0] == pytest.approx(np.array(by_hand), abs=1e-3)
    pillow = np.asarray(PIL.Image.fromarray(SCENE).convert("YCbCr"), np.float32) - np.float32([0, 128, 128])
    assert np.abs(to_ycbcr(SCENE) - pillow).max() < 1.01  # Pillow cuts off
    assert np.array_equal(luma(SCENE), to_ycbcr(SCENE)[..., 0])
    assert to_rgb(to_ycbcr(SCENE)) == pytest.approx(SCENE, abs=1e-3)
    assert to_rgb(to_ycbcr(SCENE)).dtype == np.float32


def test_psnr_is_that_of_all_three_channels() -> None:
    other = FLAT.copy()
    other[..., 1] += 3  # mean squared error 3
    assert psnr(FLAT, other) == pytest.approx(10 * np.log10(255**2 / 3))
    assert psnr(FLAT, FLAT) == np.inf


def test_fitting_takes_the_nearest_of_steps_and_a_bound_where_nothing_reaches() -> None:
    steps = fitted(FLAT, lambda strength: to_pixels(FLAT + np.float32(round(strength))), 40.0, (1.0, 100.0))
    assert steps.psnr == pytest.approx(20 * np.log10(255 / 3))  # 38.6 dB; 2 grey levels would be 42.1
    weak = fitted(FLAT, lambda strength: to_pixels(FLAT + np.float32(strength)), 20.0, (1.0, 5.0))
    assert (weak.strength, weak.psnr) == (pytest.approx(5.0), pytest.approx(20 * np.log10(51)))


def test_1_additive_noise_is_white_and_independent_over_channels() -> None:
    noise = error(FLAT, 1, 3)
    assert noise.std() == pytest.approx(255 / 10 ** (27 / 20), rel=0.02)
    assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.03
    assert np.abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 0.02 * noise.var()


def test_2_colour_noise_is_twice_as_strong_in_colour() -> None:
    y, blue, red = to_ycbcr(error(FLAT, 2, 3)).std(axis=(0, 1))
    assert blue / y == pytest.approx(2, rel=0.05)
    assert red / y == pytest.approx(2, rel=0.05)


def test_3_correlated_noise_is_a_mean_over_3_by_3_pixels() -> None:
    noise = error(FLAT, 3, 3)
    for shift, correlation in ((1, 2 / 3), (2, 1 / 3), (3, 0)):
        assert np.mean(noise[:, shift:] * noise[:, :-shift]) / noise.var() == pytest.approx(correlation, abs=0.05)


def test_4_masked_noise_hides_where_there_is_contrast() -> None:
    image = FLAT.copy()
    image[:, 64:] = np.where(rng().random((96, 64, 1)) < 0.5, 88, 168)
    noise = error(image, 4, 1)
    assert noise[:, 72:].std() > 10 * noise[:, :56].std()


def test_5_high_frequency_noise_has_no_low_frequencies() -> None:
    noise = error(FLAT, 5, 3)
    smooth = ndimage.gaussian_filter(noise, (3, 3, 0), mode="wrap")
    white = ndimage.gaussian_filter(error(FLAT, 1, 3), (3, 3, 0), mode="wrap")
    assert smooth.std() / noise.std() < 0.25 * white.std() / error(FLAT, 1, 3).std()


def test_6_impulses_are_0_or_255_and_the_rest_stays() -> None:
    out = distort(FLAT, 6, 4, rng())
    assert set(np.unique(out.pixels)) == {0, 128, 255}
    assert np.mean(out.pixels != 128) == pytest.approx(out.strength, rel=0.1)
    assert np.mean(out.pixels == 0) == pytest.approx(np.mean(out.pixels == 255), rel=0.3)


def test_7_quantization_leaves_multiples_of_its_step() -> None:
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (64, 256, 3))
    assert np.unique(at(7, ramp, 66)).tolist() == [0, 66, 132, 198, 255]


def test_8_blur_spreads_a_point_as_a_gaussian() -> None:
    point = np.zeros((65, 65, 3), np.uint8)
    point[32, 32] = 255
    spread = at(8, point, 1.6)
    assert spread[32, 32, 0] == round(255 / (2 * np.pi * 1.6**2))
    assert spread[32, 34, 0] == round(255 / (2 * np.pi * 1.6**2) * np.exp(-(2**2) / (2 * 1.6**2)))


def test_9_denoising_takes_out_most_of_the_noise_and_fine_detail_with_it() -> None:
    noisy = to_pixels(FLAT + 43 * rng().standard_normal(FLAT.shape, np.float32))
    left = error(FLAT, 9, 4)
    assert left.std() < 0.2 * (noisy - 128.0).std()
    fine = FLAT.copy()
    fine[::2] += 20
    assert np.abs(np.diff(distort(fine, 9, 5, rng()).pixels.astype(float), axis=0)).mean() < 5
    colour = np.zeros_like(FLAT) + np.array([140, 128, 120], np.uint8)
    assert distort(colour, 9, 5, rng()).pixels.mean(axis=(0, 1)) == pytest.approx([140, 128, 120], abs=3)


def test_10_jpeg_is_libjpegs_at_tid2013s_qualities() -> None:
    assert DISTORTIONS[10].strengths == (80, 60, 23, 8, 4)
    assert np.array_equal(distort(SCENE, 10, 3, rng()).pixels, decoded(encoded(SCENE, "JPEG", quality=23)))
    jumps = np.abs(np.diff(distort(SCENE, 10, 5, rng()).pixels.astype(float), axis=1)).mean(axis=(0, 2))
    assert jumps[7::8].mean() > 2 * np.delete(jumps, np.s_[7::8]).mean()  # blocks of 8


def test_11_jpeg2000_blurs_without_blocks() -> None:
    pixels = distort(SCENE, 11, 5, rng()).pixels.astype(float)
    jumps = np.abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    assert jumps[7::8].mean() < 1.5 * np.delete(jumps, np.s_[7::8]).mean()
    sharpness = [np.abs(np.diff(image.astype(float), axis=1)).mean() for image in (SCENE, pixels)]
    assert sharpness[1] < 0.8 * sharpness[0]


def test_12_a_wrong_bit_of_a_jpeg_spoils_one_strip() -> None:
    sent = decoded(encoded(SCENE, "JPEG", quality=90, restart_marker_blocks=8))
    for seed in range(8):
        wrong = np.any(at(12, SCENE, 1, seed) != sent, axis=2)
        rows = np.flatnonzero(wrong.any(axis=1))
        assert wrong.any()
        assert rows.max() - rows.min() < 16 + 2  # a row of 16 x 16 units, and the smoothed colour on either side


def test_13_a_wrong_bit_of_a_jpeg2000_rings_in_one_place() -> None:
    sent = at(13, SCENE, 0)
    counts = [np.any(at(13, SCENE, 1, seed) != sent, axis=2).mean() for seed in range(8)]
    assert min(counts) > 0
    assert psnr(SCENE, sent) == pytest.approx(38, abs=1)
    many = psnr(SCENE, at(13, SCENE, 200))
    assert many < 30


def test_14_patterns_are_patches_from_8_pixels_around() -> None:
    ramp = np.zeros((96, 128, 3), np.uint8) + np.arange(128, dtype=np.uint8)[None, :, None]
    moved = error(ramp, 14, 5)
    assert np.abs(moved).max() == 8
    assert 0 < np.mean(moved != 0) < 1
    # 180 patches in 512 x 384 pixels are 11 in these
    labelled, count = ndimage.label(np.any(at(14, ramp, 16 * 2) != ramp, axis=2))
    assert labelled.shape == (96, 128)
    assert 1 <= count <= 2


def test_15_blocks_are_more_and_fainter_with_the_level() -> None:
    large = np.full((384, 512, 3), 100, np.uint8)
    offsets, shares = [], []
    for level in LEVELS:
        moved = error(large, 15, level)
        shares.append(np.mean(moved != 0) * 384 * 512 / 32**2)
        offsets.append(moved.max())
    assert shares == pytest.approx([2, 4, 8, 16, 32])
    assert offsets == [125, 89, 63, 44, 31]


def test_16_mean_shift_darkens_and_brightens_in_turn() -> None:
    assert [error(FLAT, 16, level).mean() for level in LEVELS] == [-6, 10, -20, 30, -40]
    assert error(FLAT, 16, 5).std() == 0


def test_17_contrast_changes_about_the_mean() -> None:
    mild = (SCENE // 4 + 96).astype(np.uint8)  # nothing clips
    for level, factor in zip(LEVELS, (0.9, 1.2, 0.75, 1.45, 0.5), strict=True):
        out = distort(mild, 17, level, rng()).pixels
        assert out.std(axis=(0, 1)) == pytest.approx(factor * mild.std(axis=(0, 1)), rel=0.02)
        assert out.mean(axis=(0, 1)) == pytest.approx(mild.mean(axis=(0, 1)), abs=0.5)


def test_18_saturation_leaves_the_luminance() -> None:
    for level in LEVELS:
        assert np.abs(luma(error(SCENE, 18, level))).max() <= 1
    grey = distort(SCENE, 18, 5, rng()).pixels
    assert np.ptp(grey, axis=2).max() == 0


def test_19_multiplicative_noise_is_in_proportion_to_the_signal() -> None:
    image = FLAT.copy()
    image[:, :64], image[:, 64:] = 40, 160
    noise = error(image, 19, 1)
    assert noise[:, 64:].std() / noise[:, :64].std() == pytest.approx(4, rel=0.05)


def test_20_comfort_noise_keeps_the_energy_that_coding_takes() -> None:
    texture = to_pixels(FLAT + 12 * rng().standard_normal((96, 128, 1), np.float32))
    assert at(20, texture, 500).std() == pytest.approx(texture.std(), rel=0.03)
    coded = decoded(encoded(texture, "JPEG", qtables=[[250] * 64] * 2, subsampling=0))
    assert coded.std() < 0.2 * texture.std()
    blocks = (at(20, texture, 500).astype(float) - texture).reshape(12, 8, 16, 8, 3).mean(axis=(1, 3))
    assert np.abs(blocks).max() < 0.6  # the mean of a block is kept


def test_21_lossy_coding_takes_out_part_of_the_noise() -> None:
    out = distort(FLAT, 21, 4, rng())
    noisy = out.strength
    assert np.std(out.pixels - 128.0) < 0.7 * noisy
    assert np.std(at(21, FLAT, 10) - 128.0) < np.std(at(1, FLAT, 10) - 128.0)


def test_22_colours_are_few_and_dithered() -> None:
    eight = at(22, SCENE, 32)
    assert len(np.unique(eight.reshape(-1, 3), axis=0)) == 8
    smooth = ndimage.gaussian_filter(eight.astype(float), (4, 4, 0))
    assert psnr(to_pixels(ndimage.gaussian_filter(SCENE.astype(float), (4, 4, 0))), to_pixels(smooth)) > 6 + psnr(
        SCENE, eight
    )  # errors are spread so that they cancel


def test_23_red_and_blue_part_company() -> None:
    line = np.zeros((32, 64, 3), np.uint8)
    line[:, 30] = 200
    apart = at(23, line, 3.0)
    assert [int(apart[0, :, channel].argmax()) for channel in range(3)] == [27, 30, 33]
    between = at(23, line, 0.5)
    assert between[0, 29:31, 0].tolist() == [100, 100]


def test_24_kept_samples_are_exact_and_the_rest_is_near() -> None:
    out = at(24, SCENE, 3.0)
    exact = np.all(out == SCENE, axis=2).mean()
    assert exact >= 0.24  # one of four was kept
    assert psnr(SCENE, out) > psnr(SCENE, to_pixels(np.broadcast_to(SCENE.mean(axis=(0, 1)), SCENE.shape))) + 4
    assert np.array_equal(at(24, FLAT, 50), FLAT)


def test_images_of_odd_and_small_sizes_keep_their_shape() -> None:
    small = SCENE[:67, :71]
    for number in DISTORTIONS:
        assert at(number, small, DISTORTIONS[number].strengths[4] if DISTORTIONS[number].strengths else 4.0).shape == (
            67,
            71,
            3,
        )


def test_unknown_distortion_and_level_are_named() -> None:
    with pytest.raises(ConfigError) as caught:
        distort(SCENE, 25, 1, rng())
    known = ", ".join(f"{kind.number} {kind.name}" for kind in DISTORTIONS.values())
    assert str(caught.value) == f"no distortion has the number 25. Found: {known}. Try: one of these numbers"
    with pytest.raises(ConfigError) as caught:
        distort(SCENE, 8, 6, rng())
    assert str(caught.value) == "no distortion has a level 6. Found: levels 1 to 5. Try: one of these"
