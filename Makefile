# `make` or `make help` lists what there is. Every target that needs Python sets up .venv first.

PYTHON ?= python3
EXTRAS ?= dev
BIN := .venv/bin
STAMP := .venv/.installed-$(EXTRAS)
PIP := $(BIN)/python -m pip install --disable-pip-version-check
LOCKS := requirements.lock $(if $(filter bench,$(EXTRAS)),requirements-bench.lock)

.DEFAULT_GOAL := help
.PHONY: help install lock train test test-fast lint format smoke sweep report docs benchmark certificate

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP)  ## set up .venv; EXTRAS=bench adds the peers of the benchmarks

# Hashes decide: first setuptools, which builds what has no wheel, then all else, and this project without dependencies.
$(STAMP): $(LOCKS) pyproject.toml setup.py
	@echo "1 of 4: an environment of Python in .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "2 of 4: setuptools, which builds what has no wheel"
	@awk '/^setuptools==/,!/\\$$/' requirements.lock | $(PIP) --quiet --require-hashes --requirement /dev/stdin
	@echo "3 of 4: every package of $(LOCKS), by its hash (three to seven minutes the first time)"
	@$(PIP) --progress-bar off --require-hashes --no-build-isolation $(addprefix --requirement ,$(LOCKS))
	@echo "4 of 4: this project"
	@$(PIP) --quiet --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "Installed. Next: source .venv/bin/activate; python src/train.py model=factorised_encoder"

train: install  ## train the factorised encoder on the embedded data set
	$(BIN)/python src/train.py model=factorised_encoder

PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test: install lint  ## lint, then all tests
	$(PYTEST)

test-fast: install  ## the tests without those that launch commands or take seconds: under seven minutes
	$(PYTEST) -m "not slow"

lint: install  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: install  ## mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

smoke: install  ## three batches of everything
	$(BIN)/python src/train.py debug=limit

SWEEPS := $(filter-out _%,$(notdir $(basename $(wildcard configs/sweep/*.yaml))))
RUNS := logs/train/runs
# Side by side: one per core, two at most, for each needs about 2 GB.
JOBS ?= $(shell test "$$(getconf _NPROCESSORS_ONLN)" -gt 1 && echo 2 || echo 1)
SKIP_RECORDED ?= true
COMMA := ,
SPACE := $(subst ,, )
REMAINING = $(BIN)/python src/report.py remaining=true jobs=$(JOBS) skip_recorded=$(SKIP_RECORDED) \
	'sweeps=[$(subst $(SPACE),$(COMMA),$(strip $(SWEEPS)))]'
EACH := xargs -P $(JOBS) -I{}
BESIDE := $(if $(filter-out 1,$(JOBS)),callbacks.progress=null data.num_workers=0)

sweep: install  ## all tables and figures, hours, which it prints; goes on where it stopped (SWEEPS="pooling": some; JOBS=2)
	@$(REMAINING)
	@printf '%s\n' image_vit vivit | $(EACH) sh -c 'test -f $(RUNS)/pretrain_{}/results.json || \
	    $(if $(BESIDE),OMP_NUM_THREADS=1) exec $(BIN)/python src/train.py pretrain={} $(BESIDE)'
	@printf '%s\n' $(SWEEPS) | $(EACH) $(BIN)/python src/train.py sweep={} records=docs/results \
	    skip_recorded=$(SKIP_RECORDED) hydra.sweeper.jobs=$(JOBS) || \
	    { $(REMAINING); echo "with jobs that failed, see above; make sweep tries them again"; exit 1; }

report: install  ## tables, figures and a page of everything in logs/ and docs/results/
	$(BIN)/python src/report.py

docs: install  ## the documentation as pages; its notebooks take some minutes the first time, and a warning is an error
	DOCS_NOTEBOOKS=true $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build/html
	@echo "docs/_build/html/index.html"

benchmark: install  ## parameters and multiply-adds of every model beside the paper's
	$(BIN)/python src/benchmark.py bench=model

certificate: install  ## train in ways that promise the same weights, and write how far they are apart
	OMP_NUM_THREADS=1 $(BIN)/python src/benchmark.py bench=certificate bench.target=docs

# For maintainers, with uv from anywhere (pip install uv). Versions stay as they are where the ranges allow it.
UV ?= uv
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --annotation-style line --custom-compile-command "make lock" $(UPGRADE)
BENCH := import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")

lock:  ## lock versions and hashes anew after a change of pyproject.toml; UPGRADE=--upgrade takes the newest
	$(COMPILE) $(addprefix --extra ,dev docs slurm export demo dashboards) --output-file requirements.lock pyproject.toml
	$(PYTHON) -c '$(BENCH)' | $(COMPILE) --no-deps --constraints requirements.lock --output-file requirements-bench.lock -
