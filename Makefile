# `make` or `make help` lists what there is. Every target that needs Python sets up .venv first.

PYTHON ?= python3
EXTRAS ?= dev
BIN := .venv/bin
STAMP := .venv/.installed-$(subst $(empty) ,-,$(EXTRAS))

.DEFAULT_GOAL := help
.PHONY: help install train test lint format smoke sweep report benchmark

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP)  ## set up .venv; EXTRAS=bench adds the peers of the benchmarks

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,slurm,$(EXTRAS)]'
	@touch $@

train: install  ## train the factorised encoder on the embedded data set
	$(BIN)/python src/train.py model=factorised_encoder

test: install lint  ## lint, then all tests
	$(BIN)/python -m pytest

lint: install  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: install  ## mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

smoke: install  ## three batches of everything
	$(BIN)/python src/train.py debug=limit

sweep: install  ## the main job with three seeds; goes on where it stopped
	$(BIN)/python src/train.py sweep=seeds

report: install  ## tables of everything in logs/
	$(BIN)/python src/report.py

benchmark: install  ## parameters and multiply-adds of every model beside the paper's
	$(BIN)/python src/benchmark.py bench=model
