"""Our distortions against TID2013's own: the genuine pair, and the PSNR published with the database."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from fmcvqa.data.distortions import distort, psnr

pytestmark = pytest.mark.real

# PSNR of the luminance (ITU-R BT.601, 16 to 235) of i01_01_1 ... i01_24_5, from metrics_values/PSNR.txt of TID2013.
# Type 18 changes no luminance there; 12, 13 and 15 depend on where chance puts a few errors.
PUBLISHED = {
    1: (37.7986, 34.8603, 31.7803, 28.8064, 25.8135),
    2: (43.6058, 40.7913, 37.7624, 34.8342, 31.7926),
    3: (37.8428, 34.7832, 31.8054, 28.7773, 25.7710),
    4: (37.5238, 34.4665, 31.4043, 28.6449, 25.5079),
    5: (37.7559, 34.7841, 29.8031, 24.8012, 19.7990),
    8: (35.2849, 30.4650, 26.6019, 24.0550, 22.2914),
    10: (34.9589, 31.9585, 28.7633, 25.7280, 23.6522),
    16: (33.8659, 29.4410, 23.4448, 19.9056, 17.5174),
    17: (37.5502, 31.5768, 29.6305, 24.7966, 23.6158),
    19: (37.3804, 34.4074, 31.4237, 28.4000, 25.4177),
    20: (34.7637, 31.5610, 28.5548, 25.4388, 22.3922),
}
TOLERANCE = dict.fromkeys(PUBLISHED, 0.5) | {10: 0.03, 16: 0.001}


def luminance(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    return np.round(16 + image.astype(float) @ np.array([65.481, 128.553, 24.966]) / 255)


def luminance_psnr(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((luminance(one) - luminance(other)) ** 2)))


@pytest.fixture
def pair(real_data: Path) -> list[npt.NDArray[np.uint8]]:
    folder = real_data / "tid2013_samples"
    return [np.asarray(Image.open(folder / name).convert("RGB")) for name in ("I01.BMP", "i01_01_5.bmp")]


def test_the_genuine_noise_is_ours(pair: list[npt.NDArray[np.uint8]]) -> None:
    reference, genuine = pair
    ours = distort(reference, 1, 5, np.random.default_rng(0)).pixels
    assert psnr(reference, genuine) == pytest.approx(21.0157, abs=1e-4)
    assert psnr(reference, ours) == pytest.approx(21, abs=0.05)
    for image in (genuine, ours):
        noise = image.astype(float) - reference
        inside = noise[(reference > 80) & (reference < 175)]  # nothing clips there
        assert inside.std() == pytest.approx(22.9, abs=0.15)
        assert np.mean(inside**4) / inside.var() ** 2 == pytest.approx(3, abs=0.1)  # Gaussian
        assert np.abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.02
        for axis in (0, 1):
            later, sooner = np.take(noise, range(1, 384), axis), np.take(noise, range(383), axis)
            assert abs(np.mean(later * sooner)) < 0.02 * noise.var()


@pytest.mark.parametrize("number", PUBLISHED)
def test_levels_have_the_published_psnr(number: int, pair: list[npt.NDArray[np.uint8]]) -> None:
    reference = pair[0]
    ours = [
        luminance_psnr(reference, distort(reference, number, n, np.random.default_rng(n)).pixels) for n in range(1, 6)
    ]
    assert ours == pytest.approx(PUBLISHED[number], abs=TOLERANCE[number])


def test_the_genuine_pair_has_its_published_psnr(pair: list[npt.NDArray[np.uint8]]) -> None:
    assert luminance_psnr(*pair) == pytest.approx(PUBLISHED[1][4], abs=5e-5)
