"""``fmcvqa fit``: one cell trained on a whole dataset, written as one safe model file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate
from omegaconf import DictConfig

from fmcvqa import __version__
from fmcvqa.errors import ConfigError
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.models.trunk import Trunk
from fmcvqa.prediction import Scale
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.regression.conformal import Calibration
from fmcvqa.regression.final import fit_final
from fmcvqa.regression.novelty import fit_training_set
from fmcvqa.regression.protocol_base import Protocol
from fmcvqa.regression.protocols import Cross
from fmcvqa.regression.results import software_versions
from fmcvqa.tasks.dashboard import track_model
from fmcvqa.tasks.extract import Extraction
from fmcvqa.tasks.inputs import cell_of, open_inputs
from fmcvqa.tasks.job import job_folder
from fmcvqa.tasks.redaction import recorded
from fmcvqa.tasks.sources import StoreFeatures
from fmcvqa.tracking import Tracker


def run(cfg: DictConfig) -> float:
    """Cross-validate a cell, train it on every video, and write the model; gives the median SROCC.

    Raises:
        DatasetError: If the dataset is not complete.
        FeatureError: If the features or labels cannot be regressed.
        ConfigError: If the features are not our own, or the protocol searches or tests on another set.
    """
    protocol: Protocol = instantiate(cfg.protocol)
    if isinstance(protocol, Cross) or protocol.permute_labels:
        raise ConfigError("a model is fitted on one set with its own labels", advice="protocol=paper")
    if not issubclass(get_class(cfg.features._target_), StoreFeatures):
        raise ConfigError("a model needs features it can make itself", advice="features=store")
    tracker: Tracker = instantiate(cfg.tracker)
    cell, inputs = cell_of(cfg), open_inputs(cfg)
    evaluation = inputs.evaluate(cell, protocol)
    features, _ = inputs.matrices
    regressor = fit_final(
        features, inputs.labelled.mos, cell, scaler=protocol.feature_scaler, scale_mos=protocol.scale_mos
    )
    dataset = inputs.dataset
    low, high = dataset.mos_range
    trunk, recipe = _trunk(cfg, cell.layers)
    card = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": {"name": dataset.name, "stand_in": dataset.stand_in, "videos": len(features)},
        "cell": cell.as_dict(),
        "protocol": evaluation.protocol,
        "scores": evaluation.scores,
        "versions": software_versions() | {"fmcvqa": __version__},
        "config": recorded(cfg),
    }
    scale = Scale(dataset.name, low, high, dataset.stand_in)
    calibration = Calibration.of(inputs.labelled.mos, evaluation.tested)
    model = VideoQualityModel(
        trunk, recipe, regressor, scale, card, calibration, fit_training_set(features, evaluation.cell.blocks)
    )
    output = Path(cfg.output)
    model.save(output)
    track_model(tracker, card, output, job_folder(), cfg.name)
    srocc: dict[str, Any] = evaluation.scores["srocc"]
    print(
        f"{output} ({output.stat().st_size / 1e6:.1f} MB): {'+'.join(cell.layers)} {cell.kernel} on "
        f"{len(features)} videos of {dataset.name}; "
        f"cross-validated SROCC {srocc['median']:.4f} (std {srocc['std']:.4f})"
    )
    return float(srocc["median"])


def _trunk(cfg: DictConfig, layers: tuple[str, ...]) -> tuple[Trunk, FeatureRecipe]:
    """The network only as deep as the cell's layers, and the recipe for it."""
    made = Extraction.from_config(cfg)
    recipe = replace(made.recipe, taps=layers)
    trunk = Trunk(cfg.model.name, layers, cfg.model.weights, seed=cfg.model.seed, batchnorm=recipe.batchnorm)
    return trunk, replace(recipe, weights=trunk.fingerprint())
