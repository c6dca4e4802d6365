"""What a run says of itself: where it comes from, what it is worth beside what costs nothing, and one log for all its starts."""

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from charcnn.export.folder import export
from charcnn.labels import Labels
from charcnn.models.registry import build_model
from charcnn.scorer import Scorer
from charcnn.settings import TrackingSettings
from charcnn.train.linear import beside_baselines
from charcnn.train.options import TrainingOptions
from charcnn.train.training import train

TINY = {"widths": [16], "depths": [0], "ngrams": [3], "buckets": 101, "encoder": {"max_length": 60}}
WORDS = {1: "awful", 2: "poor", 3: "average", 4: "nice", 5: "wonderful"}


def reviews(count: int, seed: int = 0) -> Dataset:
    generator = np.random.default_rng(seed)
    ratings = generator.integers(1, 6, count)
    things = generator.choice(["food", "room", "staff", "lift", "pool"], count)
    texts = [
        f"the {thing} number {i} was {WORDS[rating]}"
        for i, (thing, rating) in enumerate(zip(things, ratings, strict=True))
    ]
    return Dataset.from_dict({"text": texts, "rating": ratings})


def splits(count: int = 250) -> DatasetDict:
    return DatasetDict(train=reviews(count), validation=reviews(60, seed=1))


def test_a_run_killed_at_its_first_step_says_where_it_comes_from(tmp_path):
    splits().save_to_disk(tmp_path / "data")
    program = f"""
import os, signal, sys
from datasets import DatasetDict
from charcnn.labels import Labels
from charcnn.models.registry import build_model
from charcnn.train.training import train
train(DatasetDict.load_from_disk("{tmp_path}/data"), build_model({TINY}), "{tmp_path}/run", progress=False,
      on_step=lambda state: os.kill(os.getpid(), signal.SIGKILL))
"""
    done = subprocess.run([sys.executable, "-c", program, "an argument"], capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    assert not (tmp_path / "run/checkpoints/latest").exists()
    (start,) = json.loads((tmp_path / "run/run.json").read_text())["starts"]
    options = json.loads((tmp_path / "run/options.json").read_text())
    assert start["command"].endswith("'an argument'") and start["dataset"] == options["dataset"]
    assert start["host"] and start["versions"]["charcnn"] and "git" in start
    assert options["training.seed"] == 0 and options["training.epochs"] > 0
    assert set(json.loads((tmp_path / "run/baselines.json").read_text())) > {"majority class"}


def test_a_resumed_run_is_one_run_of_the_tracker(tmp_path):
    class Stop(Exception):
        pass

    def stop(state):
        if state.epoch == 1:
            raise Stop

    options, tracking = TrainingOptions(epochs=2), TrackingSettings(mode="offline")
    with pytest.raises(Stop):
        train(splits(), build_model(TINY), tmp_path, options, tracking, progress=False, on_step=stop)
    import wandb

    wandb.finish()  # as the end of the process would
    train(splits(), build_model(TINY), tmp_path, options, tracking, progress=False)
    logs = sorted(file.name for file in tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(logs) == 2 and set(logs) == {f"run-{(tmp_path / 'run_id').read_text()}.wandb"}
    assert len(json.loads((tmp_path / "run.json").read_text())["starts"]) == 2


def test_trackio_has_the_curves_of_a_run_without_a_network(tmp_path):
    program = f"""
from charcnn.models.registry import build_model
from charcnn.settings import TrackingSettings
from charcnn.train.options import TrainingOptions
from charcnn.train.training import train
from datasets import DatasetDict
train(DatasetDict.load_from_disk("{tmp_path}/data"), build_model({TINY}), "{tmp_path}/run", TrainingOptions(epochs=1),
      TrackingSettings(tracker="trackio"), progress=False)
"""
    splits(100).save_to_disk(tmp_path / "data")
    offline = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, env=offline)
    assert done.returncode == 0, done.stderr[-2000:]
    with sqlite3.connect(tmp_path / "trackio/charcnn.db") as database:
        rows = database.execute("SELECT run_name, metrics FROM metrics").fetchall()
    assert {name for name, _ in rows} == {f"run-{(tmp_path / 'run/run_id').read_text()}"}
    assert {"loss", "validation_balanced/macro_f1"} <= {key for _, metrics in rows for key in json.loads(metrics)}


def test_a_network_that_is_not_above_a_linear_model_is_said_in_one_line(tmp_path, caplog):
    options, without_table = TrainingOptions(epochs=1, learning_rate=1e-6), TINY | {"ngrams": []}
    with caplog.at_level(logging.WARNING, "charcnn"):
        train(splits(), build_model(without_table), tmp_path, options, progress=False)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "charcnn"]
    assert "is not above that of" in warning and "\n" not in warning


def test_two_classes_are_learnt_from_reviews_with_three_stars(tmp_path):
    data = splits()
    options = TrainingOptions(epochs=8, learning_rate=0.02, precision="no")
    train(data, build_model(TINY, Labels.of_ratings(2)), tmp_path / "run", options, progress=False)
    last = json.loads((tmp_path / "run/history.json").read_text())[-1]
    rated = np.array(data["validation"]["rating"])
    assert last["natural"]["reviews"] == np.count_nonzero(rated != 3)
    assert last["texts"] == 8 * np.count_nonzero(np.array(data["train"]["rating"]) != 3)
    assert last["natural"]["accuracy"] > 0.95
    config = export(tmp_path / "run", data, tmp_path / "model", progress=False)
    assert config["metrics"]["natural"]["reviews"] == np.count_nonzero(rated != 3)
    scorer = Scorer.from_pretrained(tmp_path / "model")
    assert [scorer(f"the room number 7 was {word}").label for word in ("awful", "wonderful")] == ["bad", "good"]


def test_a_few_hundred_texts_and_no_option_give_a_model_that_tells_labels_apart(tmp_path):
    "With weights averaged from the first step on, it gave everything one label."
    generator = np.random.default_rng(0)
    topics = {
        "billing": "invoice refund charged",
        "delivery": "parcel courier late",
        "login": "password account locked",
    }
    names, labels = list(topics), generator.choice(3, 460, p=[0.2, 0.6, 0.2])
    texts = [
        f"{generator.choice(['hello', 'please help', 'again'])}, my {generator.choice(topics[names[label]].split())} number {i}"
        for i, label in enumerate(labels)
    ]
    features = Features(text=Value("string"), label=ClassLabel(names=names))
    rows = Dataset.from_dict({"text": texts, "label": labels}, features=features)
    DatasetDict(train=rows.select(range(400)), validation=rows.select(range(400, 460))).save_to_disk(tmp_path / "data")
    command = [sys.executable, "-m", "charcnn", "train", tmp_path / "data", tmp_path / "run", "--no-progress"]
    environment = os.environ | {"CHARCNN_TRACKING_TRACKER": "none"}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    options = json.loads((tmp_path / "run/options.json").read_text())
    assert (options["training.epochs"], options["training.dropout"]) == (10, 0.8)
    assert options["training.batches.batch_characters"] == 1000
    run, majority = (beside_baselines(tmp_path / "run")[name]["balanced"] for name in ("this run", "majority class"))
    assert run["macro_f1"] > 0.9 > 0.2 > majority["macro_f1"]
    assert "majority class, balanced" in " ".join(done.stdout.split())
