"""The smallest settings that every command runs on, and ways to compose and run commands in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from barcode import write_clip
from hydra import compose, initialize_config_dir

from fmcvqa import cli, configs
from fmcvqa.tasks import job

TAPS = ("features.4", "classifier.avgpool")


def composed(name: str, *overrides: str) -> Any:
    """A primary config or an experiment with Hydra's own part, as the command line composes it."""
    assert job.JOBS  # importing it registers the resolver
    conf, experiments = configs.conf_dir(), configs.experiments_dir()
    main = conf if (conf / f"{name}.yaml").is_file() else experiments  # only there it is looked for
    with initialize_config_dir(version_base="1.3", config_dir=str(main)):
        return compose(name, overrides=[f"hydra.searchpath=[file://{conf}]", *overrides], return_hydra_config=True)


def places(folder: Path, outputs: Path | None = None) -> list[str]:
    """Everything below one folder, what comes out below another if there is one."""
    where = {"data": folder / "data", "cache": folder / "cache", "outputs": (outputs or folder) / "outputs"}
    return [f"paths.{name}={path}" for name, path in where.items()]


def network(crop: int = 64) -> list[str]:
    """A small network with random weights on small crops."""
    return [
        "model=squeezenet1_1",
        "model.weights=none",
        f"recipe.taps=[{','.join(TAPS)}]",
        f"recipe.crop={crop}",
        "loader.num_workers=0",
        "trainer.accelerator=cpu",
    ]


def generated(data: str = "data", option: str = "synthetic_konvid1k", videos: int = 12) -> list[str]:
    """A generated set of a few frames per clip."""
    seconds = 0.16 if option.endswith("konvid1k") else 0.14
    return [f"{data}={option}", f"{data}.videos={videos}", f"{data}.seconds={seconds}", f"{data}.size=[90,160]"]


def textured(count: int = 5, width: int = 128, height: int = 96, seed: int = 0) -> list[np.ndarray]:
    """Frames of a moving texture."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    picture = np.kron(noise, np.ones((8, 8, 1), np.uint8))
    return [np.roll(picture, 3 * k, axis=1) for k in range(count)]


def clip(path: Path, count: int = 5, *, seed: int = 0, width: int = 128, height: int = 96) -> Path:
    """A clip of a moving texture."""
    return write_clip(path, textured(count, width, height, seed))


def damage(path: Path) -> Path:
    """Overwrite the middle of a clip's coded pictures; its index stays whole."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    length = (len(data) if data.index(b"moov") < start else data.index(b"moov")) - start
    data[start + length // 2 : start + 3 * length // 4] = bytes(3 * length // 4 - length // 2)
    path.write_bytes(data)
    return path


def labelled(folder: Path, names: list[str], *, count: int = 5) -> Path:
    """Clips with a CSV of their scores, every one a texture of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{name}.mp4,{1 + k % 5}" for k, name in enumerate(names)]
    for k, name in enumerate(names):
        clip(folder / f"{name}.mp4", count, seed=k)
    (folder / "labels.csv").write_text("path,mos\n" + "\n".join(rows) + "\n")
    return folder / "labels.csv"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command; gives its exit code, stdout and stderr."""
    capsys.readouterr()
    code = cli.main(list(words))
    out, err = capsys.readouterr()
    return code, out, err


def errors(err: str) -> list[str]:
    """The error lines of a command's stderr."""
    return [line.removeprefix("error: ") for line in err.splitlines() if line.startswith("error: ")]
