# `make` lists the targets. Everything is installed into .venv, pinned by constraints.txt.

PYTHON ?= $(firstword $(foreach python,python3.11 python3.12 python3.13 python3,$(shell command -v $(python))))
BIN = .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.DEFAULT_GOAL = help
.PHONY: help demo test wheel-test lab hooks bench docs model readme browser release clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: .venv/app ## install what the page needs, and serve it at http://127.0.0.1:7860
	@$(BIN)/charcnn serve

test: .venv/all browser ## install everything, then check notebooks, code and tests
	PATH="$(CURDIR)/$(BIN):$$PATH" tests/check.sh

wheel-test: ## install the wheel where nothing else is, and try it: WHEEL=file, PYTHON=python3.13
	rm -rf build/wheel-test && $(PYTHON) -m venv build/wheel-test
	build/wheel-test/bin/python -m pip install --quiet --disable-pip-version-check build pytest
	CHARCNN_WHEEL="$(WHEEL)" build/wheel-test/bin/python -m pytest -q --noconftest tests/test_wheel.py

lab: .venv/all ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir . --LabApp.default_url=/lab/tree/nbs

hooks: .venv/all ## install everything, and check each commit before it is made
	$(BIN)/pre-commit install

bench: .venv/all browser ## time scoring, training, crawling and keeping against named baselines, and typing
	$(BIN)/python -m charcnn.train.benchmark
	$(BIN)/python -m charcnn.research.speed
	$(BIN)/python -m charcnn.collect.benchmark
	$(BIN)/python -m charcnn.app.benchmark
	$(BIN)/python -m charcnn.app.typists

docs: .venv/docs ## write the documentation site into _docs/
	$(BIN)/python docs/build.py
	@echo "open _docs/index.html"

model: .venv/all ## train the next bundled model from the reviews in REVIEWS=folder (hours)
	$(BIN)/charcnn pipeline configs/runs/bundled.yaml --set shared.reviews=$(REVIEWS)
	cp runs/bundled/latest/export/* charcnn/pretrained/

readme: .venv/all ## write README.md from nbs/index.ipynb, and nbs/README.md from the notebooks
	@cd nbs && ../$(BIN)/python list_chapters.py > README.md
	@$(BIN)/jupyter nbconvert --log-level WARN --to markdown --stdout nbs/index.ipynb | sed 's#(images/#(nbs/images/#g' \
	  | awk '/^```/ {open = !open; if (open && $$0 == "```") $$0 = "```python"} 1' > README.md

release: .venv/all ## check everything, then commit and tag: make release VERSION=1.2.3
	@$(BIN)/python deploy/release.py "$(VERSION)" $(MAKE) test

browser:
	@command -v chromedriver >/dev/null || tests/install_browser.sh

clean: ## remove what can be made again; data/ and runs/ stay
	rm -rf .venv dist build _docs _proc .pytest_cache .ruff_cache

.venv/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv .venv

# The file marks that an extra is installed, so that a second run starts at once.
.venv/app .venv/docs .venv/all: .venv/%: .venv/bin/python pyproject.toml constraints.txt
	@echo "installing charcnn[$*] into .venv ..."
	@$(INSTALL) '.[$*]'
	@touch $@
