"""The content of small result.json files with known numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

SCORES = ("srocc", "krocc", "plcc", "plcc_mapped", "rmse", "rmse_mapped")
PAPER = {"name": "paper", "folds": 5, "repeats": 1, "seed": 0, "mapping_fitted_on": "train"}


def card(name: str, stand_in: bool = False, mos_range: Sequence[float] = (1, 5), videos: int = 40) -> dict[str, Any]:
    return {"name": name, "stand_in": stand_in, "videos": videos, "mos_range": list(mos_range)}


def content(
    layers: Sequence[str] = ("Mixed_5b",),
    kernel: str = "linear",
    srocc: float = 0.8,
    *,
    dataset: dict[str, Any] | None = None,
    target: dict[str, Any] | None = None,
    name: str = "table1",
    protocol: dict[str, Any] | None = None,
    C: float = 1.0,
    offsets: Sequence[float] = (-0.02, -0.01, 0.0, 0.01, 0.02),
    **changes: Any,
) -> dict[str, Any]:
    """One result: SROCC is ``srocc`` plus the offsets, PLCC .01 above, KROCC .2 below, mapped PLCC .03 above."""
    shift = {"srocc": 0.0, "krocc": -0.2, "plcc": 0.01, "plcc_mapped": 0.03, "rmse": -0.3, "rmse_mapped": -0.31}
    splits = [
        {"split": i, "train": 32, "test": 8, **{key: srocc + shift[key] + offset for key in SCORES}}
        for i, offset in enumerate(offsets)
    ]
    scores: dict[str, Any] = {
        key: {"median": srocc + shift[key], "mean": srocc + shift[key], "std": float(np.std(offsets))} for key in SCORES
    }
    if target is not None:
        value = {key: srocc + shift[key] for key in SCORES}
        scores = {key: {"value": value[key], "ci95": [value[key] - 0.05, value[key] + 0.04]} for key in SCORES}
    generator = np.random.default_rng(7)
    mos = generator.uniform(1.5, 4.5, 40)
    predicted = mos + generator.normal(0, 1.2 - srocc, 40)
    return {
        "name": name,
        "cell": {
            "layers": list(layers),
            "pools": ["mean", "max"],
            "kernel": kernel,
            "C": C,
            "epsilon": 0.1,
            "gamma": "scale",
        },
        "dataset": card("KoNViD-1k") if dataset is None else dataset,
        "target": target,
        "protocol": dict(PAPER) if protocol is None else protocol,
        "scores": scores,
        "splits": splits,
        "predictions": [
            {"id": f"v{i}", "mos": float(m), "predicted": float(p)}
            for i, (m, p) in enumerate(zip(mos, predicted, strict=True))
        ],
        "config": {"recipe": {"stride": 1}},
        "key": "",
        "versions": {},
        **changes,
    }
