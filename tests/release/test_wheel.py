"""The wheel as a stranger gets it: installed into an empty environment, far from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from test_borrower import check
from tiny import clip

import fmcvqa
from fmcvqa import configs

pytestmark = pytest.mark.release

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = {"ablation", "authors", "finetune_tid2013", "table1_konvid1k", "table2_livevqc", "table3_cross"}


def done(*command: str | Path, cwd: Path) -> str:
    """Run a command without anything of this environment; gives its stdout."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "COVERAGE", "HYDRA"))}
    ended = subprocess.run([str(word) for word in command], cwd=cwd, env=clean, capture_output=True, text=True)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    done(sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT, cwd=out)
    [built] = out.iterdir()
    return built


@pytest.fixture(scope="module")
def away(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment in it that holds the wheel and its pinned dependencies."""
    folder = tmp_path_factory.mktemp("away")
    venv.create(folder / "env", with_pip=True)
    pip = [folder / "env" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done(*pip, "--constraint", ROOT / "constraints.txt", wheel, cwd=folder)
    return folder


def test_the_wheel_holds_the_package_its_configs_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"fmcvqa-{fmcvqa.__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"fmcvqa", info}
    assert {name for name in names if name.startswith("fmcvqa/conf/")} == {
        f"fmcvqa/conf/{path.relative_to(configs.conf_dir())}" for path in configs.conf_dir().rglob("*.yaml")
    }
    assert {name for name in names if name.startswith("fmcvqa/experiments/")} == {
        f"fmcvqa/experiments/{name}.yaml" for name in EXPERIMENTS
    }
    assert {path.stem for path in configs.experiments_dir().glob("*.yaml")} == EXPERIMENTS
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "fmcvqa").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "fmcvqa/report/templates").iterdir()}
    assert {name for name in names if "/templates/" in name} == templates and len(templates) > 3
    assert f"{info}/licenses/LICENSE" in names


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"fmcvqa-{fmcvqa.__version__}.dist-info"
        metadata = archive.read(f"{info}/METADATA").decode()
        entry = archive.read(f"{info}/entry_points.txt").decode()
    assert "\nLicense-Expression: MIT\n" in metadata
    assert "\nRequires-Python: >=3.11\n" in metadata
    assert entry.split() == ["[console_scripts]", "fmcvqa", "=", "fmcvqa.cli:main"]


def test_another_project_trains_on_its_frames(away: Path) -> None:
    """tests/borrower, installed beside the wheel, far from the checkout."""
    python = away / "env" / "bin" / "python"
    copied = shutil.copytree(ROOT / "tests" / "borrower", away / "borrower")
    done(python, "-m", "pip", "install", "--quiet", "--no-deps", copied, cwd=away)
    clips = [clip(away / f"{k}.mp4", 6, seed=k) for k in range(2)]
    said = check(done(python, "-m", "borrower.train", away / "tid2013", *clips, cwd=away))
    assert Path(str(said["from"])).is_relative_to(away / "env")


def test_importing_takes_no_time(away: Path) -> None:
    code = "import time; start = time.perf_counter(); import fmcvqa; print(time.perf_counter() - start)"
    assert min(float(done(away / "env" / "bin" / "python", "-c", code, cwd=away)) for _ in range(5)) < 0.3


def test_far_from_the_checkout_it_works(away: Path) -> None:
    command = away / "env" / "bin" / "fmcvqa"
    where = done(away / "env" / "bin" / "python", "-c", "import fmcvqa; print(fmcvqa.__file__)", cwd=away)
    assert Path(where.strip()).is_relative_to(away / "env")
    assert done(command, "--version", cwd=away) == f"fmcvqa {fmcvqa.__version__}\n"
    assert f"Experiments: {', '.join(sorted(EXPERIMENTS))}\n" in done(command, cwd=away)
    assert "\nname: sweep\n" in done(command, "sweep", "--cfg", "job", cwd=away)
    for name in EXPERIMENTS - {"finetune_tid2013"}:
        assert f"\nname: {name}\n" in done(command, "sweep", name, "--cfg", "job", cwd=away)
    assert "\nname: finetune_tid2013\n" in done(command, "finetune", "finetune_tid2013", "--cfg", "job", cwd=away)
    small = ["data.videos=4", "data.seconds=0.16", "data.size=[90,160]", "recipe.crop=64", "recipe.taps=[features.4]"]
    network = ["model=squeezenet1_1", "model.weights=none", "trainer.accelerator=cpu"]
    out = done(command, "extract", "data=synthetic_konvid1k", *small, *network, cwd=away)
    assert out.startswith("4 videos of KoNViD-1k (synthetic stand-in): features in cache/")
    assert not list(away.glob("env/lib/*/site-packages/fmcvqa/**/outputs"))
