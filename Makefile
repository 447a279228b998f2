# Two commands for a newcomer: `make demo` and `make test`. Each sets up .venv first if it is not there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo experiments docs test lint test-real test-faults test-gpu test-slurm test-release clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fmcvqa needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(INSTALLED)  ## install, then the whole method on synthetic sets, ending in a scored video
	$(BIN)/fmcvqa demo

docs: $(INSTALLED)  ## the site from docs/ and the docstrings, into build/docs; a warning is an error
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --builder html docs build/docs

experiments: $(INSTALLED)  ## the tables of experiments/README.md that can be made here (hours): DATA=FOLDER
	@test -n '$(DATA)' || { echo 'Which folder? Try: make experiments DATA=FOLDER' >&2; exit 2; }
	$(BIN)/python experiments/reconstruction.py --data '$(DATA)' --out outputs/reconstruction
	$(BIN)/python experiments/degradations.py --data '$(DATA)' --out outputs/degradations \
	  --finetuned outputs/reconstruction/cells/reference_ranked_squeezenet1_1_0.ckpt
	$(BIN)/fmcvqa sweep ablation data=synthetic_konvid1k protocol.repeats=4 tracker=none

lint: $(INSTALLED)  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## the self-contained suite: no network, no data, CPU only
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal -m 'not real and not release and not faults'

test-faults: $(INSTALLED)  ## the promises of docs/faults.md at the counts its table gives; prints how long each took
	$(BIN)/python -m pytest -m faults --durations=0 tests

test-real: $(INSTALLED)  ## checks on real clips, labels and features: make test-real DATA=FOLDER
	@test -n '$(DATA)' || { echo 'Which folder? Try: make test-real DATA=FOLDER' >&2; exit 2; }
	$(BIN)/python -m pytest -m 'real and not release' --real-data='$(DATA)' tests/real

test-gpu: $(INSTALLED)  ## checks on a CUDA device; fails where there is none
	$(BIN)/python -m pytest -m gpu --gpu tests

test-slurm: $(INSTALLED)  ## extraction and a sweep on a real Slurm of this one machine; as root, on Debian
	tests/slurm/cluster.sh $(BIN)/python -m pytest tests/slurm/slurm_check.py

test-release: $(INSTALLED)  ## the wheel in an empty environment, launchers, the slow reference medians (long): DATA=FOLDER
	@test -n '$(DATA)' || { echo 'Which folder? Try: make test-release DATA=FOLDER' >&2; exit 2; }
	$(BIN)/python -m pytest -m release --real-data='$(DATA)' tests

clean:  ## remove what the targets made, but not data, caches and outputs
	rm -rf $(VENV) dist build docs/reference .pytest_cache .mypy_cache .ruff_cache
