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
    "files": 0,
    "heartbeat": 0,
    "matfile": 0,
    "memory": 0,
    "precision": 0,
    "threads": 0,
    "configs": 0,
    "sealed": 1,
    "trainer": 1,
    "prediction": 1,
    "modelfile": 2,
    "data": 3,
    "models": 3,
    "tracking": 3,
    "features": 4,
    "regression": 5,
    "modelcard": 6,
    "hub": 7,
    "predictor": 8,
    "report": 8,
    "tasks": 9,
    "cli": 10,
    "__main__": 11,
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


RUNS_CODE = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal", "code", "pty", "runpy", "yaml", "pandas"}
NEVER_CALLED = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "joblib.load", "torch.hub.load", "torch.jit.load",
    "torch.package.PackageImporter", "pickle.load", "pickle.loads", "torch.export.load",
}  # fmt: skip


def breaches(source: str) -> list[str]:
    """What a module imports or calls that could run what a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in RUNS_CODE]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module] if node.module.split(".")[0] in RUNS_CODE else []
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found += sorted(names & (NEVER_CALLED | {"torch.load", "numpy.load"}))  # under another name none is seen
        elif isinstance(node, ast.Call):
            found += _breaches_of_call(node)
    return found


def _breaches_of_call(node: ast.Call) -> list[str]:
    function = ast.unparse(node.func)
    words = {word.arg: ast.unparse(word.value) for word in node.keywords}
    found = [function] if function in NEVER_CALLED else []
    found += ["allow_pickle"] if words.get("allow_pickle", "False") != "False" else []
    found += ["weights_only"] if words.get("weights_only", "True") != "True" else []
    needs = ("torch.load", ".load_from_checkpoint", ".get_state_dict", "load_state_dict_from_url", "trainer.fit")
    if function.endswith(needs) and "weights_only" not in words:
        found.append(f"{function} without weights_only")
    if function in ("np.load", "numpy.load") and "allow_pickle" not in words:
        found.append(f"{function} without allow_pickle")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_can_run_what_a_file_holds(path: Path) -> None:
    assert breaches(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import joblib.memory",
        "from shelve import open",
        "from torch import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "IQARegressor.load_from_checkpoint(path)",
        "trainer.fit(model, data)",
        "eval(text)",
        "torch.hub.load('a', 'b')",
    ],
)
def test_each_way_to_run_it_is_seen(source: str) -> None:
    assert len(breaches(source)) == 1
