# Needs only make and Python >= 3.11 with venv. `make` lists what it can do.

VENV ?= .venv
BIN := $(VENV)/bin
# Extra words for pytest, for example: make test PYTEST_ARGS="-k embedded"; the last -n counts.
PYTEST_ARGS ?=
# A part of the rules to break, for example: make mutants ARGS="custody/legality"
ARGS ?=

# Only looked for when something has to be installed.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo "$$python" && break; done)

RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help demo serve test mutants check format bench dev lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## start a bank with example data; prints its address and one login per role
	@$(BIN)/biobank demo

serve: $(RUNTIME) ## start the bank as the environment variables say
	@$(BIN)/biobank serve

test: $(DEV) ## run every test, two at a time
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 2 --dist worksteal $(PYTEST_ARGS)

mutants: $(DEV) ## break the rules one at a time and see a test fail (ARGS="custody/legality": a part)
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m tools.mutants $(ARGS)

check: $(DEV) ## lint, formatting, types, import contracts, licences
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/sbom.py --check

format: $(DEV) ## apply the formatter and the safe fixes of the linter
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(DEV) ## measure beside the floor program
	@$(BIN)/python -m bench.scan

dev: $(DEV) ## only set up the virtual environment with the tools

lock: ## rebuild the lock files and sbom.cdx.json (UPGRADE=1: with newer versions)
	@$(need_python)
	@PYTHON="$(PYTHON)" tools/lock.sh

clean: ## remove the virtual environment and caches; keeps var/, the data
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define need_python
test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is needed and was not found. Debian, Ubuntu: apt-get install \
python3-venv. Or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
endef

$(RUNTIME): requirements.lock pyproject.toml
	@$(need_python)
	@"$(PYTHON)" tools/install.py "$(VENV)" requirements.lock "$@"

# The development lock contains the other with the same versions.
$(DEV): requirements-dev.lock pyproject.toml
	@$(need_python)
	@"$(PYTHON)" tools/install.py "$(VENV)" requirements-dev.lock "$(RUNTIME)" "$@"
