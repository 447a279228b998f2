"""Where the configs and experiments lie: in the checkout, or packaged in an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    # The checkout first: an editable install may have left a stale packaged copy.
    checkout = _PACKAGE.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    return _PACKAGE / name


def conf_dir() -> Path:
    """The folder of the Hydra configs."""
    return _folder("conf")


def experiments_dir() -> Path:
    """The folder of the experiments, one YAML per table of the paper."""
    return _folder("experiments")


def experiments() -> list[str]:
    """The names of the experiments that come with the package."""
    return sorted(path.stem for path in experiments_dir().glob("*.yaml"))
