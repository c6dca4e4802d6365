"""The pipeline's notebooks, run as a person runs them: raw reviews in, a model folder that scores out."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from datasets import Dataset

from charcnn import Scorer
from charcnn.dataset.prepare import read_exclusions

ROOT = Path(__file__).parent.parent


def charcnn(folder: Path, *args: object) -> str:
    environment = {"CHARCNN_PATHS_RUNS": str(folder / "runs"), "CHARCNN_TRACKING_TRACKER": "none"}
    command = [sys.executable, "-m", "charcnn", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=os.environ | environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    "Raw reviews that are easily told apart."
    folder = tmp_path_factory.mktemp("line")
    generator = np.random.default_rng(0)
    words = {1: "awful", 2: "poor", 3: "average", 4: "nice", 5: "wonderful"}
    with open(folder / "raw.jsonl", "w") as file:
        for number in range(600):
            rating = int(generator.integers(1, 6))
            text = f"the {generator.choice(['food', 'room', 'staff', 'parcel'])} number {number} was {words[rating]}"
            file.write(json.dumps({"text": text, "rating": rating, "source": "made up", "company": "Acme"}) + "\n")
    return folder


def test_from_raw_reviews_to_a_model_that_scores(folder):
    charcnn(
        folder, "run", "nbs/pipeline/00_dataset.ipynb", "--config", "configs/runs/dataset.yaml", "--no-progress",
        "--set", f"sources=[{folder}/raw.jsonl]", "--set", f"folder={folder}/dataset", "--set", "options.test=0.1",
    )  # fmt: skip
    model = folder / "tiny.yaml"
    model.write_text("architecture: CharCNN\nwidths: [16, 16]\ndepths: [0, 1]\nencoder: {max_length: 100}\n")
    said = charcnn(
        folder, "run", "nbs/pipeline/10_train.ipynb", "--config", "configs/runs/train.yaml", "--no-progress",
        "--set", f"dataset={folder}/dataset", "--set", f"run={folder}/run", "--set", f"folder={folder}/model",
        "--set", f"model={model}", "--set", "options={epochs: 6, learning_rate: 0.02, average: 0.9, precision: 'no', batches: {batch_characters: 1000}}",
    )  # fmt: skip
    assert str(folder / "runs/notebooks/10_train.ipynb") in said
    scorer = Scorer(folder / "model")
    found = [scorer(f"the room was {word}").label for word in ("awful", "average", "wonderful")]
    assert found == ["bad", "average", "good"]


def make_datasets(folder: Path) -> None:
    "Both datasets of the bundled model by the commands of `make model`, from few reviews."
    rules = read_exclusions(ROOT / "data" / "exclusions.csv")
    rows = [json.loads(line) for line in (folder / "raw.jsonl").read_text().splitlines()]
    rows += [
        row | {"text": f"{rule['contains']} {n}", "source": rule["source"]}
        for n, rule in enumerate(rules)
        for row in rows[:1]
    ]
    Dataset.from_list(rows[50:]).to_parquet(folder / "train-0.parquet")
    Dataset.from_list(rows[:50]).to_parquet(folder / "validation.parquet")
    command = ["make", "--dry-run", "model", f"REVIEWS={folder}"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.replace("\\\n", " ")
    lines = [line for line in said.splitlines() if "charcnn dataset" in line]
    assert len(lines) == 2, said
    for line in lines:
        _, _, *given = shlex.split(line.replace("data/dataset", f"{folder}/bundled"))
        charcnn(folder, "dataset", *given, "--max-rows", 500, "--no-progress")


def test_the_bundled_models_run_gives_the_same_weights_when_it_is_made_again(folder):
    make_datasets(folder)
    made = []
    for name in ("once", "again"):
        here = folder / name
        config = yaml.safe_load((ROOT / "configs/runs/bundled.yaml").read_text())
        text = yaml.safe_dump(config | {"folder": str(here / "model")}).replace("runs/", f"{here}/")
        text = text.replace("data/dataset", f"{folder}/bundled").replace("snippets: 200000", "snippets: 50")
        text = text.replace("epochs: 8", "epochs: 1")
        here.mkdir()
        (here / "bundled.yaml").write_text(text)
        config = ("--config", here / "bundled.yaml")
        charcnn(folder, "run", "nbs/pipeline/10_train.ipynb", *config, "--no-progress")
        made.append([(here / "model" / file).read_bytes() for file in ("model.safetensors", "model.onnx")])
    assert made[0] == made[1]
    provenance = json.loads((here / "model" / "config.json").read_text())["provenance"]
    assert [earlier["run"] for earlier in provenance["earlier"]] == ["teacher", "student"]


def test_evaluate_measures_the_exported_model(folder):
    said = charcnn(
        folder, "evaluate", folder / "dataset", "--split", "test", "--model", folder / "model", "--no-progress",
        "--output", folder / "measures.json",
    )  # fmt: skip
    measures = json.loads((folder / "measures.json").read_text())
    assert "natural" in said and set(measures) == {"natural", "balanced", "made up"}
    assert measures["natural"]["macro_f1"] > 0.9
