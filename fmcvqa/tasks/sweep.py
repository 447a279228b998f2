"""``fmcvqa sweep``: one cell of a table per job, all splits of a protocol; the table at the end of a multirun."""

from __future__ import annotations

import hashlib
import json
import logging
import shlex
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fmcvqa.files import file_digest
from fmcvqa.regression.results import FILE_NAME, build_result, read_result, write_result, write_splits_beside
from fmcvqa.report.results import read_result as read_checked
from fmcvqa.report.writing import write_report
from fmcvqa.tasks import multirun
from fmcvqa.tasks.dashboard import track_cell, track_sweep
from fmcvqa.tasks.inputs import Inputs, cell_of, open_inputs
from fmcvqa.tasks.job import job_folder, plain_config
from fmcvqa.tasks.redaction import recorded, redacted
from fmcvqa.tasks.settings import build
from fmcvqa.tracking import Tracker

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> float:
    """Cross-validate one cell; gives its median SROCC (across datasets: the SROCC).

    A cell whose ``result.json`` carries the same key is not run again unless ``force=true``.

    Raises:
        DatasetError: If a dataset is not complete.
        FeatureError: If the features or labels cannot be regressed.
        ConfigError: If a setting is out of range.
        ResultError: If the cell is finished but its result is damaged.
    """
    cell, protocol = cell_of(cfg), build(cfg.protocol)  # first: what they refuse would cost an extraction later
    tracker: Tracker = build(cfg.tracker)
    inputs = open_inputs(cfg)
    key = result_key(cfg, inputs)
    folder = job_folder()
    previous = None if cfg.force else read_result(folder)
    if previous is not None and previous["key"] == key:
        score = read_checked(folder / FILE_NAME).srocc
        log.info("%s is finished already; force=true runs it again", folder)
        return score
    evaluation = inputs.evaluate(cell, protocol)
    dataset, *target = inputs.cards
    result = build_result(
        evaluation,
        name=cfg.name,
        dataset=dataset,
        target=target[0] if target else None,
        config=recorded(cfg),
        key=key,
        command=_command(),
    )
    write_splits_beside(folder, inputs.labelled.ids, evaluation)
    write_result(folder, result)
    track_cell(tracker, result, folder, inputs.origins)
    score = result["scores"]["srocc"]
    spread = f" (std {score['std']:.4f})" if "std" in score else ""
    print(f"{'+'.join(evaluation.cell.layers)} {evaluation.cell.kernel}: SROCC {objective(result):.4f}{spread}")
    return objective(result)


def _command() -> str:
    """What to type for the running job's cell alone; secrets are to be filled in."""
    hydra = HydraConfig.get()
    experiment = [] if hydra.job.config_name in (None, "sweep") else [hydra.job.config_name]
    return shlex.join(["fmcvqa", "sweep", *experiment, *redacted(list(hydra.overrides.task))])


def objective(result: dict[str, Any]) -> float:
    """The median SROCC of a result, or the one SROCC across datasets."""
    score = result["scores"]["srocc"]
    return float(score["median"] if "median" in score else score["value"])


def result_key(cfg: DictConfig, inputs: Inputs) -> str:
    """SHA-256 over everything a result depends on: features and labels by content, cell and protocol by value."""
    known = [inputs.cards, [labelled.identity for labelled in inputs.every]]
    protocol = plain_config(cfg.protocol)
    for name in ("splits_file", "groups_file"):
        protocol[name] = protocol[name] and file_digest(Path(protocol[name]))
    parts = [known, cell_of(cfg).as_dict(), protocol]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class TableAtEnd(Callback):
    """Hydra callback: at the end of a multirun, whatever launcher ran it, the table from the cells' files."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Write tables and figures beside the cells, and print the tables."""
        folder = Path(config.hydra.sweep.dir)
        with multirun.kept():
            if any(folder.glob(f"*/{FILE_NAME}")):
                files = write_report(folder, folder)
                print(files.text)
                track_sweep(build(config.tracker), folder, files)
