"""Each degradation's defining property, the known order, and that chance is the same at every strength."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from fmcvqa.data.degradations import SINGLE, STRENGTHS, Shape, degrade, encoder_for, kinds, ladders, recipe
from fmcvqa.data.synthetic.scenes import Scene
from fmcvqa.errors import ConfigError

SHAPE = Shape(14, (64, 96), Fraction(25))
FRAMES = [Scene((3,), SHAPE.size).frame(k / 5) for k in range(SHAPE.frames)]


def rendered(name: str, strength: float, frames: list[np.ndarray] = FRAMES) -> np.ndarray:
    kind = SINGLE[name]
    assert kind.render is not None
    values = kind.at(np.full(len(frames), float(strength)))
    return np.stack(list(kind.render(frames, values, SHAPE, np.random.default_rng(5)))).astype(float)


def decoded(content: bytes) -> np.ndarray:
    with av.open(io.BytesIO(content)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(float)


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean((one - other) ** 2))


@pytest.mark.parametrize("name", ["h264", "hevc", "vp9", "av1"])
def test_a_ladder_loses_more_and_takes_less_at_every_step(name: str) -> None:
    rng = np.random.default_rng(0)
    files = [degrade(FRAMES, recipe(name, s, SHAPE, rng), SHAPE, [0]) for s in STRENGTHS]
    lost = [error(decoded(file), np.stack(FRAMES)) for file in files]
    assert lost == sorted(lost)
    assert len(set(lost)) == 5
    sizes = [len(file) for file in files]
    assert sizes == sorted(sizes, reverse=True)
    with av.open(io.BytesIO(files[2])) as container:
        assert container.streams.video[0].codec_context.name == {"av1": "libdav1d"}.get(name, name)
        assert container.streams.video[0].average_rate == 25
    assert degrade(FRAMES, recipe(name, 3, SHAPE, rng), SHAPE, [0]) == files[2]


@pytest.mark.parametrize("name", ["scaling", "blur", "noise", "shake", "flicker", "freeze"])
def test_strength_0_is_none_and_more_is_further_off(name: str) -> None:
    none = rendered(name, 0)
    if name != "shake":  # whose margin is cut away at every strength
        assert np.array_equal(none, np.stack(FRAMES))
    off = [error(rendered(name, strength), none) for strength in STRENGTHS]
    assert off == sorted(off)
    assert len(set(off)) == 5


def test_scaling_and_blur_take_detail_away() -> None:
    board = (np.indices(SHAPE.size).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    halved = rendered("scaling", 2, [board])
    assert np.abs(halved - 127.5).max() < 20
    point = np.zeros((*SHAPE.size, 3), np.uint8)
    point[32, 48] = 255
    spread = rendered("blur", 3, [point])[0, :, :, 0]
    sigma = 3.2 / 3  # what 540 lines have, at 180 and below
    assert spread[32, 48] == pytest.approx(255 / (2 * np.pi * sigma**2), abs=0.6)
    assert spread[32, 49] == pytest.approx(255 / (2 * np.pi * sigma**2) * np.exp(-0.5 / sigma**2), abs=0.6)


def test_noise_is_white_of_the_stated_deviation_and_new_in_every_frame() -> None:
    grey = [np.full((*SHAPE.size, 3), 128, np.uint8)] * SHAPE.frames
    noise = rendered("noise", 3, grey) - 128
    assert noise.std() == pytest.approx(14, rel=0.02)
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] == pytest.approx(0, abs=0.03)
    assert np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1] == pytest.approx(0.64, abs=0.02)
    assert np.abs(rendered("noise", 1, grey) - 128 - noise * 4 / 14).max() <= 1  # the same chance, less of it


def test_frozen_frames_repeat_exactly_and_a_stronger_freeze_holds_them_too() -> None:
    held = []
    for strength in STRENGTHS:
        frames = rendered("freeze", strength)
        held.append({k for k in range(1, SHAPE.frames) if np.array_equal(frames[k], frames[k - 1])})
        for k in set(range(SHAPE.frames)) - held[-1]:
            assert np.array_equal(frames[k], FRAMES[k])
    assert [len(frozen) for frozen in held] == [1, 3, 5, 6, 9]
    assert all(less < more for less, more in pairwise(held))


def test_shake_moves_the_picture_by_so_many_pixels() -> None:
    ramp = np.broadcast_to(np.arange(96, dtype=np.uint8)[None, :, None] * 2, (*SHAPE.size, 3)).copy()
    middle = rendered("shake", 5, [ramp] * SHAPE.frames)[:, 32, 48, 0] / 2  # what is seen there: its own place
    assert np.std(middle) == pytest.approx(16 * 64 / 540, rel=0.15)
    assert np.std(rendered("shake", 0, [ramp] * SHAPE.frames)[:, 32, 48, 0]) == 0


def test_flicker_changes_the_mean_over_time_by_so_many_stops() -> None:
    grey = [np.full((*SHAPE.size, 3), 100, np.uint8)] * SHAPE.frames
    means = rendered("flicker", 4, grey).mean(axis=(1, 2, 3))
    stops = 2.2 * np.log2(means / 100)
    assert stops.std() == pytest.approx(0.55, rel=0.05)
    assert means[0] != means[1]


@pytest.mark.parametrize("name", list(kinds.COURSES))
def test_a_mixture_is_stronger_in_every_part_and_frame(name: str) -> None:
    drawn = [recipe(name, strength, SHAPE, np.random.default_rng(8)) for strength in STRENGTHS]
    for weaker, stronger in pairwise(drawn):
        assert [kind.name for kind, _ in weaker.parts] == [kind.name for kind, _ in stronger.parts]
        for (_, less), (_, more) in zip(weaker.parts, stronger.parts, strict=True):
            assert np.all(less < more)
    strengths = [course for _, course in drawn[4].parts]
    assert max(float(course.max()) for course in strengths) == pytest.approx(5)
    assert all(course.std() > 0 for course in strengths)
    assert "mean strength" in drawn[4].words


def test_a_codec_in_a_mixture_follows_its_course() -> None:
    course = np.array([0.0] * 7 + [5.0] * 7)
    file = degrade(FRAMES, kinds.Recipe(((SINGLE["h264"], course),), ""), SHAPE, [0])
    lost = np.mean((decoded(file) - np.stack(FRAMES)) ** 2, axis=(1, 2, 3))
    assert lost[:6].max() * 3 < lost[8:].min()


def test_a_missing_encoder_says_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladders, "_has", lambda name: name in ("libx264", "libaom-av1"))
    assert encoder_for("av1").name == "libaom-av1"
    with pytest.raises(ConfigError) as caught:
        encoder_for("hevc")
    assert str(caught.value) == (
        f"PyAV {av.__version__} has no encoder of hevc (libx265). Found: encoders of h264, av1. "
        "Try: --types without hevc, or a PyAV built with it"
    )
