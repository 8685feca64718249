# Two commands do all the set-up: `make demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PAGE := src/visionloop/serving/static/.built
PAGE_SOURCES := $(shell find web -type f -not -path '*/node_modules/*' -not -path '*/test-results/*' -not -path 'web/e2e/*')
export PATH := $(CURDIR)/$(BIN):$(PATH)
# No program here asks the network for news, tips or updates.
export DVC_NO_ANALYTICS := 1
export NO_ALBUMENTATIONS_UPDATE := 1
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True
export PYTHONUNBUFFERED := 1
# Containers like to set it; without bytecode every start of Python compiles torch anew: 6 s instead of 3.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONWARNINGS := ignore::DeprecationWarning,ignore::FutureWarning

.PHONY: help demo test lint format bench drill serve mlflow web browser lock clean install

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(STAMP) $(PAGE) ## from nothing to promoted models of both tasks, on the embedded digits
	@python -m pipelines.digits
	@python -m pipelines.config
	@dvc repro
	@python -m pipelines.summary

test: $(STAMP) $(PAGE) browser ## the whole test suite
	@# The browser measures frames a second, so all else yields to it; what one of them waits for, another uses.
	@# What both need, such as bundles, whichever comes first makes in TESTS_SHARED.
	@export OMP_NUM_THREADS=1 TESTS_SHARED=$$(mktemp -d); trap 'rm -rf "$$TESTS_SHARED"' EXIT; \
	python -m pytest tests/web > .web-tests.log 2>&1 & web=$$!; \
	trap "kill $$web 2> /dev/null || true" INT TERM; \
	rest=0; OMP_NUM_THREADS=1 nice -n 10 python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		--ignore tests/web --durations 15 || rest=$$?; \
	page=0; wait $$web || page=$$?; cat .web-tests.log; rm -f .web-tests.log; exit $$((rest + page))

lint: $(STAMP) ## style, types, import contracts
	@ruff check .
	@ruff format --check .
	@mypy
	@lint-imports
	@test ! -f web/node_modules/.installed || python -m pipelines.web npm run --silent lint

format: $(STAMP) ## mend what can be mended by itself
	@ruff check --fix .
	@ruff format .

bench: $(STAMP) ## every benchmark; figures are printed beside their baselines
	@for file in benchmarks/bench_*.py; do echo "== $$file"; python "$$file"; done

drill: $(STAMP) ## models decay against the real service, and the loop has to close (up to 10 minutes)
	@visionloop drill

serve: $(STAMP) $(PAGE) ## the promoted models over HTTP, on http://127.0.0.1:3000
	@visionloop serve

mlflow: $(STAMP) ## the MLflow UI on http://127.0.0.1:5000
	@python -m pipelines.ui

web: BUILD := build
web: $(PAGE) ## the web page, built into the package from web/

install: $(STAMP) $(PAGE) ## the environment in .venv, from requirements.lock, and the web page

# The browser tests need Chromium; where it may not be installed they are skipped, and say so.
browser:
	@test -n "$${CHROMIUM:-}" || command -v chromium chromium-browser >/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "installing chromium for the browser tests" && \
		{ apt-get install -y -qq chromium || { apt-get update -qq && apt-get install -y -qq chromium; }; } >/dev/null 2>&1; } || \
		echo "no Chromium: the browser tests are skipped; install the package chromium, or name one in CHROMIUM"

# Where the packages cannot be fetched, `make web` fails; the others go on without the page, and say so.
BUILD = build --if-possible
$(PAGE): $(STAMP) $(PAGE_SOURCES)
	@python -m pipelines.web $(BUILD)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"error: Python {v[0]}.{v[1]} found\n  where:    {sys.executable}\n  expected: Python 3.11, 3.12 or 3.13\n  to do:    make PYTHON=python3.12 ...")'
	@echo "installing into $(VENV) (once; 7 GB, the CUDA libraries of torch among them)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# uv itself comes first, in the version and with the hashes of the lock.
	@awk '/^uv==/ {on=1} on {print} on && !/\\$$/ {exit}' requirements.lock > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.lock
	@# Without the list of all that was installed; downloads and errors are shown.
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes -r requirements.lock 2>&1 | awk '!/^( [-+~]|Uninstalled) /{print; fflush()}'
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

lock: ## write requirements.lock anew from pyproject.toml
	@uv pip compile pyproject.toml --extra pipeline --extra serve --extra postgres --extra openvino --group dev --universal \
		--python-version 3.11 --generate-hashes --no-annotate --no-header --output-file requirements.lock
	@uv pip compile pyproject.toml --extra serve --constraint requirements.lock --universal \
		--python-version 3.11 --no-annotate --no-header --output-file requirements-serve.txt
	@# The two builds of ONNX Runtime overwrite each other: the GPU's comes in place of the other.
	@echo 'onnxruntime-gpu[cuda,cudnn]>=1.23' | uv pip compile pyproject.toml - --extra serve \
		--constraint requirements.lock --override <(echo "onnxruntime ; python_version < '3'") --universal \
		--python-version 3.11 --no-annotate --no-header --output-file requirements-serve-gpu.txt

clean: ## remove what the pipeline derived; data, models and the environment stay
	@rm -rf build reports .pytest_cache .mypy_cache .ruff_cache
