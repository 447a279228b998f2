"""What is said of one clip: its score and all that gives it a meaning, or why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fmcvqa.errors import Damage, VideoError


@dataclass(frozen=True)
class Scale:
    """What a score means: the MOS scale of the set the model was trained on.

    Attributes:
        name: That set.
        minimum: Worst score of the scale.
        maximum: Best score of the scale; predictions are not clipped to it: a score far outside says that the clip is
            unlike the training set.
        stand_in: Whether the set was synthetic, so that a score means nothing about people.
    """

    name: str
    minimum: float
    maximum: float
    stand_in: bool = False

    def __str__(self) -> str:
        note = ", a synthetic stand-in" if self.stand_in and "stand-in" not in self.name else ""
        return f"{self.minimum:g} (worst) to {self.maximum:g} (best), as in {self.name}{note}"

    def __contains__(self, score: float) -> bool:
        return self.minimum <= score <= self.maximum


@dataclass(frozen=True)
class Interval:
    """A range that holds the MOS of so many of the clips that are like the training set.

    Attributes:
        low: In the units of the scale.
        high: In the units of the scale.
        level: Share of clips whose MOS is inside, such as 0.9.
    """

    low: float
    high: float
    level: float


@dataclass(frozen=True)
class Unlikeness:
    """How far a clip is from what its model was trained on.

    Attributes:
        distance: Distance to the nearest training clips, as a multiple of the largest that counts as alike; above 1
            is unlike. None if the model does not know its training set's features.
        reasons: Why score and interval should not be trusted, one sentence each; empty for a clip that is alike.
    """

    distance: float | None
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, score: float, scale: Scale, distance: float | None) -> Unlikeness:
        """The judgement of a score on a scale at this distance."""
        reasons = []
        if distance is not None and not distance <= 1:
            reasons.append(f"it lies {distance:.3g} times as far from the training clips as they do from each other")
        if score not in scale:
            reasons.append(f"its score is not within {scale.minimum:g} to {scale.maximum:g}")
        return cls(distance, tuple(reasons))

    @property
    def flag(self) -> bool:
        """Whether the clip is unlike the training set."""
        return bool(self.reasons)


@dataclass(frozen=True)
class Window:
    """One second of a clip.

    Attributes:
        start: In seconds after the first frame.
        end: One second later; the last window of a clip may hold frames for a part of it only.
        frames: Number of frames pooled.
        score: What the model gives for these frames alone.
    """

    start: float
    end: float
    frames: int
    score: float


@dataclass(frozen=True)
class Prediction:
    """One clip's score, or why it has none.

    Attributes:
        path: The clip as it was named.
        score: In the units of ``scale``; None if the clip could not be read.
        scale: What a score means.
        interval: Where the MOS is expected; None if the model cannot say.
        percentile: Share in percent of the training set's clips with a lower MOS; None if the model cannot say.
        unlike: Whether the clip is unlike the training set; None if there is no score.
        frames: Number of frames pooled.
        timeline: A score per second; None where it was not asked for, or the file has neither presentation times nor
            a frame rate.
        error: Why there is no score.
        damage: What is wrong with the clip behind the frames that were pooled, where that was allowed: the score is of
            these frames alone. None for a whole clip.
    """

    path: Path
    score: float | None
    scale: Scale
    interval: Interval | None = None
    percentile: float | None = None
    unlike: Unlikeness | None = None
    frames: int = 0
    timeline: tuple[Window, ...] | None = None
    error: VideoError | None = None
    damage: Damage | None = None

    @property
    def code(self) -> str | None:
        """One of ``fmcvqa.errors.VIDEO_CODES``, or None if there is a score."""
        return None if self.error is None else self.error.code

    def to_dict(self) -> dict[str, Any]:
        """The row of ``fmcvqa predict --json``."""
        unlike = self.unlike
        return {
            "path": str(self.path),
            "score": self.score,
            "scale": asdict(self.scale),
            "code": self.code,
            "error": None if self.error is None else str(self.error),
            "interval": None if self.interval is None else asdict(self.interval),
            "percentile": self.percentile,
            "unlike": None
            if unlike is None
            else {"flag": unlike.flag, "distance": unlike.distance, "reasons": list(unlike.reasons)},
            "frames": self.frames,
            "damage": None if self.damage is None else self.damage._asdict(),
            "timeline": None if self.timeline is None else [asdict(window) for window in self.timeline],
        }

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Prediction:
        """The prediction whose :meth:`to_dict` was kept; an error has only its code and text."""
        interval, unlike, timeline = row["interval"], row["unlike"], row["timeline"]
        damage = row.get("damage")  # rows from before there was an allowance have none
        return cls(
            Path(row["path"]),
            row["score"],
            Scale(**row["scale"]),
            None if interval is None else Interval(**interval),
            row["percentile"],
            None if unlike is None else Unlikeness(unlike["distance"], tuple(unlike["reasons"])),
            row["frames"],
            None if timeline is None else tuple(Window(**window) for window in timeline),
            None if row["code"] is None else VideoError(row["code"], row["error"].removeprefix(f"{row['code']}: ")),
            None if damage is None else Damage(**damage),
        )
