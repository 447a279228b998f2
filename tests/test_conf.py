"""Every config file against the class it instantiates, and every primary config composed."""

from __future__ import annotations

import inspect
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from tiny import composed

from fmcvqa import configs
from fmcvqa.models.backbones import check_taps

FILES = sorted(configs.conf_dir().rglob("*.yaml"))
DEFAULT_OF_GROUP = {
    "data/konvid1k",
    "data/livevqc",
    "data/tid2013",
    "data/synthetic_konvid1k",
    "data/synthetic_livevqc",
    "data/synthetic_tid2013",
    "decoder/pyav",
    "decoder/decord",
    "recipe/paper",
    "protocol/paper",
    "protocol/cross",
    "protocol/ugcvqa",
    "protocol/nested",
    "regressor/svr",
    "kernels/default",
}


def option(path: Path) -> str:
    return str(path.relative_to(configs.conf_dir()).with_suffix(""))


def targets() -> list[tuple[str, dict[str, Any]]]:
    """Every mapping with a ``_target_`` in the tree, with the option it stands in."""
    found = []
    for path in FILES:
        stack = [OmegaConf.to_container(OmegaConf.load(path))]
        while stack:
            node = stack.pop()
            if isinstance(node, dict):
                found += [(option(path), node)] if "_target_" in node else []
                stack += node.values()
            elif isinstance(node, list):
                stack += node
    return found


@pytest.mark.parametrize(("name", "node"), targets(), ids=lambda value: value if isinstance(value, str) else "")
def test_targets_take_their_keys(name: str, node: dict[str, Any]) -> None:
    target = get_class(node["_target_"]) if node["_target_"][0].islower() else None
    assert target is not None
    parameters = inspect.signature(target).parameters
    keys = {key for key in node if not key.startswith("_") and key != "defaults"}
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        assert keys <= set(parameters), f"unknown: {keys - set(parameters)}"
    if name not in DEFAULT_OF_GROUP:
        return
    for key, parameter in parameters.items():
        if key in ("backbone", "weights", "decoder", "decoder_version") and name == "recipe/paper":
            continue  # bound later, to a network and a decoder
        assert key in keys, f"{name} does not state {key}"
        value = node[key]
        if parameter.default is inspect.Parameter.empty or (isinstance(value, str) and "${" in value):
            continue
        default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        assert value == default, f"{name}.{key} is {value!r}, in Python {default!r}"


def primaries() -> list[tuple[str, list[str]]]:
    """Each primary config and experiment, with the overrides that must compose."""
    videos = ["data=synthetic_konvid1k", "data=synthetic_livevqc", "decoder=decord", "recipe=authors", "tracker=none"]
    out: list[tuple[str, list[str]]] = []
    for name in ("sweep", "table1_konvid1k", "table2_livevqc", "table3_cross", "authors", "ablation"):
        out += [(name, [])] + [(name, [override]) for override in videos]
    out += [("sweep", [f"protocol={p}"]) for p in ("paper", "ugcvqa", "nested", "cross")]
    out += [("extract", []), ("fit", []), ("fit", ["data=csv", "data.labels=x.csv"])]
    out += [("table3_cross", [f"direction={path.stem}"]) for path in (configs.conf_dir() / "direction").glob("*.yaml")]
    out += [
        (name, [o])
        for name in ("finetune", "finetune_tid2013")
        for o in ("training=paper", "training=strong", "training=ranked")
    ]
    out += [("finetune", [f"model={m}"]) for m in ("efficientnet_b4", "resnet50", "squeezenet1_1")]
    return [*out, ("finetune", ["data=synthetic_tid2013"])]


@pytest.mark.parametrize(("name", "overrides"), primaries(), ids=str)
def test_primary_configs_compose(name: str, overrides: list[str]) -> None:
    cfg = composed(name, *overrides)
    assert cfg.name
    assert cfg.hydra.run.dir == f"outputs/{cfg.name}"
    assert cfg.hydra.callbacks.failures
    assert OmegaConf.select(cfg, "hydra.help.header")


def test_a_stand_in_needs_no_pretrained_weights() -> None:
    with initialize_config_dir(version_base="1.3", config_dir=str(configs.conf_dir())):
        assert compose("sweep", overrides=["data=synthetic_konvid1k"]).model.weights == "none"
        assert compose("sweep", overrides=["data=synthetic_konvid1k", "model=resnet50"]).model.weights == "imagenet"
        assert compose("finetune", overrides=["data=synthetic_tid2013"]).model.weights == "none"


ROWS = sorted(path.stem for path in (configs.conf_dir() / "ablation").glob("*.yaml"))


@pytest.fixture(scope="module")
def paper_row() -> Any:
    return composed("ablation", "ablation=paper")


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_ablation_changes_what_its_name_says(row: str, paper_row: Any) -> None:
    cfg, paper, kind = composed("ablation", f"ablation={row}"), paper_row, row.partition("_")[0]
    assert cfg.row == row
    recipe = instantiate(cfg.recipe)
    assert check_taps(cfg.model.name, recipe.taps) == recipe.taps
    assert set(cfg.features.layers) <= set(recipe.taps)
    assert set(cfg.features.pools) <= set(recipe.pools)
    changed = {
        key
        for part in ("recipe", "features", "protocol")
        for key in cfg[part]
        if cfg[part][key] != paper[part][key] and (part, key) not in (("recipe", "taps"), ("recipe", "pools"))
    } - {"shared"}
    told = {"paper": set(), "pools": {"pools"}, "taps": {"layers"}, "sketch": {"sketch"}, "scaling": {"scaling"}}
    told |= {"gram": {"normalisation"}, "native": {"resize", "crop"}, "stride": {"stride"}}
    assert changed == told[kind]
    assert cfg.data == paper.data and cfg.model == paper.model and cfg.regressor == paper.regressor
    on_the_stand_in = composed("ablation", f"ablation={row}", "data=synthetic_konvid1k")
    assert on_the_stand_in.model.weights == "none"
    assert on_the_stand_in.features == cfg.features


def test_the_ablation_runs_every_row_and_rows_of_one_recipe_are_neighbours(paper_row: Any) -> None:
    rows = paper_row.hydra.sweeper.params.ablation.split(",")
    assert sorted(rows) == ROWS and rows[0] == "paper"
    composed_rows = [composed("ablation", f"ablation={row}") for row in rows]
    runs = [recipe for recipe, _ in groupby(instantiate(cfg.recipe) for cfg in composed_rows)]
    assert len(runs) == len(set(runs)) == 9
    ids = [str(k) for k in range(30)]
    assert len({str(instantiate(cfg.protocol).splits(ids)) for cfg in composed_rows}) == 1
