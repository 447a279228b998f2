"""What a model file says of itself, and the same for people to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fmcvqa.prediction import Scale
from fmcvqa.regression.conformal import LEVEL, Calibration

_SCORES = {"srocc": "SROCC", "krocc": "KROCC", "plcc": "PLCC", "plcc_mapped": "PLCC, mapped", "rmse": "RMSE"}
_NOT_STATED = "not stated"


def shareable(config: Mapping[str, Any], left_out: tuple[str, ...]) -> dict[str, Any]:
    """A config without what belongs to one machine: some keys, and of absolute paths all but the last name."""
    return {key: _nameless(value) for key, value in config.items() if key not in left_out}


def _nameless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _nameless(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_nameless(part) for part in value]
    is_path = isinstance(value, str) and (value.startswith("~") or Path(value).is_absolute())
    return Path(value).name if is_path else value


def describe(record: Mapping[str, Any], arrays: Mapping[str, Any]) -> str:
    """The model card in Markdown: purpose, data, scores with spread, what a score is worth, limits, recipe, versions.

    Args:
        record: Of a model file of any format, see ``fmcvqa.modelfile``.
        arrays: Its arrays.
    """
    card = record["card"]
    parts = [
        f"# {record['scale']['name']}: {_cell(card)}",
        f"Predicts the quality people see in a video, as a mean opinion score (MOS): {Scale(**record['scale'])}.",
        _table(_facts(record, arrays)),
        *_scores(card),
        *_worth(record, arrays),
        *_limits(record),
        "## Recipe\n\n" + _table({name: _text(value) for name, value in record["recipe"].items()}),
        *(["## Versions\n\n" + _table(card["versions"])] if "versions" in card else []),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(record: Mapping[str, Any], arrays: Mapping[str, Any]) -> dict[str, str]:
    card, recipe = record["card"], record["recipe"]
    data = card.get("dataset", {})
    numbers = sum(array.size for array in arrays.values())
    facts = {
        "trained on": f"{data['videos']} videos of {data['name']}{_damaged(data)}" if data else "",
        "network": f"{record['backbone']} up to {', '.join(recipe['taps'])}; {_origin(card.get('trunk', {}))}",
        "network's fingerprint": recipe["weights"],
        "regressor": _regressor(card),
        "licence": card.get("licence") or _NOT_STATED,
        "made": card.get("made", ""),
        "file": f"format {record['format']}, {numbers:,} numbers",
    }
    return {name: text for name, text in facts.items() if text}


def _damaged(data: Mapping[str, Any]) -> str:
    count = data.get("damaged", 0)
    return f", {count} of them damaged and used up to the damage" if count else ""


def _origin(trunk: Mapping[str, Any]) -> str:
    """Where the network's weights come from, model files they were taken from included."""
    if not trunk:
        return f"origin of the weights {_NOT_STATED}"
    parent = trunk.get("from_model")
    if parent is None:
        named = {"imagenet": "ImageNet weights", "none": "random weights"}
        return named.get(trunk["weights"], f"weights of {trunk['weights']}")
    return f"the network of {trunk['weights']}, a model of {parent['dataset']} ({_origin(parent['trunk'])})"


def _cell(card: Mapping[str, Any]) -> str:
    cell = card.get("cell", {})
    return f"{'+'.join(cell['layers'])}, {cell['kernel']}" if cell else "a cell that is not described"


def _regressor(card: Mapping[str, Any]) -> str:
    cell = card.get("cell", {})
    named = [f"{name}={cell[name]}" for name in ("C", "epsilon", "gamma") if name in cell]
    return f"support vector regression, {cell['kernel']} kernel, {', '.join(named)}" if cell else ""


def _scores(card: Mapping[str, Any]) -> list[str]:
    if "scores" not in card:
        return []
    protocol = card.get("protocol", {})
    rows = ["| score | median | std | 95 % interval |", "|---|---|---|---|"]
    for name, title in _SCORES.items():
        if name in card["scores"]:
            one = card["scores"][name]
            rows.append(
                f"| {title} | {one['median']:.4f} | {one['std']:.4f} | {one['ci95'][0]:.4f} to {one['ci95'][1]:.4f} |"
            )
    text = (
        f"Of videos the regressor had not seen, by the protocol {protocol.get('name', _NOT_STATED)}: median and "
        "standard deviation over its splits, and an interval over the choice of videos."
    )
    return [f"## Scores\n\n{text}\n\n" + "\n".join(rows)]


def _worth(record: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[str]:
    if record.get("calibration") is None:
        text = "No interval and no flag: the file has the format 1; fmcvqa fit writes them."
        return [f"## What a score is worth\n\n{text}"]
    half = Calibration.load({name: arrays[f"calibration/{name}"] for name in ("mos", "residuals")}).half_width()
    videos = record["calibration"]["videos"]
    interval = (
        f"{LEVEL:.0%} of videos like the training set have their MOS within {half:.3g} of their score "
        f"(conformal, from {videos} out-of-fold residuals)."
        if half is not None
        else f"{videos} out-of-fold residuals are too few for an interval of {LEVEL:.0%}."
    )
    around = record.get("training_set") or {}
    flag = (
        f" A clip farther from the training videos than they are from each other is flagged "
        f"(mean distance to the nearest {around['nearest']}, calibrated leave-one-out; about "
        f"{around['false_alarms']:.1%} of videos like the training set are flagged too)."
        if around
        else ""
    )
    return [f"## What a score is worth\n\n{interval}{flag}"]


def _limits(record: Mapping[str, Any]) -> list[str]:
    scale = Scale(**record["scale"])
    lines = [
        "A score is a statement about people like those who rated the training set, on material like it.",
        "Interval and percentile mean nothing for a clip that is flagged.",
    ]
    if scale.stand_in:
        lines.insert(0, "The training set is a generated stand-in that nobody rated: scores mean nothing about people.")
    return ["## Limits\n\n" + "\n".join(f"- {line}" for line in lines)]


def _table(facts: Mapping[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items())])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
