"""The page of ``fmcvqa predict --html``: each clip with frames, a player, its score over time and what it is worth."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fmcvqa import __version__
from fmcvqa.data.decoding import OnDamage
from fmcvqa.errors import VIDEO_CODES
from fmcvqa.prediction import Prediction, Scale
from fmcvqa.report.frames import Glimpse, pictures
from fmcvqa.report.groups import flatten
from fmcvqa.report.html import render

FRAMES = Glimpse(count=3, width=280)
MOST_WITH_FRAMES = 300  # about 25 kB each in the page
PLAYED = {".mp4", ".m4v", ".mov", ".webm", ".ogv"}  # containers that browsers know; the codec may still be foreign


@dataclass(frozen=True)
class Shown:
    """One clip of the page.

    Attributes:
        anchor: Its id in the page.
        prediction: What is said of it.
        frames: JPEGs inside the page.
        player: Address of the file from the page's folder, or None for what no browser plays.
    """

    anchor: str
    prediction: Prediction
    frames: Sequence[str]
    player: str | None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.prediction.path.name

    def on_scale(self, value: float) -> float:
        """A score as a share of the scale in percent, at its ends where it is outside."""
        scale = self.prediction.scale
        return min(max((value - scale.minimum) / (scale.maximum - scale.minimum), 0.0), 1.0) * 100

    @property
    def meaning(self) -> str:
        """What the code of a clip without a score means."""
        return VIDEO_CODES.get(self.prediction.code or "", "")


def clips_page(
    predictions: Sequence[Prediction],
    folder: Path,
    scale: Scale,
    *,
    card: Mapping[str, Any],
    command: str,
    num_workers: int = 1,
    progress: bool = False,
) -> bytes:
    """The page.

    Args:
        predictions: One per clip.
        folder: Where the page will lie; links to the clips start there.
        scale: What a score means.
        card: The model's card.
        command: What was typed.
        num_workers: Child processes that read the frames.
        progress: Whether to show a bar on stderr while frames are read.
    """
    scored = {str(row): one.path for row, one in enumerate(predictions) if one.error is None}
    wanted = dict(list(scored.items())[:MOST_WITH_FRAMES])
    damage: OnDamage = "mark" if any(one.damage for one in predictions) else "reject"
    frames = pictures(wanted, FRAMES, num_workers=num_workers, progress=progress, damage=damage)
    clips = [
        Shown(f"clip-{row}", one, frames.get(str(row), []), _player(one, folder)) for row, one in enumerate(predictions)
    ]
    facts = flatten({key: value for key, value in card.items() if key != "config"})
    data = {"clips": [_charted(clip) for clip in clips]}
    return render(
        "clips.html",
        scripts=("charts.js", "clips.js"),
        media="'self' file:",
        clips=clips,
        scale=scale,
        facts=facts,
        command=command,
        data=data,
        version=__version__,
        left_out=len(scored) - len(wanted),
    )


def _player(prediction: Prediction, folder: Path) -> str | None:
    path = prediction.path
    if prediction.error is not None or path.suffix.lower() not in PLAYED:
        return None
    return quote(os.fsencode(os.path.relpath(path, folder)))  # relative: page and clips can move together


def _kinds(one: Prediction) -> list[str]:
    if one.error:
        return ["failed"]
    like = "unlike" if one.unlike and one.unlike.flag else "alike"
    return [like, *(["damaged"] if one.damage else [])]


def _charted(clip: Shown) -> dict[str, Any]:
    one = clip.prediction
    windows = [{"start": w.start, "end": w.end, "score": round(w.score, 4)} for w in one.timeline or ()]
    return {
        "anchor": clip.anchor,
        "name": str(one.path),
        "score": None if one.score is None else round(one.score, 4),
        "kinds": _kinds(one),
        "timeline": windows,
    }
