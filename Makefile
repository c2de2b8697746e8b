# Everything a developer runs; `make` alone lists it. Needs make and Python 3.11+, uses uv where it is installed.

PYTHON ?= python3
SECONDS ?= 60
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_NATIVE_TLS := 1

BIN := .venv/bin
# Named after this folder and this Python: a .venv that was moved, copied or made by another one is built anew.
STAMP := .venv/.installed-$(shell (pwd; $(PYTHON) -VV) 2>&1 | cksum | cut -d' ' -f1)
UV := $(shell command -v uv 2>/dev/null)
PIP := $(if $(UV),VIRTUAL_ENV=.venv uv pip,$(BIN)/python -m pip)
COMPILE := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
           --no-emit-index-url --no-header --no-annotate --upgrade

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint check bench chaos lock clean

help:  ## this list
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 8

venv: $(STAMP)  ## create or refresh .venv from requirements-dev.lock

$(STAMP): pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "$(PYTHON) is missing or older than 3.11; name a newer Python: make PYTHON=python3.12" >&2; exit 1; }
	@test -n "$(UV)" || $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot create virtual environments: apt-get install python3-venv" >&2; exit 1; }
	@test -e $@ || rm -rf .venv
	@echo "installing into .venv"
	@test -e .venv || $(if $(UV),uv venv --quiet --python $(PYTHON),$(PYTHON) -m venv) .venv
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## a sandbox and four bots on it, until Ctrl-C; ONCE=1 talks to them and ends
	@$(BIN)/brama-supervisor demo $(if $(ONCE),--once)

test: $(STAMP)  ## the whole test suite
	@$(if $(COVERAGE),$(BIN)/coverage erase)
	@$(BIN)/$(if $(COVERAGE),coverage run -m pytest,python -m pytest) tests

lint: $(STAMP)  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# The suite is a prerequisite, so one make run that asks for `check test` runs it once, with coverage.
check: COVERAGE := 1
check: lint test  ## everything CI does: lint, then the suite with a floor under its branch coverage
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

bench: $(STAMP)  ## measure, and print the tables of docs/benchmarks.md
	@$(BIN)/python -m benchmarks

chaos: $(STAMP)  ## faults of every kind at random under load, then count updates; SECONDS=60 SEED=n
	@$(BIN)/python -m benchmarks.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

lock:  ## resolve the dependencies anew into requirements*.lock (needs uv)
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean:  ## remove .venv, caches and build output
	rm -rf .venv .node build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
