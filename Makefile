# Bare `make` prints this help. Every target sets up what it needs first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BROKER ?= memory
JOBS   ?= 3
export PYTHONDONTWRITEBYTECODE :=

##@ Use it

demo: $(VENV)/.runtime ## Start everything on this machine with four simulated cameras
	@$(BIN)/vigil demo

up: $(VENV)/.system ## Run `vigil up` on a private RabbitMQ and PostgreSQL
	@$(BIN)/vigil local-services -- $(BIN)/vigil up

##@ Check it

smoke: $(VENV)/.dev $(if $(filter rabbitmq,$(BROKER)),$(VENV)/.system) ## Check the main job, headless; BROKER=rabbitmq, SITE=URL
	@$(BIN)/vigil smoke --broker $(BROKER) $(if $(SITE),--site $(SITE))

test: check $(VENV)/.system ## Set up and run every test but the long ones (under 10 minutes); JOBS=8 where there are cores
	@$(BIN)/pytest -m "not long" -n $(JOBS)

test-long: check $(VENV)/.system ## The longer tests, and higher counts of the same ones
	@VIGIL_TEST_LONG=1 $(BIN)/pytest

check: $(VENV)/.dev ## Format, lint, types, floors: no test, under a minute
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python docs/generate.py --check

##@ Measure it

BENCHES := $(addprefix bench-, \
  alarm \
  idle \
  playback \
  recording \
  spotter \
  start \
  vau \
  web \
)

$(BENCHES): $(VENV)/.system
	@$(BIN)/python -m benchmarks.$(subst bench-,,$@)

bench: $(BENCHES) ## All figures; one of them: make bench-start, -alarm, -recording, -playback, -idle, -vau, -web, ...

##@ Change it

setup: $(VENV)/.system ## Everything that development needs

docs: $(VENV)/.dev ## Write the generated pages anew
	@$(BIN)/python docs/generate.py

format: $(VENV)/.dev ## Format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

requirements: $(VENV)/.dev ## Pin the newest versions that pyproject.toml admits
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --universal --python-version 3.11 \
	  pyproject.toml -o requirements/runtime.txt
	@$(BIN)/uv pip compile -q --generate-hashes --no-emit-index-url --no-annotate --universal --python-version 3.11 \
	  pyproject.toml --extra desktop --group dev -o requirements/dev.txt

clean: ## Remove the virtual environment and all that was run here
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

help: ## This page
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+( [a-z-]+)*:.*## / {split($$1, t, ":"); printf "  make %-12s %s\n", t[1], $$2}' $(MAKEFILE_LIST)

# --- set-up steps: each leaves a stamp ------------------------------------------------------------------------

$(VENV)/bin/uv: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Vigil needs Python 3.11 or newer; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@

$(VENV)/.runtime: $(VENV)/bin/uv requirements/runtime.txt pyproject.toml
	@echo "Installing the runtime packages into $(VENV) ..."
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/runtime.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@$(BIN)/python -m compileall -q broker workers servers clients vigil
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "Installing the development packages into $(VENV) ..."
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes --compile-bytecode -r requirements/dev.txt
	@touch $@

$(VENV)/.system: $(VENV)/.dev requirements/system.txt requirements/system.sh
	@bash requirements/system.sh
	@touch $@

.PHONY: demo up smoke test test-long check bench $(BENCHES) setup docs format requirements clean help
