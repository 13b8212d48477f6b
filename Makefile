# Two commands do everything: `make run` and `make test`.  `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help run test check fast bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

run: $(VENV)/ready ## set up, bring the database up to date, start console and job service
	@$(BIN)/moontide migrate
	@exec $(BIN)/moontide up

test: $(VENV)/ready-dev ## set up, then every check and every test
	@sh tests/support/install_servers.sh
	@$(MAKE) --no-print-directory check
	$(PYTEST) -n auto --dist loadgroup

check: $(VENV)/ready-dev ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fast: $(VENV)/ready-dev ## the tests without servers and browsers
	$(PYTEST) -n auto tests/unit tests/contract tests/web tests/architecture

bench: $(VENV)/ready-dev ## measure what things cost, beside references from the same run
	$(BIN)/python -m bench

clean: ## remove what set-up and tests made; the data in var/ stays
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache test-results

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh packaging/install_python_venv.sh
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
