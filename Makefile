# Everything happens inside this folder, in the virtual environment .venv; needed from outside are
# Python 3.11 or later and a package index. Another Python: make demo PYTHON=/usr/bin/python3.12
PYTHON ?= python3
PYTEST_ARGS ?=

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
PIP_INSTALL := $(VENV_PYTHON) -m pip --disable-pip-version-check install --quiet --no-input
TEST_EXTRAS := demo,parquet,report,train,import,dev
INSTALL_FAILED := { echo "make: Installing failed (see above); is a package index within reach of pip?" >&2; exit 1; }

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check docs install

help:
	@echo "make demo     install hyperclip and classify six photographs by names alone"
	@echo "make test     install what the tests need (PyTorch too) and run them"
	@echo "make check    check style, types and layering"
	@echo "make docs     build the documentation into docs/_build/html"
	@echo "make install  install hyperclip into $(VENV)"

demo: $(VENV)/.demo-installed
	@$(VENV_PYTHON) examples/demo.py

test: $(VENV)/.test-installed
	@$(VENV_PYTHON) -m pytest $(PYTEST_ARGS)

check: $(VENV)/.test-installed
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m mypy --strict
	@$(VENV_PYTHON) -m pytest --quiet tests/test_architecture.py

docs: $(VENV)/.docs-installed
	@$(VENV_PYTHON) docs/generate.py
	@$(VENV_PYTHON) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Built docs/_build/html/index.html"

install: $(VENV)/.shop-installed
	@echo "Installed. Try: $(VENV)/bin/hyperclip --help"

# Installed stamps: a second run finds them and installs nothing, unless pyproject.toml has changed.
$(VENV)/.shop-installed: pyproject.toml | $(VENV)/.created
	@echo "Installing hyperclip into $(VENV) ..."
	@$(PIP_INSTALL) --editable . || $(INSTALL_FAILED)
	@touch $@

$(VENV)/.demo-installed: pyproject.toml | $(VENV)/.created
	@echo "Installing hyperclip and the demo's photographs into $(VENV) (a minute or so) ..."
	@$(PIP_INSTALL) --editable '.[demo]' || $(INSTALL_FAILED)
	@touch $@

$(VENV)/.test-installed: pyproject.toml constraints.txt | $(VENV)/.created
	@echo "Installing hyperclip with all that the tests need into $(VENV) (some minutes: PyTorch is large) ..."
	@$(PIP_INSTALL) --constraint constraints.txt --editable '.[$(TEST_EXTRAS)]' || $(INSTALL_FAILED)
	@touch $@

# The reference describes the workshop too, so its modules must be importable.
$(VENV)/.docs-installed: $(VENV)/.test-installed
	@echo "Installing what builds the documentation into $(VENV) ..."
	@$(PIP_INSTALL) --constraint constraints.txt --editable '.[docs]' || $(INSTALL_FAILED)
	@touch $@

$(VENV)/.created:
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "make: There is no $(PYTHON); expected Python 3.11 or later; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$("$(PYTHON)" --version 2>&1) is too old; expected 3.11 or later; name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { \
	  echo "make: $(PYTHON) cannot make a virtual environment (see above); on Debian and Ubuntu install python3-venv" >&2; exit 1; }
	@touch $@
