# Postlane. `make help` lists what there is. Needs Python 3.11 or newer, make and a package index; nothing else.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
# Words handed on: make run ARGS=--no-demo, make test ARGS="tests/unit -k retry"
ARGS ?=
DATA ?= .postlane

# An own choice (make PYTHON=/opt/python3.13/bin/python3 ...) wins; else the first of these that is 3.11 or newer.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# Tests start hundreds of interpreters: one that may keep no bytecode spends a quarter of its start on compiling anew.
unexport PYTHONDONTWRITEBYTECODE

# A .venv that lost its interpreter, or came here with a moved folder, is made anew: forget that it was finished.
ifneq ($(CURDIR)$(wildcard $(BIN)/python),$(shell cat $(VENV)/base.stamp 2>/dev/null)$(BIN)/python)
$(shell rm -f $(VENV)/*.stamp)
endif

.PHONY: help setup setup-run run test test-small test-whole lint format docs bench screenshots dist lock clean distclean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(VENV)/dev.stamp ## Make .venv with everything that tests and checks need

setup-run: $(VENV)/run.stamp ## Make .venv with what running needs

run: $(VENV)/run.stamp ## Run everything here, with a demo; Ctrl-C stops, a second run resumes
	@exec $(BIN)/postlane up --demo $(ARGS)

test: $(VENV)/dev.stamp ## Run the test suite; with ARGS="tests/unit -k retry" a part of it
	$(if $(ARGS),$(BIN)/python -m pytest $(ARGS),@$(MAKE) --no-print-directory test-small test-whole)

# Small tests share the processors, two more at a time than there are: many wait for something. One that fails is judged
# once more, alone: what was late because of its neighbours passes then, is named, and wants to be mended. A file stays in
# one process, for what its tests share; scenarios and chaos stay where their Postlane runs, wait half of their time, and
# are judged once: three at a time.
CROWD = $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 2)')

test-small: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -q -n $(CROWD) --dist loadfile --no-loadscope-reorder tests/unit tests/integration || $(BIN)/python -m tests.again

test-whole: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -v -n 3 --dist loadgroup --no-loadscope-reorder tests/scenarios tests/chaos

lint: $(VENV)/dev.stamp ## Style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m deploy.settings_page --check
	$(BIN)/python -m deploy.watching --check
	$(BIN)/python -m deploy.console_texts --check

format: $(VENV)/dev.stamp ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/dev.stamp ## Write anew what follows from the code: settings, table of alerts, board, texts of the console
	$(BIN)/python -m deploy.settings_page
	$(BIN)/python -m deploy.watching
	$(BIN)/python -m deploy.console_texts

bench: $(VENV)/dev.stamp ## Measure, print a table, write build/bench.json
	@mkdir -p build
	$(BIN)/python -m bench $(ARGS)

screenshots: $(VENV)/dev.stamp ## Pictures of every page with the demo's data, into build/screenshots/ (needs Chromium)
	$(BIN)/python -m tests.pictures

dist: $(VENV)/dev.stamp ## Build wheel, source archive, lock file and the list of what a server runs (SBOM) into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist .
	$(BIN)/python -m deploy.sbom dist/sbom.cdx.json
	cp requirements/server.lock dist/

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --no-annotate pyproject.toml

lock: ## Write requirements/*.lock anew from pyproject.toml (needs uv)
	$(LOCK) --extra embedded -o requirements/run.lock
	$(LOCK) -c requirements/run.lock -o requirements/server.lock
	$(LOCK) --extra traces -c requirements/run.lock -o requirements/traces.lock
	$(LOCK) --extra embedded --extra dev --extra traces -c requirements/run.lock -o requirements/dev.lock

clean: ## Remove build products and caches; data and .venv stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## Remove .venv as well; data stays
	rm -rf $(VENV)

# The stamps make a second call instant. What is installed for development includes all that running needs.
$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/base.stamp
	@echo "Installing what development needs (once) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/dev.lock
	@touch $@ $(VENV)/run.stamp

$(VENV)/run.stamp: requirements/run.lock $(VENV)/base.stamp
	@echo "Installing what running needs (once) ..."
	@$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements/run.lock
	@touch $@

# The checkout is used in place: a .pth file instead of `pip install -e .`, which would need a build backend first.
$(VENV)/base.stamp: Makefile
	@set -e; \
	if ! $(BIN)/pip --version >/dev/null 2>&1; then \
	    found=; \
	    for python in $(CANDIDATES); do \
	        if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "Postlane needs Python 3.11 or newer; looked for: $(CANDIDATES)." >&2; \
	        echo "Install one (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python)," >&2; \
	        echo "or name it: make PYTHON=/path/to/python3 ..." >&2; exit 1; \
	    fi; \
	    if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
	        echo "$$found has no venv module. Debian and Ubuntu ship it apart: apt install python3-venv" >&2; exit 1; \
	    fi; \
	    echo "Making $(VENV) with $$("$$found" --version) ..."; \
	    "$$found" -m venv --clear $(VENV); \
	fi; \
	site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	pwd > "$$site/postlane.pth"; \
	printf '#!/bin/sh\nexec "%s/python" -m cli "$$@"\n' "$$(cd $(BIN) && pwd)" > $(BIN)/postlane; \
	chmod +x $(BIN)/postlane; \
	printf '%s' '$(CURDIR)' > $@
