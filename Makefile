# The commands of this project. Each makes the virtual environment first if it is missing, and installs into it
# what it needs itself and no more.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
FOR    := $(VENV)/.installed-for
# All pages are read anew: a warning about one that has not changed would not be told again.
SITE   := $(BIN)/python -m sphinx --fresh-env --doctree-dir build/doctrees
# Tests at a time: most of them wait for processes, not for a processor.
JOBS   ?= 4

.PHONY: help demo test check docs dist chaos bench policies format oldest newest celery-versions compat scenarios newest-python clean
.SECONDARY:
help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/ -/'

# One stamp for each extra of pyproject.toml.
$(FOR)-%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=python3.12, say" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing what 'make $*' needs into $(VENV)"
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt --editable '.[$*]'
	@touch $@

demo: $(FOR)-demo ## a cluster on this machine grows, works and goes away again (ARGS="--help" for the options)
	@$(BIN)/python -m demo $(ARGS)

test: $(FOR)-test ## all tests (ARGS="-k name" to choose)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: $(FOR)-check ## format, lint, types, import arrows, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/unit/test_docs.py tests/unit/test_docs_commands.py
	$(SITE) --fail-on-warning --quiet -b html docs build/site

docs: $(FOR)-docs ## the pages as a site, in build/site (ARGS="-b linkcheck" tries the links that lead elsewhere)
	$(SITE) --fail-on-warning $(or $(ARGS),-b html) docs $(if $(ARGS),build/links,build/site)

dist: $(FOR)-dist ## the wheel, the source distribution, and the blobs of deploy/cyclecloud (ARGS="--help" for the options)
	@$(BIN)/python deploy/cyclecloud/dist.py $(ARGS)

chaos: $(FOR)-test ## hurt a cluster of real processes at random, and count what was lost (ARGS="--help" for the options)
	@$(BIN)/python -m tests.chaos $(ARGS)

bench: $(FOR)-test ## measure (NAME=scalelib for one, JSON=1 for one object a line)
	@$(BIN)/python -m benchmarks $(if $(NAME),--name $(NAME)) $(if $(JSON),--json) $(ARGS)

policies: $(FOR)-test ## play the traces that ship to each policy, and write docs/policies.md
	@$(BIN)/python -m benchmarks._policies.page

format: $(FOR)-check ## rewrite the code in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

oldest:          ## the quick tests with the oldest of every dependency, in an environment of its own
	$(PYTHON) tests/environments.py oldest --jobs $(JOBS)

newest:          ## the same with the newest of everything
	$(PYTHON) tests/environments.py newest --jobs $(JOBS)

celery-versions: ## the tests of what runs on nodes, on every other minor of Celery that is promised
	$(PYTHON) tests/environments.py celery --jobs $(JOBS) $(ARGS)

scenarios: $(FOR)-test ## what people do with Celery, plain and wrapped, on both brokers; writes docs/scenarios.md
	@$(BIN)/python -m tests.scenarios.celery

compat: $(FOR)-test ## some of Celery's own integration tests, plain and wrapped, on both brokers (ARGS="--whole" for all)
	@$(BIN)/python -m tests.compat $(ARGS)

newest-python:   ## the quick tests on the newest Python of this machine
	$(PYTHON) tests/environments.py python --jobs $(JOBS)

clean:           ## remove the virtual environments and caches
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
