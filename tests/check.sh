#!/usr/bin/env bash
# What `make test` runs, from the quickest check to the slowest. Needs the virtual environment's bin folder on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
# Two notebooks run at once; more threads each would only get in each other's way.
export OMP_NUM_THREADS=1 WANDB_MODE=offline WANDB_SILENT=true GRADIO_ANALYTICS_ENABLED=False

state() { git status --porcelain; git diff HEAD; }

echo "== notebooks and package agree"
before=$(state)
nbdev-export && nbdev-clean && make --silent readme
if [ "$before" != "$(state)" ]; then
  git status --short
  echo "nbdev-export, nbdev-clean and make readme changed the files above: run them and commit the result"
  exit 1
fi

echo "== ruff"
ruff check --quiet . && ruff format --quiet --check docs nbs tests app.py hatch_build.py deploy/release.py

echo "== types"
python tests/check_types.py

echo "== notebooks"
nbdev-test --n-workers 2

echo "== tests"
# A file stays with one process, which starts its servers and browsers once.
pytest -q --numprocesses 2 --dist loadfile
