# `make` lists what there is.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JSON ?=
RIMREP_SHARED ?= $(wildcard ../shared)
export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: help install demo up down local-run test test-faults bench lint docs build packages

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.installed: pyproject.toml requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

install: $(VENV)/.installed ## Make .venv with everything that is pinned

# Debian's packages that the tests start; only root can install them, others are told what is missing.
packages:
	@missing=; for tool in nginx git chromium; do command -v $$tool >/dev/null || PATH=$$PATH:/usr/sbin command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light git chromium >/dev/null; \
	  else echo "missing:$$missing; tests that need them are skipped (install nginx-light, git and chromium)"; fi; \
	fi

demo: install ## Generate sources, publish the example catalog, read everything back
	$(BIN)/rimrep demo

up: install ## The whole platform on this machine: store, pygeoapi, Dagster's UI and daemon
	$(BIN)/rimrep up

down: install ## End the platform that `make up` started
	$(BIN)/rimrep down

local-run: up ## The same as up

test: install packages ## All tests, on real parts
	$(if $(RIMREP_SHARED),RIMREP_SHARED=$(abspath $(RIMREP_SHARED))) $(BIN)/python -m pytest -n 4 --dist loadscope

test-faults: install packages ## An exception at every store call of every kind of publication, and the longest backfills
	$(if $(RIMREP_SHARED),RIMREP_SHARED=$(abspath $(RIMREP_SHARED))) $(BIN)/python -m pytest -n 2 --dist loadscope -m "faults or long"

bench: install ## Time us beside what people use today; JSON=path writes the figures too
	$(BIN)/python -m benchmarks $(if $(JSON),--json $(JSON))

lint: install ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: install ## The manual as a static site, in site/
	$(BIN)/mkdocs build --quiet --strict

build: install ## Wheel and source archive, in dist/
	$(BIN)/python -m build --quiet

# Pins are compiled by hand, after a change of pyproject.toml: it changes what everybody runs.
.PHONY: pins
pins: install ## Compile requirements.txt anew
	$(BIN)/uv pip compile --quiet --universal --no-emit-index-url --no-annotate --all-extras --custom-compile-command "make pins" --python-version 3.11 pyproject.toml -o requirements.txt
