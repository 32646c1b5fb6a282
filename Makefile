# make run    set up, then serve the app on the embedded zoo (GRADIO_SERVER_PORT, default 7860)
# make test   set up, check style, run every test, browser tests included
# make bench  time the NF-layers against the published package; writes docs/bench.md
# make style  ruff and pyright

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: run test bench style browser screenshots

run: .venv/run
	$(BIN)/python app.py

test: .venv/dev browser style
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

style: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

bench: .venv/dev
	$(BIN)/python -m bench.layers

screenshots: .venv/dev browser
	$(BIN)/python -m docs.screenshots

browser:
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } \
	  || echo "No Chromium and no way to install it: browser tests will be skipped (and fail under CI=true)."

.venv/run: requirements.txt constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements.txt
	touch $@

.venv/dev: requirements-dev.txt .venv/run
	$(PIP) -r requirements-dev.txt
	touch $@
