"""Scenes, distortions and clips: monotone, deterministic, and right where the value is known."""

from __future__ import annotations

from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from fmcvqa.data.synthetic.clips import encode, plan_severities, quantisers, render
from fmcvqa.data.synthetic.distortions import DISTORTIONS, LEVELS, distort
from fmcvqa.data.synthetic.scenes import KINDS, Scene
from fmcvqa.data.synthetic.textures import power_law_noise
from fmcvqa.errors import ConfigError

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


@pytest.mark.parametrize("number", DISTORTIONS)
def test_levels_lie_ever_farther_from_the_original(number):
    for scene in SCENES.values():
        image = scene.frame()
        kept = image.copy()
        errors = []
        for level in LEVELS:
            out = distort(image, number, level, rng(number, level))
            assert out.shape == image.shape
            assert out.dtype == np.uint8
            errors.append(float(np.abs(out.astype(float) - image).mean()))
        assert errors[0] > 0
        assert errors == sorted(errors)
        assert len(set(errors)) == 5
        assert np.array_equal(image, kept)


@pytest.mark.parametrize("number", DISTORTIONS)
def test_distortion_is_decided_by_its_source_of_chance(number):
    image = SCENES["leaves"].frame()
    assert np.array_equal(distort(image, number, 3, rng(5)), distort(image, number, 3, rng(5)))


def test_distortions_have_the_values_they_state():
    flat = np.full((64, 64, 3), 128, np.uint8)
    noise = distort(flat, 1, 3, rng(0)).astype(float) - 128
    assert noise.std() == pytest.approx(17, abs=0.4)
    assert noise.mean() == pytest.approx(0, abs=0.5)
    impulses = distort(flat, 6, 4, rng(0))
    assert np.mean(impulses != 128) == pytest.approx(0.08, abs=0.01)
    assert set(np.unique(impulses)) == {0, 128, 255}
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, :, None], (64, 256, 3))
    assert np.unique(distort(ramp, 7, 4, rng(0))).tolist() == [0, 66, 132, 198, 255]
    assert distort(ramp, 17, 5, rng(0)).std() == pytest.approx(0.2 * ramp.std(), rel=0.01)
    assert np.unique(distort(flat, 16, 2, rng(0))).tolist() == [104]
    colours = np.zeros((64, 64, 3), np.uint8) + np.array([200, 100, 50], np.uint8)
    assert np.unique(distort(colours, 18, 5, rng(0)).reshape(-1, 3), axis=0).tolist() == [[124, 124, 124]]
    point = np.zeros((65, 65, 3), np.uint8)
    point[32, 32] = 255
    peak = distort(point, 8, 3, rng(0))[32, 32, 0]
    assert peak == round(255 / (2 * np.pi * 1.6**2))


def test_unknown_distortion_and_level_are_named():
    image = SCENES["leaves"].frame()
    with pytest.raises(ConfigError) as error:
        distort(image, 24, 1, rng(0))
    assert str(error.value) == (
        "no distortion has the number 24. Found: 1 additive Gaussian noise, 2 noise in colour, 3 spatially correlated "
        "noise, 5 high frequency noise, 6 impulse noise, 7 quantization noise, 8 Gaussian blur, 9 denoising, 10 JPEG "
        "compression, 11 JPEG 2000 compression, 14 pattern noise, 15 block-wise distortions, 16 mean shift, 17 "
        "contrast change, 18 change of colour saturation, 19 multiplicative noise, 22 colour quantization with dither. "
        "Try: one of these numbers"
    )
    with pytest.raises(ConfigError) as error:
        distort(image, 8, 6, rng(0))
    assert str(error.value) == "no distortion has a level 6. Found: levels 1 to 5. Try: one of these"


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
