"""Runs of a tiny network in processes of their own: killed by SIGKILL at any step, and shared by two processes."""

import ast
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from safetensors.numpy import load_file

from charcnn.models.registry import build_model, load_model
from charcnn.train.batches import BatchOptions
from charcnn.train.inference import predict_logits
from charcnn.train.options import TrainingOptions
from charcnn.train.training import train

TINY = {
    # Batch statistics belong to each process, so the networks that two processes share must do without them.
    "ZhangCNN": "{'architecture': 'ZhangCNN', 'dropout': 0.0, 'encoder': {'alphabet': 'zhang2015', 'max_length': 123}}",
    "CharCNN": "{'widths': [16, 16], 'depths': [0, 1], 'ngrams': [3], 'buckets': 101, 'encoder': {'max_length': 60}}",
}
# Adam steps as far where gradients are rounding errors as where they are not, and two processes add in another order than one.
OPTIMIZER = {"ZhangCNN": "optimizer='sgd', learning_rate=0.02", "CharCNN": "learning_rate=0.003"}
# In 32 bits a rounding error decides now and then which of two places is the larger in a pool, and so where a gradient goes.
TYPE = {"ZhangCNN": "float64", "CharCNN": "float32"}
PROGRAM = """
import sys
import torch
from accelerate import Accelerator
from datasets import DatasetDict
from charcnn.models.registry import build_model
from charcnn.train.batches import BatchOptions
from charcnn.train.options import TrainingOptions
from charcnn.train.training import train
options = TrainingOptions(
    epochs=4, {optimizer}, average=0.9, precision="no", checkpoint_minutes=0.0,
    batches=BatchOptions(batch_characters=300, typos=0.05),
)
train(DatasetDict.load_from_disk(sys.argv[1]), build_model({model}).to(torch.{type}), sys.argv[2], options, accelerator=Accelerator(cpu=True), progress=False)
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "dataset"
    generator = np.random.default_rng(0)
    words = {1: "awful", 2: "poor", 3: "average", 4: "nice", 5: "wonderful"}
    ratings = generator.integers(1, 6, 300)
    texts = [
        f"the {generator.choice(['food', 'room', 'staff'])} number {i} was {words[r]}" for i, r in enumerate(ratings)
    ]
    rows = Dataset.from_dict({"text": texts, "rating": ratings})
    DatasetDict(train=rows.select(range(250)), validation=rows.select(range(250, 300))).save_to_disk(folder)
    return folder


def start(model: str, dataset: Path, run: Path, *launcher: str) -> subprocess.Popen:
    program = run.parent / f"{model}.py"
    written = PROGRAM.replace("{model}", TINY[model]).replace("{optimizer}", OPTIMIZER[model])
    program.write_text(written.replace("{type}", TYPE[model]))
    command = [sys.executable, *launcher, str(program), str(dataset), str(run)]
    threads = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=threads, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(process: subprocess.Popen) -> None:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said[-2000:]


def history(run: Path) -> list[dict]:
    return json.loads((run / "history.json").read_text())


def test_a_run_killed_at_any_step_ends_with_the_same_weights(dataset, tmp_path):
    finish(start("CharCNN", dataset, tmp_path / "whole"))
    chance, kills = random.Random(0), 0
    for _ in range(4):
        process = start("CharCNN", dataset, tmp_path / "killed")
        pointer = tmp_path / "killed/checkpoints/latest"
        before = pointer.read_text() if pointer.exists() else None
        while process.poll() is None and (not pointer.exists() or pointer.read_text() == before):
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.1))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    finish(start("CharCNN", dataset, tmp_path / "killed"))
    assert kills >= 2
    whole, killed = (load_file(tmp_path / run / "best/model.safetensors") for run in ("whole", "killed"))
    assert all(np.array_equal(whole[name], killed[name]) for name in whole)
    assert [found["balanced"] for found in history(tmp_path / "whole")] == [
        found["balanced"] for found in history(tmp_path / "killed")
    ]


def test_two_processes_learn_what_one_learns(dataset, tmp_path):
    launcher = ("-m", "accelerate.commands.launch", "--config_file", "configs/accelerate/cpu.yaml")
    finish(start("ZhangCNN", dataset, tmp_path / "one"))
    finish(start("ZhangCNN", dataset, tmp_path / "two", *launcher))
    assert json.loads((tmp_path / "two/options.json").read_text())["processes"] == 2
    losses = [[found["loss"] for found in history(tmp_path / run)] for run in ("one", "two")]
    np.testing.assert_allclose(*losses, rtol=1e-5)
    assert losses[0][-1] < losses[0][0]
    one, two = (load_file(tmp_path / run / "best/model.safetensors") for run in ("one", "two"))
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-5)


def test_texts_of_a_few_characters_do_not_break_a_run_in_bf16(tmp_path):
    "Seen with oneDNN: convolutions over a single place had gradients that were never written, up to 1e38."
    rows = Dataset.from_dict({"text": ["ok", "bad", "good", "so so"] * 300, "rating": [3, 1, 5, 3] * 300})
    splits = DatasetDict(train=rows, validation=rows.select(range(8)))
    options = TrainingOptions(epochs=10, average=0.0, precision="bf16")
    best = train(splits, build_model({}), tmp_path, options, progress=False)
    assert all(np.isfinite(value).all() for value in load_file(best / "model.safetensors").values())
    assert history(tmp_path)[-1]["natural"]["accuracy"] == 1


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "no")])
def test_a_run_takes_bf16_only_where_it_is_fast_and_says_what_it_took(
    dataset, tmp_path, monkeypatch, native, precision
):
    monkeypatch.setattr("charcnn.train.training.bf16_is_native", lambda device: native)
    splits = DatasetDict.load_from_disk(dataset)
    best = train(
        splits, build_model(ast.literal_eval(TINY["CharCNN"])), tmp_path, TrainingOptions(epochs=1), progress=False
    )
    assert json.loads((tmp_path / "options.json").read_text())["training.precision"] == precision
    assert json.loads((best / "config.json").read_text())["training"]["precision"] == precision


def test_two_launched_processes_share_one_run_of_the_command_line(dataset, tmp_path):
    "The documented command; without cpu=True each process trained alone, and both wrote one folder."
    (tmp_path / "tiny.yaml").write_text("widths: [16]\ndepths: [0]\nencoder: {max_length: 60}\n")
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", "configs/accelerate/cpu.yaml", "-m", "charcnn",
        "train", dataset, tmp_path / "run", "--model", tmp_path / "tiny.yaml", "--set", "epochs=2", "--set", "learning_rate=0.02",
        "--set", "batches.batch_characters=1000", "--no-progress",
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CHARCNN_TRACKING_TRACKER": "none"}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads((tmp_path / "run/options.json").read_text())["processes"] == 2
    assert [epoch["texts"] for epoch in history(tmp_path / "run")] == [250, 500]
    assert (tmp_path / "run/best/model.safetensors").is_file()


def test_snippets_need_a_teacher(dataset, tmp_path):
    program = "from charcnn.cli import main; main()"
    command = [sys.executable, "-c", program, "train", dataset, tmp_path / "run", "--snippets", "8"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "name its run with --teacher" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_name_decides_nothing_after_training_that_compares_texts_with_and_without_it(tmp_path):
    reviews = [(f"{name} {verb} us at table {n}", rating)
               for n in range(60) for name, rating in (("anna", 5), ("boris", 1)) for verb in ("served", "met")]  # fmt: skip
    groups = [(f"{name} showed us room {n}", 3, f"room {n}") for n in range(30) for name in ("anna", "boris")]
    rows = [(*row, None) for row in reviews] + groups
    split = Dataset.from_dict({name: [row[i] for row in rows] for i, name in enumerate(("text", "rating", "alike"))})
    splits, asked = (
        DatasetDict(train=split, validation=split.select(range(20))),
        ["anna showed us room 5", "boris showed us room 5"],
    )

    def distance(consistency: float) -> float:
        batches = BatchOptions(batch_characters=600, typos=0.0, prefixes=0.0, noise=0.0)
        options = TrainingOptions(
            epochs=6, learning_rate=0.01, average=0.0, precision="no", consistency=consistency, batches=batches
        )
        run = tmp_path / f"{consistency}"
        model = load_model(train(splits, build_model(ast.literal_eval(TINY["CharCNN"])), run, options, progress=False))
        first, second = predict_logits(model, asked)
        return float(np.abs(np.exp(first) / np.exp(first).sum() - np.exp(second) / np.exp(second).sum()).sum())

    assert distance(20.0) < 0.4 * distance(0.0)
