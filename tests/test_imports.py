"""The architecture in one picture: who may import whom, and what stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fmcvqa

PACKAGE = Path(fmcvqa.__file__).parent
FLOORS = {
    "errors": 0,
    "sealed": 0,
    "heartbeat": 0,
    "configs": 0,
    "modelfile": 1,
    "prediction": 1,
    "data": 2,
    "models": 2,
    "tracking": 2,
    "features": 3,
    "regression": 4,
    "modelcard": 5,
    "hub": 6,
    "predictor": 7,
    "report": 7,
    "tasks": 8,
    "cli": 9,
    "__main__": 10,
}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> set[str]:
    """The floors a module imports from, at its top or inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "fmcvqa")
        elif isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
    return {name.split(".")[1] for name in names if name.startswith("fmcvqa.")} & set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    floor = path.relative_to(PACKAGE).with_suffix("").parts[0]
    assert floor in FLOORS, f"{floor} has no floor; give it one"
    for other in imported(path) - {floor}:
        assert FLOORS[other] < FLOORS[floor], f"{floor} imports {other}"


@pytest.mark.parametrize(
    "module",
    [
        "fmcvqa",
        "fmcvqa.cli",
        "fmcvqa.data",
        "fmcvqa.data.decoding",
        "fmcvqa.data.labels",
        "fmcvqa.features",
        "fmcvqa.regression",
    ],
)
def test_light_modules_stay_light(module: str) -> None:
    heavy = "{'torch', 'lightning', 'wandb', 'matplotlib'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in fmcvqa.__all__:
        assert getattr(fmcvqa, name) is not None
    with pytest.raises(AttributeError, match="module 'fmcvqa' has no attribute 'nothing'"):
        _ = fmcvqa.nothing


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_pickle_in_models_features_and_results(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & {"pickle", "joblib", "dill", "shelve"}
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.module.split(".")[0] not in {"pickle", "joblib", "dill", "shelve"}
        if isinstance(node, ast.Call):
            function = ast.unparse(node.func)
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            assert keywords.get("allow_pickle") != "True"
            if function in ("torch.load", "load_from_checkpoint"):
                assert keywords.get("weights_only") == "True", ast.unparse(node)
