# Everything a newcomer needs: `make train` and `make test` set up .venv by themselves, then do their work.
#   make train ARGS="--timesteps 1000000"    train a driver; any flag of `kart train` goes in ARGS
#   make test                                ruff, pyright and the quick tests: what CI runs
# Needs a Python 3.11 or newer with pip; choose another one with PYTHON=/path/to/python.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup train test test-all lint format types bench notebooks lock clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
PYTEST := $(BIN)/pytest --numprocesses $(JOBS) --dist loadfile
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*##/\t/' | expand -t 12

setup: $(STAMP) ## make .venv from requirements.lock (the other targets do it by themselves)

# `pip --python` also reaches an environment without pip of its own, as on systems whose Python lacks ensurepip.
$(STAMP): requirements.lock pyproject.toml
	@python=""; \
	for candidate in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.11 or newer was found as $(or $(PYTHON),python3.13, python3.12, python3.11 or python3); install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 2; \
	fi; \
	if ! $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  echo "set-up: $(VENV) with $$("$$python" --version)"; "$$python" -m venv --clear --without-pip $(VENV); \
	fi; \
	if ! $(BIN)/uv --version >/dev/null 2>&1; then \
	  "$$python" -m pip --python $(BIN)/python --disable-pip-version-check install --quiet --constraint requirements.lock uv; \
	fi
	@extras="--extra board --extra gym"; \
	cuda=$${CUDA-$$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | awk -F. 'NR == 1 { print ($$1 >= 580 ? 13 : 12) }' || true)}; \
	if [ -n "$$cuda" ]; then \
	  echo "set-up: jax with CUDA $$cuda (an NVIDIA driver is present; CUDA= turns this off)"; extras="$$extras --extra cuda$$cuda"; \
	fi; \
	echo "set-up: packages at the versions of requirements.lock"; \
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --constraint requirements.lock \
	  --requirement pyproject.toml $$extras --group dev
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

train: $(STAMP) ## train a driver on tracks/circuit.png; flags in ARGS="..."
	@$(BIN)/kart train $(ARGS)

test: lint types ## ruff, pyright and the quick tests: what CI runs
	@$(PYTEST) -m "not slow" $(ARGS)

test-all: lint types ## the same with the slow tests
	@$(PYTEST) $(ARGS)

lint: $(STAMP) ## ruff check and format check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(STAMP) ## let ruff rewrite the sources
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(STAMP) ## pyright
	@$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(STAMP) ## how fast this machine is, and where the time goes; flags in ARGS="..."
	@$(BIN)/kart bench $(ARGS)

notebooks: $(STAMP) ## open the notebooks in JupyterLab; flags in ARGS="..."
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --constraint requirements.lock \
	  --requirement pyproject.toml --extra notebooks
	@$(BIN)/jupyter lab --notebook-dir=notebooks $(ARGS)

lock: $(STAMP) ## resolve requirements.lock anew: one file for every Python version and every extra
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --upgrade \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  --output-file requirements.lock pyproject.toml

clean: ## remove .venv, caches and builds; runs/ stays
	@rm -rf $(VENV) build dist .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
