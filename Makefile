# demo: three folders of design variants; test: everything that must hold; check: lint, types, layers; bench: speed, quality.
# Each makes its own environment in .venv from pyproject.toml and constraints.txt; it needs Python 3.11+ alone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench
.DEFAULT_GOAL := test

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "designkit needs Python 3.11 or newer; say PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: .venv/installed
	$(BIN)/designkit generate prompts/summer-soda-ad.yaml prompts/tea-packaging.yaml prompts/coffee-branding.yaml

check: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright --pythonpath $(BIN)/python

test: check
	$(BIN)/python -m pytest -q -n auto --dist loadfile

bench: .venv/installed
	$(BIN)/python -m pytest -q -s -o python_files='bench_*.py' -o timeout=0 tests/benchmarks
	$(BIN)/python tests/benchmarks/speed.py
	$(BIN)/python tests/benchmarks/batch_shape.py
	$(BIN)/python tests/benchmarks/evaluation_metrics.py
	$(BIN)/designkit evaluate --bench design
