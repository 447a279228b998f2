from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
FIGURES = {"layers_and_kernels": 1, "score_a_video": 1, "what_the_gram_sees": 3}

notebooks = pytest.mark.parametrize("name", FIGURES)


def read(name: str) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_is_tested() -> None:
    assert sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")) == sorted(FIGURES)


@notebooks
def test_it_is_stored_without_results(name: str) -> None:
    notebook = read(name)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    assert [cell.id for cell in code_cells(notebook) if cell.outputs or cell.execution_count is not None] == []
    assert [cell.id for cell in notebook.cells if cell.metadata] == []


@notebooks
def test_it_runs_to_its_end_and_leaves_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = {key: tmp_path / key for key in ("TMPDIR", "IPYTHONDIR", "JUPYTER_DATA_DIR")}
    for key, folder in folders.items():  # nothing of the user's Jupyter is read or written
        folder.mkdir()
        monkeypatch.setenv(key, str(folder))
    started_in = tmp_path / "work"
    started_in.mkdir()
    notebook = read(name)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(started_in))

    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == FIGURES[name]
    assert list(started_in.iterdir()) == []
    left = [path.name for path in folders["TMPDIR"].iterdir() if not path.name.startswith("torchinductor_")]
    assert left == []  # torch makes its folder whatever is asked of it
