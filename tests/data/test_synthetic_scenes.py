"""Scenes, distortions and clips: monotone, deterministic, and right where the value is known."""

from __future__ import annotations

from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from fmcvqa.data.synthetic.clips import encode, plan_severities, quantisers, render
from fmcvqa.data.synthetic.scenes import KINDS, Scene
from fmcvqa.data.synthetic.textures import power_law_noise

SIZE = (96, 128)


def scenes_of_every_kind() -> dict[str, Scene]:
    found: dict[str, Scene] = {}
    for seed in range(100):
        scene = Scene((seed,), SIZE)
        found.setdefault(scene.kind, scene)
    return found


SCENES = scenes_of_every_kind()


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_scene_kinds_are_all_drawn():
    assert sorted(SCENES) == sorted(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_scene_is_decided_by_its_seed_and_moves(kind):
    scene = SCENES[kind]
    first, later = scene.frame(0.0), scene.frame(1.0)
    assert first.shape == (*SIZE, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, Scene(scene._seed, SIZE).frame(0.0))
    assert np.abs(first.astype(float) - later).mean() > 1
    assert first.std() > 20  # a picture, not a plain field


def test_scene_never_shows_the_rim_of_its_canvas():
    scene = Scene((1,), SIZE)
    scene.__dict__["_canvas"] = Image.new("RGB", (166, 125), (255, 255, 255))
    scene.__dict__["_sprites"] = []
    for seconds in (0.0, 1.0, 60.0):
        for shift in ((0.0, 0.0), (500.0, -500.0), (-500.0, 500.0)):
            assert scene.frame(seconds, shift).min() == 255


def test_power_law_noise_has_the_spectrum_asked_for():
    plane = power_law_noise(256, 256, 1.2, rng(3))
    assert plane.mean() == pytest.approx(0, abs=1e-5)
    assert plane.std() == pytest.approx(1, abs=1e-4)
    amplitude = np.abs(np.fft.rfft2(plane))
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
    inside = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[inside]), np.log(amplitude[inside]), 1)[0]
    assert slope == pytest.approx(-1.2, abs=0.05)


def test_plans_are_severities_with_one_chief_fault_that_change_over_time():
    plans = [plan_severities(16, rng(seed)) for seed in range(300)]
    stack = np.stack(plans)
    assert stack.shape == (300, 16, 4)
    assert stack.min() == 0
    assert 0.9 < stack.max() <= 1
    chiefs = stack.mean(axis=1).argmax(axis=1)
    assert np.bincount(chiefs).min() > 45
    assert np.mean(np.ptp(stack.sum(axis=2), axis=1) > 0.05) > 0.6


def test_quantiser_follows_the_compression():
    assert quantisers(np.array([0.0, 0.5, 1.0])).tolist() == [18, 38, 50]


def severities(blur: float = 0, noise: float = 0, compression: float = 0, shake: float = 0) -> np.ndarray:
    return np.tile([blur, noise, compression, shake], (12, 1)).astype(float)


def test_each_fault_shows_in_the_frames():
    scene = Scene((4,), SIZE)

    def detail(plan: np.ndarray) -> float:
        frames = np.stack(list(render(scene, plan, 25, rng(1)))).astype(float).mean(axis=3)
        return float(np.abs(np.diff(frames, axis=2)).mean())

    clean = detail(severities())
    assert detail(severities(blur=1)) < 0.6 * clean
    assert detail(severities(noise=1)) > 1.5 * clean
    assert detail(severities(shake=1)) < 0.9 * clean
    assert detail(severities(compression=1)) == clean  # it comes with the encoding


def test_encoding_spends_its_bits_as_planned_and_repeats_itself():
    scene, plan = Scene((2,), SIZE), severities()
    frames = list(render(scene, plan, 25, rng(1)))
    qp = np.array([18] * 6 + [46] * 6)
    content = encode(frames, qp, 25, SIZE)
    assert content == encode(frames, qp, 25, SIZE)
    with av.open(BytesIO(content)) as container:
        stream = container.streams.video[0]
        sizes = [packet.size for packet in container.demux(stream) if packet.size]
    assert len(sizes) == 12
    assert sum(sizes[1:6]) > 4 * sum(sizes[6:])  # but for the key frame at the start
    with av.open(BytesIO(content)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 128, 96)
    errors = [np.abs(a.astype(float) - b).mean() for a, b in zip(decoded, frames, strict=True)]
    assert np.mean(errors[6:]) > 2 * np.mean(errors[:6])
