"""The types of degradation, and the mixtures of them whose strength changes over a clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fmcvqa.data.degradations import motion, picture
from fmcvqa.data.degradations.base import Degradation, Shape, Values
from fmcvqa.data.degradations.ladders import STORED_QP, encode
from fmcvqa.data.pixels import Pixels

SINGLE = {
    kind.name: kind
    for kind in (
        Degradation("h264", "qp", STORED_QP, (27, 32, 37, 42, 47)),
        Degradation("hevc", "qp", STORED_QP, (27, 32, 37, 42, 47)),
        Degradation("vp9", "crf", STORED_QP, (30, 38, 46, 54, 62)),
        Degradation("av1", "crf", STORED_QP, (30, 38, 46, 54, 62)),
        Degradation("scaling", "times smaller", 1, (1.5, 2, 3, 4, 6), picture.scaling),
        Degradation("blur", "pixels at 540 lines", 0, (1.5, 2.2, 3.2, 5, 8), picture.blur),
        Degradation("noise", "grey levels", 0, (4, 8, 14, 22, 34), picture.noise),
        Degradation("freeze", "of the time", 0, (0.1, 0.2, 0.35, 0.5, 0.7), motion.freeze),
        Degradation("shake", "pixels at 540 lines", 0, (1.5, 3, 6, 10, 16), motion.shake),
        Degradation("flicker", "stops", 0, (0.1, 0.2, 0.35, 0.55, 0.8), motion.flicker),
    )
}
COURSES = {"mixture_rising": "rising", "mixture_falling": "falling", "mixture_episode": "episode"}
TYPES = (*SINGLE, *COURSES)
CLEAN = "clean"
"""The source itself, stored like the others: strength 0."""

_MIXED = (
    "shake",
    "freeze",
    "scaling",
    "blur",
    "flicker",
    "noise",
    "h264",
)  # in this order: the scene, the camera, then
_SECOND = 0.6  # strength of the further parts of a mixture over that of the chief one
_EPISODE = 0.4  # of the clip


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is done to a clip.

    Attributes:
        parts: Degradation and the strength of each frame [n] in [0, 5], in the order in which they are done.
        words: The same, said.
    """

    parts: tuple[tuple[Degradation, Values], ...]
    words: str


def recipe(name: str, strength: int, shape: Shape, rng: np.random.Generator) -> Recipe:
    """What a type does at a strength.

    Args:
        name: One of ``TYPES``, or ``CLEAN``.
        strength: 1 to 5; a stronger one is stronger in every part and frame, so the order of means is known.
        shape: The clip's.
        rng: Draws the parts of a mixture; the same for all strengths of a source and type.
    """
    if name == CLEAN:
        return Recipe((), "as it came")
    if name in SINGLE:
        kind = SINGLE[name]
        steady = np.full(shape.frames, float(strength))
        return Recipe(((kind, steady),), f"{kind.values[strength - 1]:g} {kind.unit}")
    course = _course(COURSES[name], shape.frames, rng)
    drawn = rng.permutation(len(_MIXED))[: int(rng.integers(2, 4))].tolist()
    shares = {_MIXED[place]: 1.0 if order == 0 else _SECOND for order, place in enumerate(drawn)}
    parts = tuple((SINGLE[part], strength * shares[part] * course) for part in _MIXED if part in shares)
    said = " + ".join(f"{part} x {shares[part]:g}" for part in shares)
    return Recipe(parts, f"{said}; {COURSES[name]}; mean strength {strength * course.mean():.2f}")


def degrade(frames: Iterable[Pixels], done: Recipe, shape: Shape, seed: list[int]) -> bytes:
    """The degraded clip as an MP4 file.

    Args:
        frames: RGB [height, width, 3], in order.
        done: What to do.
        shape: Their number, size and rate.
        seed: With the part's place in the recipe it decides all chance.
    """
    codec, values = "h264", np.full(shape.frames, float(STORED_QP))
    for place, (kind, strengths) in enumerate(done.parts):
        if kind.render is None:
            codec, values = kind.name, kind.at(strengths)
        else:
            frames = kind.render(frames, kind.at(strengths), shape, np.random.default_rng([*seed, place]))
    return encode(frames, codec, values, shape)


def _course(kind: str, frames: int, rng: np.random.Generator) -> Values:
    """Share of the strength over time [n], at most 1 and nowhere 0."""
    when = np.linspace(0, 1, frames)
    if kind == "episode":
        start = rng.uniform(0, 1 - _EPISODE)
        return np.where((when >= start) & (when <= start + _EPISODE), 1.0, 0.25)
    ramp = 0.2 + 0.8 * when
    return ramp if kind == "rising" else ramp[::-1]
