# wtsflow. `make demo` and `make test` do all their set-up; they need Python >= 3.11, git and make.
#
#   make demo        a pinned manifest on a small fleet of practice hosts
#   make test        the whole suite
#   make lint types contracts docs bench soak dist clean
#   make lock        write the lock files anew

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
BENCH_VENV ?= .venv-bench
BIN := $(VENV)/bin
WORKERS ?= 2
TESTS ?=

# The first Python that is new enough and can make a virtual environment.
FIND_PYTHON = for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
  then break; fi; python=; done; \
  if [ -z "$$python" ]; then \
    echo "make: no Python >= 3.11 with venv found; install it, or say which: make PYTHON=/path/to/python3" >&2; \
    exit 1; fi

PIP = "$(BIN)/python" -m pip --disable-pip-version-check --quiet

.PHONY: help demo test soak lint format types contracts docs bench lock dist clean

help:
	@sed -n '3,6s|^# *||p' Makefile

$(VENV)/bin/python:
	@$(FIND_PYTHON); echo "==> $(VENV): a virtual environment of $$("$$python" --version) ($$python)"; \
	"$$python" -m venv "$(VENV)"

# The build backend comes from a lock too, so nothing is fetched that is not pinned by hash.
$(VENV)/.runtime: requirements.lock requirements-build.lock pyproject.toml | $(VENV)/bin/python
	@echo "==> installing $$(grep -c '==' requirements.lock) packages, each pinned by its hash (requirements.lock)"
	@$(PIP) install --require-hashes -r requirements-build.lock -r requirements.lock
	@echo "==> installing wtsflow itself"
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "==> installing the developers' tools (requirements-dev.lock)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

$(BENCH_VENV)/.peers: requirements-bench.lock
	@$(FIND_PYTHON); echo "==> $(BENCH_VENV): the peers to measure against (requirements-bench.lock)"; \
	"$$python" -m venv "$(BENCH_VENV)"
	@"$(BENCH_VENV)/bin/python" -m pip --disable-pip-version-check --quiet install --require-hashes -r requirements-bench.lock
	@touch $@

demo: $(VENV)/.runtime
	@echo "==> wtsflow lab demo"
	@"$(BIN)/wtsflow" lab demo

test: $(VENV)/.dev
	@echo "==> pytest, $(WORKERS) at a time"
	@"$(BIN)/python" -m pytest -n $(WORKERS) -m "not slow" $(TESTS)

soak: $(VENV)/.dev
	@echo "==> pytest, the long forms"
	@"$(BIN)/python" -m pytest -n $(WORKERS) -m slow $(TESTS)

lint: $(VENV)/.dev
	@echo "==> ruff"
	@"$(BIN)/ruff" check
	@"$(BIN)/ruff" format --check

format: $(VENV)/.dev
	@"$(BIN)/ruff" check --fix
	@"$(BIN)/ruff" format

types: $(VENV)/.dev
	@echo "==> mypy --strict"
	@"$(BIN)/mypy"

contracts: $(VENV)/.dev
	@echo "==> import-linter"
	@"$(BIN)/lint-imports"

docs: $(VENV)/.dev
	@echo "==> docs/reference from the code and the schemas"
	@"$(BIN)/python" -m docs.generate

bench: $(VENV)/.dev $(BENCH_VENV)/.peers
	@echo "==> benchmarks, side by side with the peers"
	@"$(BIN)/python" -m benchmarks --peers "$(BENCH_VENV)" --write docs/explanation/performance.md

dist: $(VENV)/.dev
	@echo "==> the wheel"
	@rm -rf dist
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

# Without addresses: an index is the reader's choice. Versions stay as they are unless UPGRADE=--upgrade.
COMPILE = "$(BIN)/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-header --no-annotate $(UPGRADE)
lock: $(VENV)/.dev
	@$(PIP) install uv
	$(COMPILE) pyproject.toml --group dev --group build --output-file requirements-dev.lock
	$(COMPILE) pyproject.toml --constraints requirements-dev.lock --output-file requirements.lock
	$(COMPILE) --group build --constraints requirements-dev.lock --output-file requirements-build.lock
	$(COMPILE) --group benchmarks --output-file requirements-bench.lock

clean:
	rm -rf "$(VENV)" "$(BENCH_VENV)" dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
