# Every target installs what it needs into $(VENV) from this repository's own files; a second run is instant.
#   make demo      the first run, from a bare machine: install, submit, watch, see where it is
#   make lab       JupyterLab on the first notebook
#   make test      Python, TypeScript and browser tests (15 minutes at most on 2 cores)
#   make test-all  the slow and heavy tests that `make test` leaves out
#   make lint      what the sources must pass: ruff, mypy, tsc
#   make screenshots  the pictures of README and docs anew (a minute or two; look at them before you commit them)
#   make bench     ours beside the floor and the best peer; `make bench ONLY=name` for one, PEERS=1 installs and runs peers

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WORKERS ?= 2
ONLY ?=
PEERS ?=
PYTEST_ARGS ?=
NPM := $(shell command -v npm)

# without .pyc files each `import torch` takes 3 s, in every run of every test
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo lab test test-python test-ts test-browser test-all bench lint front-end system screenshots constraints clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

# ------------------------------------------------------------------------------- what is installed, once

INSTALL_INPUTS := pyproject.toml hatch_build.py package.json tests/constraints.txt
FRONT_END := jupyter_mlrun/labextension/package.json
LIVE_VIEW := jupyter_mlrun/ui/static/widget.js
FRONT_END_SOURCES := $(shell find labextension/src labextension/style schema -type f) labextension/build.mjs package.json tsconfig.json
DEMO := build/demo/demo.js

ifeq ($(NPM),)
NODE_MODULES :=
LIVE_VIEW_DEMO :=
front-end: $(VENV)/.demo
	@echo "npm is not on PATH: going on without the JupyterLab extension and the live view (install Node 20+ to have them)"
else
NODE_MODULES := node_modules/.made
LIVE_VIEW_DEMO := $(DEMO)
front-end: $(FRONT_END) $(LIVE_VIEW)
endif

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "$(PYTHON) is $$($(PYTHON) --version); Python 3.10 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	touch $@

node_modules/.made: package-lock.json
	npm ci --no-audit --no-fund
	touch $@

$(VENV)/.demo: $(VENV)/.made $(INSTALL_INPUTS) | $(NODE_MODULES)
	$(PIP) install --quiet -c tests/constraints.txt -e '.[demo]'
	touch $@

# torchvision alone: what it depends on is another build of torch
$(VENV)/.dev: $(VENV)/.made $(INSTALL_INPUTS) | $(NODE_MODULES)
	$(PIP) install --quiet -c tests/constraints.txt -e '.[dev]'
	$(PIP) install --quiet -c tests/constraints.txt --no-deps torchvision
	touch $(VENV)/.demo $@

# The install above builds the front-end the first time; this one follows edits.
# Jupyter reads the copy in the environment, where an editable install leaves no link.
$(FRONT_END): $(FRONT_END_SOURCES) | $(VENV)/.demo $(NODE_MODULES)
	PATH="$(CURDIR)/$(BIN):$$PATH" npm run --silent build:prod
	rm -rf $(VENV)/share/jupyter/labextensions/jupyter_mlrun
	cp -R $(@D) $(VENV)/share/jupyter/labextensions/jupyter_mlrun
	cp install.json $(VENV)/share/jupyter/labextensions/jupyter_mlrun/
	mkdir -p $(VENV)/etc/jupyter/jupyter_server_config.d
	cp jupyter-config/server-config/jupyter_mlrun.json $(VENV)/etc/jupyter/jupyter_server_config.d/
	touch $@ $(LIVE_VIEW)

$(LIVE_VIEW): $(FRONT_END_SOURCES) | $(FRONT_END) $(NODE_MODULES)
	npm run --silent build:widget

# the page on which browser tests look at the live view without Jupyter
$(DEMO): $(LIVE_VIEW) $(wildcard labextension/demo/*) | $(NODE_MODULES)
	npm run --silent build:demo

system:
	@tests/install_system.sh

# ------------------------------------------------------------------------------------------------ use it

demo: $(VENV)/.demo front-end
	@PATH="$(CURDIR)/$(BIN):$$PATH" examples/demo.sh

lab: $(VENV)/.demo front-end
	@PATH="$(CURDIR)/$(BIN):$$PATH" jupyter lab $(wildcard notebooks/01_first_run.ipynb)

# --------------------------------------------------------------------------------------------- check it

test: test-ts test-python test-browser

test-ts: $(NODE_MODULES)
ifeq ($(NPM),)
	@echo "skipped: npm is not on PATH, so the TypeScript tests cannot run"; test -z "$${CI:-}"
else
	npm run --silent test
endif

test-python: $(VENV)/.dev front-end system
	$(BIN)/python -m pytest -n $(WORKERS) -m 'not slow and not heavy and not browser' $(PYTEST_ARGS)

test-browser: $(VENV)/.dev front-end $(LIVE_VIEW_DEMO) system
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'browser and not slow and not heavy' tests/browser $(PYTEST_ARGS)

test-all: $(VENV)/.dev front-end $(LIVE_VIEW_DEMO) system
	$(BIN)/python -m pytest -m 'slow or heavy' $(PYTEST_ARGS)

lint: $(VENV)/.dev $(NODE_MODULES)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
ifeq ($(NPM),)
	@echo "skipped: npm is not on PATH, so the TypeScript sources cannot be checked"; test -z "$${CI:-}"
else
	npm run --silent lint
endif

bench: $(VENV)/.dev $(if $(PEERS),.venv-peers/.made)
	$(BIN)/python tests/bench $(ONLY)

# what we are compared with: an environment of its own, so that ours stays as small as it is
.venv-peers/.made: tests/peers.txt
	test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check install --quiet -r tests/peers.txt
	touch $@

# ------------------------------------------------------------------------------------------- housekeeping

screenshots: $(VENV)/.dev front-end system
	$(BIN)/python -m tests.browser.pictures

# the "+cpu" that some builds of torch add to their version would bind the pins to one platform
constraints: $(VENV)/.dev
	@{ sed -n '/^#/p' tests/constraints.txt; \
	   $(BIN)/python -m pip freeze --exclude-editable | grep -v ' @ ' \
	     | sed -E 's/\+cpu$$//; s/$$/; python_version >= "3.11"/; s/^(torch==[^;]*);.*/\1/'; } > tests/constraints.new
	mv tests/constraints.new tests/constraints.txt

clean:
	rm -rf $(VENV) .venv-peers node_modules lib build dist jupyter_mlrun/labextension jupyter_mlrun/ui/static bench.json
