# Sets up .venv by itself: `make demo` on a fresh clone is all there is to do.
# Another Python: make demo PYTHON=/path/to/python3.12. pip's own settings (PIP_*, pip.conf) are honoured.

PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help
.NOTPARALLEL: # two targets must not install into .venv at once
.PHONY: help demo test lint bench capacity browser pictures browser-tools pins faults soak distributed versions clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: .venv/.local  ## play the reference experiment on this machine: five minutes, no AWS account
	@$(BIN)/sm-locust demo

# Whole runs whose seconds count go in front, alone at full priority. What mostly waits, for a process or for a minute to be
# over, goes beside them, and what only computes takes what time nobody else wants. Experiments that are killed by the dozen
# need the machine for themselves.
IN_FRONT := $(patsubst %,tests/runs/test_%.py,capacity metrics runs stopping verdicts)
RUNS := $(filter-out $(IN_FRONT),$(wildcard tests/runs/test_*.py)) tests/local tests/oracles
PRODUCT := tests/product tests/load tests/plugin
ALONE := tests/product/test_killed.py
NICE := nice -n 5
IDLE := $(shell command -v chrt >/dev/null && echo chrt --idle 0 || echo nice -n 19)
PYTEST := $(BIN)/python -m pytest

# Hundreds of processes are started, and none should compile again what the one before it has compiled.
test: .venv/.test  ## run the tests
	@unset PYTHONDONTWRITEBYTECODE; logs=$$(mktemp -d); trap 'kill $$analysis $$rooms $$runs $$product 2>/dev/null; rm -rf $$logs' EXIT; \
	$(IDLE) $(PYTEST) tests/analysis > $$logs/analysis 2>&1 & analysis=$$!; \
	$(IDLE) $(PYTEST) $(patsubst %,--ignore=%,tests/analysis tests/runs tests/local tests/oracles tests/browser $(PRODUCT)) > $$logs/rooms 2>&1 & rooms=$$!; \
	$(NICE) $(PYTEST) $(RUNS) > $$logs/runs 2>&1 & runs=$$!; \
	$(NICE) $(PYTEST) $(PRODUCT) $(ALONE:%=--ignore=%) > $$logs/product 2>&1 & product=$$!; \
	$(PYTEST) $(IN_FRONT); code=$$?; \
	wait $$product || code=$$?; product=; \
	wait $$runs || code=$$?; runs=; \
	$(PYTEST) $(ALONE) || code=$$?; \
	wait $$analysis || code=$$?; analysis=; \
	wait $$rooms || code=$$?; rooms=; \
	cat $$logs/product $$logs/runs $$logs/analysis $$logs/rooms; exit $$code

lint: .venv/.dev  ## ruff, mypy, bandit, the rules of who may import whom, and hadolint on the Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/bandit -c pyproject.toml -q -r .
	@$(BIN)/hadolint deploy/Dockerfile

# Material for MkDocs prints a notice of its successor at each start, which is news and no fault of a page: that alone is off.
.PHONY: docs
docs: .venv/.docs  ## build the documentation into site/, which needs no network, and list the blocks that nobody runs
	@$(BIN)/python -m docs.generate
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --clean
	@$(BIN)/python -m tests.product.blocks
	@echo "site/index.html"

bench: .venv/.test  ## measure this generator beside others: 45 minutes; wants nginx, and nothing else running
	@$(BIN)/python -m benchmarks

capacity: .venv/.test  ## search servers of known capacity in real time, one after the other: 25 minutes
	@$(BIN)/python -m benchmarks.capacity

# Whether they are there is said before anything is installed.
CHROMIUM := /usr/bin/chromium
AXE := tests/browser/node_modules/axe-core/axe.min.js

browser: browser-tools .venv/.browser $(AXE)  ## drive the pages and Locust's web UI with Debian's chromium: four minutes; wants npm
	@$(BIN)/python -m pytest tests/browser

pictures: browser-tools .venv/.browser  ## make README's pictures again
	@$(BIN)/python -m tests.browser.pictures

browser-tools:
	@fail() { echo "$$1" >&2; exit 1; }; \
	test -x $(CHROMIUM) || fail "$(CHROMIUM) is missing: install it (Debian: apt-get install chromium) and run make $(MAKECMDGOALS) again"; \
	command -v npm > /dev/null || fail "npm is missing: install it (Debian: apt-get install npm) and run make $(MAKECMDGOALS) again"

$(AXE): tests/browser/package.json tests/browser/package-lock.json
	@npm ci --silent --prefix tests/browser || { echo "npm could not install axe-core: check the network or npm's settings and run make $(MAKECMDGOALS) again" >&2; exit 1; }
	@touch $@

pins: .venv/.test  ## pin what the image installs to the versions that are tested here
	@$(BIN)/python -m deploy.pin > deploy/constraints.tmp && mv deploy/constraints.tmp deploy/constraints.txt

faults: .venv/.test  ## inject every fault into real runs and write what they said to docs/faults.md
	@$(BIN)/python -m tests.faults

soak: .venv/.test  ## send a million requests, 1% of them answered wrongly at random, and count: five minutes; wants nginx
	@$(BIN)/python -m tests.faults.soak

distributed: .venv/.test  ## lose workers and masters on a network of namespaces: seven minutes; wants root and iproute2
	@$(BIN)/python -m tests.distributed

versions: .venv/.test  ## run the tests with the oldest and newest dependencies on each Python here: hours; writes docs/versions.md
	@$(BIN)/python -m tests.versions

clean:  ## remove .venv and what builds and tests leave; runs/ stays
	@rm -rf .venv tests/browser/node_modules build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -prune -exec rm -rf {} +

# One environment, with the extra a target needs. The stamp is written last: what failed is done again, never trusted.
.venv/.local .venv/.test .venv/.browser .venv/.docs .venv/.dev: setup.cfg pyproject.toml
	@fail() { echo "$$1" >&2; exit 1; }; \
	if ! $(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  found=$$($(PYTHON) -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null) \
	    || fail "$(PYTHON) does not run: install Python 3.11 or newer, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || fail "$(PYTHON) is Python $$found and 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; \
	  $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	    || fail "$(PYTHON) has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv) and run make $(MAKECMDGOALS) again"; \
	  log=$$($(PYTHON) -m venv --clear .venv 2>&1) \
	    || fail "$(PYTHON) -m venv .venv failed: free space or permissions here, then run make $(MAKECMDGOALS) again ($$(echo "$$log" | tail -n 1))"; \
	fi; \
	echo "Setting up .venv with $(@:.venv/.%=%) dependencies (once, about a minute) ..." >&2; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(@:.venv/.%=%)]' > .venv/pip.log 2>&1 \
	  || fail "pip could not install the dependencies: check the network or pip's settings and run make $(MAKECMDGOALS) again ($$(sed -n 's/^ *ERROR: //p' .venv/pip.log | tail -n 1 | cut -c 1-200); all of it is in .venv/pip.log)"; \
	touch $@
