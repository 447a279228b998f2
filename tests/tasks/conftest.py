"""A generated set that the tests of the commands share; each has its own folder for what comes out."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import generated, network, places


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def konvid(shared_folder: Path, tmp_path: Path) -> list[str]:
    """Overrides for twelve clips in KoNViD-1k's layout and the small network."""
    return [*generated(), *network(), *places(shared_folder, tmp_path)]
