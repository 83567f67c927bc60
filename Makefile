.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo screenshots compare bench bench-quick test test-fast lint format types audit lock build clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed ## Make .venv with everything that the other targets need

.venv/installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 setup")'
	@echo "Setting up .venv (some minutes the first time)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Train on 327,000 flights, batch by batch, and print what came of it
	@$(BIN)/batchtrainingbooster demo

screenshots: setup ## Take the pictures of the report and the live page anew, of a real run (needs Chromium)
	@$(BIN)/python tools/screenshots.py

compare: setup ## Train the three boosters on the flights, and write the table in docs/comparison.md
	@$(BIN)/python benchmarks/compare_boosters.py

bench: setup ## Measure training against its targets, at full size (hours); see benchmarks/results
	@$(BIN)/python benchmarks/run.py

bench-quick: setup ## The same at 1/20 of the size, once (minutes), into bench-output
	@$(BIN)/python benchmarks/run.py --scale 0.05 --repeats 1 --output bench-output

test: setup ## Run all tests
	@$(BIN)/pytest

test-fast: setup ## Run the tests that need neither Spark nor a booster
	@$(BIN)/pytest -q tests/core tests/architecture

lint: setup ## Check style and who imports whom
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports

format: setup ## Put the code into the house format
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

types: setup ## Check types
	@$(BIN)/mypy

audit: setup ## Check the dependencies: pins, hashes, versions, licences, known holes
	@$(BIN)/python tools/audit.py

lock: ## Resolve requirements/dev.txt anew (needs uv)
	uv pip compile pyproject.toml --group dev --extra spark --extra java --extra xgboost-cpu --extra catboost \
		--extra lightgbm --extra plots --extra report --extra mlflow --extra tensorboard \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/dev.txt

build: setup ## Build the wheel into dist/
	@$(BIN)/hatchling build -t wheel

clean: ## Remove .venv and caches
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-output bench-output dist
