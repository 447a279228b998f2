"""The formula of the invented scores, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fmcvqa.data.distortions import DISTORTIONS
from fmcvqa.data.synthetic.mos import IMAGE_WEIGHTS, RatingScale, clip_quality, image_quality


def test_every_distortion_has_a_weight():
    assert list(IMAGE_WEIGHTS) == list(DISTORTIONS)


@pytest.mark.parametrize(
    ("number", "level", "activity", "quality"),
    [
        (10, 5, 0.3, 0.0),  # weight 1, no masking
        (16, 5, 0.9, 0.5),
        (16, 1, 0.9, 0.8825381),  # 1 - 0.5 * 0.2 ** 0.9
        (1, 5, 1.0, 0.2775),  # 1 - 0.85 * 0.85: noise hides in a busy scene
        (1, 5, 0.0, 0.0225),  # 1 - 0.85 * 1.15
        (8, 5, 0.0, 0.15),  # 1 - 1.00 * 0.85: nothing to blur in a smooth scene
        (8, 5, 1.0, 0.0),
    ],
)
def test_image_quality(number, level, activity, quality):
    assert image_quality(number, level, activity) == pytest.approx(quality, abs=1e-6)


def test_clip_quality_adds_faults_and_leans_to_the_worst_part():
    steady = np.tile([0.3, 0.4, 0.0, 0.0], (8, 1))
    # Half activity means no masking: sqrt(0.3 ** 2 + (0.9 * 0.4) ** 2)
    assert clip_quality(steady, 0.5) == pytest.approx(1 - 0.4686150, abs=1e-6)
    assert clip_quality(np.zeros((8, 4)), 0.7) == 1.0
    assert clip_quality(np.ones((8, 4)), 0.7) == 0.0
    episode = np.zeros((8, 4))
    episode[2:4, 2] = 0.8
    # Mean 0.2, worst quarter 0.8: 0.4 * 0.2 + 0.6 * 0.8
    assert clip_quality(episode, 0.5) == pytest.approx(1 - 0.56, abs=1e-9)
    assert clip_quality(episode[[2, 3, *range(6)]], 0.5) < clip_quality(episode, 0.5)


def test_raters_agree_on_average_and_stay_on_the_scale():
    still = RatingScale(low=1, high=5, worst=1.2, best=4.7, raters=10, spread=0.0)
    assert still.rate(0.0, np.random.default_rng(0)) == (pytest.approx(1.2), pytest.approx(0.0, abs=1e-12))
    assert still.rate(0.4, np.random.default_rng(0))[0] == pytest.approx(2.6)
    many = RatingScale(low=0, high=100, worst=10, best=90, raters=10_000, spread=10)
    mos, deviation = many.rate(0.5, np.random.default_rng(0))
    assert mos == pytest.approx(50, abs=0.3)
    assert deviation == pytest.approx(0.1, rel=0.03)
    wild = RatingScale(low=1, high=5, worst=1.2, best=4.7, raters=3, spread=100.0)
    scores = [wild.rate(0.5, np.random.default_rng(seed))[0] for seed in range(50)]
    assert 1 <= min(scores) < max(scores) <= 5
