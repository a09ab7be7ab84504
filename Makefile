# Two commands do everything: `make run` and `make test`. Both install what they need first.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help:           ## What there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: $(VENV)/run.stamp      ## Install, then serve with a simulated Evolution API (Ctrl-C ends it)
	$(BIN)/evorelay serve --demo

test: $(VENV)/dev.stamp tests/node_modules/.stamp $(VENV)/tools.stamp      ## Install whatever the tests need, then run them all
	$(BIN)/python -m pytest -n 3 --dist worksteal

lint: $(VENV)/dev.stamp      ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/dev.stamp tests/node_modules/.stamp      ## Every bench, briefly (see bench/README.md for the real runs)
	$(BIN)/python -m bench --quick

lock:           ## Renew the locked dependencies (needs uv)
	uv pip compile -q pyproject.toml --group build --universal --python-version 3.11 --upgrade \
	    --generate-hashes --no-header --no-annotate -o requirements.lock
	uv pip compile -q pyproject.toml --group dev --universal --python-version 3.11 --upgrade \
	    --generate-hashes --no-header --no-annotate -o requirements-dev.lock

clean:          ## Remove what make installed; state in ./var is kept
	rm -rf $(VENV) tests/node_modules

$(VENV)/bin/python:
	@.ci/need python3 -- python3
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed"; exit 1; }
	@python3 -c 'import ensurepip, venv' 2>/dev/null || .ci/need --always python3-venv
	python3 -m venv $(VENV)

$(VENV)/run.stamp: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp requirements-dev.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

tests/node_modules/.stamp: tests/package-lock.json | $(VENV)/dev.stamp
	@.ci/need node -- nodejs
	@.ci/need npm -- npm
	@.ci/need chromium -- chromium
	@# Playwright's own node needs a library that a bare Debian lacks.
	@$(BIN)/python -m playwright --version >/dev/null 2>&1 || .ci/need --always libatomic1
	cd tests && npm ci --silent --no-audit --no-fund
	@touch $@

$(VENV)/tools.stamp: Makefile | $(VENV)/dev.stamp
	@.ci/need systemd-analyze -- systemd
	@# Their libraries are Debian's own base but for this one.
	@.ci/need --always libpcre2-8-0
	@.ci/unpack $(VENV)/debian nginx nginx-common caddy prometheus
	@touch $@

.PHONY: help run test lint bench lock clean
