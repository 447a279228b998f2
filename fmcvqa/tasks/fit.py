"""``fmcvqa fit``: one cell trained on a whole dataset, written as one safe model file beside its report."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_class
from omegaconf import DictConfig

from fmcvqa import __version__
from fmcvqa.errors import ConfigError
from fmcvqa.features.recipe import FeatureRecipe
from fmcvqa.files import refuse_unwritable
from fmcvqa.hub import local_weights
from fmcvqa.modelcard import shareable
from fmcvqa.modelfile import read_model_file
from fmcvqa.models.reuse import is_model_file
from fmcvqa.models.trunk import Trunk
from fmcvqa.prediction import Scale
from fmcvqa.predictor import VideoQualityModel
from fmcvqa.regression.conformal import Calibration
from fmcvqa.regression.evaluate import Evaluation
from fmcvqa.regression.final import fit_final, searched
from fmcvqa.regression.novelty import fit_training_set
from fmcvqa.regression.protocol_base import Protocol
from fmcvqa.regression.protocols import Cross
from fmcvqa.regression.results import build_result, software_versions, write_result, write_splits_beside
from fmcvqa.regression.svr import Cell
from fmcvqa.report.writing import write_report
from fmcvqa.tasks.dashboard import OF_THE_MACHINE, track_model
from fmcvqa.tasks.extract import Extraction
from fmcvqa.tasks.inputs import Inputs, cell_of, open_inputs
from fmcvqa.tasks.job import job_folder
from fmcvqa.tasks.labels import check_labels
from fmcvqa.tasks.redaction import recorded
from fmcvqa.tasks.settings import build
from fmcvqa.tasks.sources import StoreFeatures
from fmcvqa.tasks.sweep import result_key
from fmcvqa.tracking import Tracker


def run(cfg: DictConfig) -> float:
    """Cross-validate a cell, train it on every video, and write the model and its report; gives the median SROCC.

    Raises:
        OSError: If ``output`` cannot be written; nothing was started.
        DatasetError: If the dataset is not complete, or its labels cannot be learnt from.
        FeatureError: If the features or labels cannot be regressed.
        ConfigError: If the features are not our own, or the protocol tests on another set.
        WeightsError: If ``model.weights`` is a model file whose network does not reach the taps.
    """
    protocol: Protocol = build(cfg.protocol)
    if isinstance(protocol, Cross) or protocol.permute_labels:
        raise ConfigError("a model is fitted on one set with its own labels", advice="protocol=paper")
    if not issubclass(get_class(cfg.features._target_), StoreFeatures):
        raise ConfigError("a model needs features it can make itself", advice="features=store")
    tracker: Tracker = build(cfg.tracker)
    cell = cell_of(cfg)
    refuse_unwritable(Path(cfg.output))
    check_labels(build(cfg.data))  # before hours of decoding
    inputs = open_inputs(cfg)
    evaluation = inputs.evaluate(cell, protocol)
    model = _fitted(cfg, inputs, cell, protocol, evaluation)
    output, folder = Path(cfg.output), job_folder()
    model.save(output)
    result = _result(cfg, inputs, evaluation, folder)
    report = f"report: {write_report(folder, folder).groups[0].table_md}" if cfg.report else f"result: {result}"
    track_model(tracker, model.card, output, folder, cfg.name)
    marked = f" ({inputs.labelled.damaged} marked as damaged)" if inputs.labelled.damaged else ""
    srocc: dict[str, Any] = evaluation.scores["srocc"]
    print(
        f"{output} ({output.stat().st_size / 1e6:.1f} MB): {'+'.join(cell.layers)} {cell.kernel} on "
        f"{len(inputs.labelled.ids)} videos of {inputs.dataset.name}{marked}; "
        f"cross-validated SROCC {srocc['median']:.4f} (std {srocc['std']:.4f})\n"
        f"{report}; fmcvqa info {output} shows the model's card"
    )
    return float(srocc["median"])


def _fitted(
    cfg: DictConfig, inputs: Inputs, cell: Cell, protocol: Protocol, evaluation: Evaluation
) -> VideoQualityModel:
    features, _ = inputs.matrices
    dataset, mos = inputs.dataset, inputs.labelled.mos
    chosen = searched(features, mos, cell, protocol)
    regressor = fit_final(features, mos, chosen, scaler=protocol.feature_scaler, scale_mos=protocol.scale_mos)
    trunk, recipe = _trunk(cfg, cell)
    card = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "licence": cfg.licence,
        "dataset": inputs.cards[0],
        "trunk": {"weights": _weights_name(str(cfg.model.weights)), "seed": cfg.model.seed} | _parent(cfg),
        "cell": chosen.as_dict(),
        "protocol": evaluation.protocol,
        "scores": evaluation.scores,
        "versions": software_versions() | {"torch": str(torch.__version__), "fmcvqa": __version__},
        "config": shareable(recorded(cfg), OF_THE_MACHINE),
    }
    return VideoQualityModel(
        trunk,
        recipe,
        regressor,
        Scale(dataset.name, *dataset.mos_range, dataset.stand_in),
        card,
        Calibration.of(mos, evaluation.tested),
        fit_training_set(features, chosen.blocks),
    )


def _weights_name(weights: str) -> str:
    return weights if weights in ("imagenet", "none") else Path(weights).name


def _parent(cfg: DictConfig) -> dict[str, Any]:
    """What is known of the model file that the network was taken from."""
    weights = local_weights(str(cfg.model.weights))
    if not is_model_file(weights):
        return {}
    record = read_model_file(Path(weights))[1]
    card = record["card"]
    return {
        "from_model": {
            "dataset": record["scale"]["name"],
            "fingerprint": record["recipe"]["weights"],
            "trunk": card.get("trunk", {}),
            "licence": card.get("licence"),
        }
    }


def _result(cfg: DictConfig, inputs: Inputs, evaluation: Evaluation, folder: Path) -> Path:
    """The cross-validation's result and splits, as a sweep leaves them; gives the result's path."""
    config, key = recorded(cfg), result_key(cfg, inputs)
    result = build_result(evaluation, name=cfg.name, dataset=inputs.cards[0], config=config, key=key)
    write_splits_beside(folder, inputs.labelled.ids, evaluation)
    return write_result(folder, result)


def _trunk(cfg: DictConfig, cell: Cell) -> tuple[Trunk, FeatureRecipe]:
    """The network only as deep as the cell's layers, and the recipe for it with the cell's pools and sketch alone."""
    made, used = Extraction.from_config(cfg), build(cfg.features)
    sketch = {"sketch": used.sketch, "sketch_seed": used.sketch_seed}
    recipe = replace(made.recipe, taps=cell.layers, pools=cell.pools, **sketch)
    weights = local_weights(str(cfg.model.weights))
    trunk = Trunk(cfg.model.name, cell.layers, weights, seed=cfg.model.seed, batchnorm=recipe.batchnorm)
    return trunk, replace(recipe, weights=trunk.fingerprint())
