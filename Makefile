# make run   the product with a demonstration restaurant      make test   every test
# make check format, lint, types, migrations                   make bench  speed, against the yardstick
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test check bench format conformance clean

run: $(STAMP)
	@$(BIN)/python manage.py run

test: $(STAMP)
	@$(BIN)/python -m pytest $(ARGS)

check: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python manage.py makemigrations --check --dry-run

# SPECS: a folder of the vendors' own specifications, one <provider>.json each
conformance: $(STAMP)
	@$(BIN)/python -m tests.conformance $(SPECS)

bench: $(STAMP)
	@VAR_DIR=$(CURDIR)/var/bench $(BIN)/python manage.py bench $(ARGS)

format: $(STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Order Up needs Python 3.11 or newer; $(PYTHON) is not. Try: make PYTHON=python3.12 run"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Installing into $(VENV) (once, about a minute) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

clean:
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache
