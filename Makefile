# walkrisk: `make help` lists what there is to do. ARGS="..." passes options on to the command behind a target.

OUT ?= reports/walking_low_back_pain
UV ?= uv
BIN := .venv/bin
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first supported Python of the machine; python3 if there is none, so that set-up can say so.
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,$(shell $(p) -c '$(IS_SUPPORTED)' 2>/dev/null && echo $(p))) python3)
PIP := $(BIN)/python -m pip install --quiet --no-build-isolation

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install reproduce sensitivity test check fix docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

install: .venv/.ready ## set up .venv, and no more (reproduce and test do it too)

reproduce: .venv/.ready ## the reference study on the simulated extract (ARGS="--data EXTRACT" for your own), with its report
	$(BIN)/walkrisk reproduce --out "$(OUT)" $(ARGS)
	@echo "The report is $(OUT)/report.html"

sensitivity: .venv/.ready ## the same with every sensitivity analysis, some minutes; a stopped run goes on (ARGS as above)
	$(BIN)/walkrisk reproduce --sensitivity --jobs 2 --out "$(OUT)" $(ARGS)
	@echo "The report is $(OUT)/report.html"

test: .venv/.dev ## the whole test suite (ARGS="-k quartile" for a part)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

check: .venv/.dev ## format, lint, types and layers; never edits a file
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

fix: .venv/.dev ## format, and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: .venv/.dev ## the documentation site, docs/_build/html/index.html; opens from disk
	$(BIN)/python -m sphinx -nW --keep-going -q -b html -d docs/_build/trees docs docs/_build/html $(ARGS)
	@echo "The site is docs/_build/html/index.html"

LOCK = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-emit-index-url --no-header --no-annotate --quiet $(ARGS)

lock: ## pin the dependencies anew after a change of pyproject.toml (needs uv; ARGS=--upgrade for newer ones)
	$(subst compile pyproject.toml,compile --group build,$(LOCK)) --output-file requirements/build.lock
	$(LOCK) --constraints requirements/build.lock --output-file requirements/run.lock
	$(LOCK) --constraints requirements/run.lock --constraints requirements/build.lock --extra dev \
		--output-file requirements/dev.lock

clean: ## remove the environment, caches and builds (reports stay)
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist docs/_build
	find src tests analyses benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up, in three steps that each run again when what they are made from has changed.
.venv/.locked: requirements/build.lock requirements/run.lock
	@$(PYTHON) -c '$(IS_SUPPORTED)' || { echo "walkrisk needs Python 3.11, 3.12 or 3.13, and $(PYTHON) is not one of them." \
		"Name one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@echo "Setting up .venv with $(PYTHON): a minute or two, once"
	@$(PYTHON) -m venv --clear .venv
	@$(PIP) --require-hashes -r requirements/build.lock
	@$(PIP) --require-hashes -r requirements/run.lock
	@touch $@

.venv/.ready: .venv/.locked pyproject.toml
	@$(PIP) --no-deps --editable .
	@$(BIN)/python -m pip check --quiet || { echo "The locks no longer satisfy pyproject.toml: make lock" >&2; exit 1; }
	@touch $@

.venv/.dev: .venv/.ready requirements/dev.lock
	@$(PIP) --require-hashes -r requirements/dev.lock
	@touch $@
