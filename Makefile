# The commands of this project. Each makes the virtual environment first if it is missing.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Tests at a time: most of them wait for processes, not for a processor.
JOBS   ?= 4

.PHONY: help demo test check bench format clean
help:            ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/ -/'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.12, say" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all]'
	@touch $@

demo: $(STAMP)   ## a cluster on this machine grows, works and goes away again (ARGS="--help" for the options)
	@$(BIN)/python -m demo $(ARGS)

test: $(STAMP)   ## all tests (ARGS="-k name" to choose)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(STAMP)  ## format, lint, types, import arrows, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit/test_docs.py

bench: $(STAMP)  ## measure (NAME=scalelib for one, JSON=1 for one object a line)
	@$(BIN)/python -m benchmarks $(if $(NAME),--name $(NAME)) $(if $(JSON),--json) $(ARGS)

format: $(STAMP) ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:           ## remove the virtual environment and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
