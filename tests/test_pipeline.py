"""The pipeline as a person runs it: pages in, a model and a report out; changed, killed, broken, and run again."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from datasets import Dataset

from charcnn import Scorer
from charcnn.dataset.prepare import read_exclusions
from charcnn.pipeline.run import all_runs
from charcnn.scorer import BUNDLED_MODEL

ROOT = Path(__file__).parent.parent
QUICK = ("configs/runs/quick.yaml", "--set", "train.epochs=3", "--set", "evaluate.corrupted=40", "--no-progress")


def start(runs: Path, *args: object) -> subprocess.Popen:
    environment = {"CHARCNN_PATHS_RUNS": str(runs), "CHARCNN_TRACKING_TRACKER": "none"}
    command = [sys.executable, "-m", "charcnn", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | environment
    )


def charcnn(runs: Path, *args: object, code: int = 0) -> str:
    process = start(runs, *args)
    said, complaint = process.communicate()
    assert process.returncode == code, said[-1000:] + complaint[-3000:]
    return said if code == 0 else complaint


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    "The folder of all runs, after a quick one."
    runs = tmp_path_factory.mktemp("runs")
    trackers = [part for stage in ("train", "evaluate", "export") for part in ("--set", f"{stage}.tracker=wandb")]
    said = charcnn(runs, "pipeline", *QUICK, *trackers)
    assert "report: file://" in said
    return runs


def test_one_command_goes_from_a_browser_to_a_model_and_a_report(runs):
    (run,) = all_runs(runs, "quick")
    stages = {name: stage["status"] for name, stage in run.stages.items()}
    assert list(stages) == ["companies", "reviews", "dataset", "train", "evaluate", "export", "report"]
    assert set(stages.values()) == {"complete"} and run.record["status"] == "complete"
    assert {"git", "host", "versions", "command", "started", "ended", "asked"} <= set(run.record)
    assert run.stages["train"]["tracker_id"] and run.stages["train"]["seed"] == 0
    assert len(list(run.folder.glob("[1-7]_*.ipynb"))) == 7
    page = (run.place("report") / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3 and "900 reviews read of 900" in page
    assert Scorer(run.place("export"))("What a nightmare, never again.").label in ("bad", "average", "good")


def offline_records(folder: Path) -> list:
    "What W&B has written for a run, all its starts, in order. The file is a log of LevelDB behind a header of 7 bytes."
    from wandb.proto.wandb_internal_pb2 import Record

    found = []
    for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        data, place, parts = file.read_bytes(), 7, b""
        while place + 7 <= len(data):
            if (left := 32768 - place % 32768) < 7:
                place += left
                continue
            _, length, kind = struct.unpack("<IHB", data[place : place + 7])
            parts += data[place + 7 : place + 7 + length]
            place += 7 + length
            if kind in (1, 4):  # whole, or its last part
                found.append(Record.FromString(parts))
                parts = b""
    return found


def test_the_tracker_has_curves_data_model_and_errors_of_one_run(runs):
    run = all_runs(runs, "quick")[-1]
    records = offline_records(run.place("train"))
    assert {record.run.run_id for record in records if record.HasField("run")} == {run.stages["train"]["tracker_id"]}
    keys = {item.key or "/".join(item.nested_key) for record in records for item in record.history.item}
    assert {"loss", "learning_rate", "validation_natural/macro_f1", "test/macro_f1"} <= keys
    artifacts = [record.artifact for record in records if record.HasField("artifact")]
    files = {(a.type, entry.path) for a in artifacts for entry in a.manifest.contents}
    assert {("dataset", "dataset.json"), ("model", "model.onnx"), ("run_table", "errors.table.json")} <= files
    data = next(a.name for a in artifacts if a.type == "dataset")
    assert all(json.loads(a.metadata)["dataset"] == data for a in artifacts if a.type == "model")
    assert f"run {run.stages['train']['tracker_id']} of" in (run.place("report") / "report.html").read_text()


def test_another_learning_rate_begins_at_training(runs):
    said = charcnn(runs, "pipeline", *QUICK, "--set", "train.learning_rate=1e-3", "--only", "train")
    newest, first = all_runs(runs, "quick")
    assert [stage["status"] for stage in newest.stages.values()] == ["kept"] * 3 + ["complete"], said
    assert newest.place("dataset") == first.place("dataset") and (newest.folder / "dataset/report.json").is_file()
    assert newest.place("train") != first.place("train") and first.place("train").is_dir()
    said = charcnn(runs, "runs", "compare", newest.name, first.name)
    assert "train.learning_rate" in said and "curves: file://" in said


@pytest.fixture(scope="module")
def reviews(tmp_path_factory) -> Path:
    "Raw reviews that are easily told apart."
    folder = tmp_path_factory.mktemp("reviews")
    generator = np.random.default_rng(0)
    words = {1: "awful", 2: "poor", 3: "average", 4: "nice", 5: "wonderful"}
    with open(folder / "raw.jsonl", "w") as file:
        for number in range(600):
            rating = int(generator.integers(1, 6))
            text = f"the {generator.choice(['food', 'room', 'staff', 'parcel'])} number {number} was {words[rating]}"
            file.write(json.dumps({"text": text, "rating": rating, "source": "made up", "company": "Acme"}) + "\n")
    return folder


@pytest.fixture
def mine(reviews, tmp_path) -> Path:
    "A configuration of two stages."
    config = tmp_path / "mine.yaml"
    config.write_text(
        f"dataset: {{sources: [{reviews}/raw.jsonl]}}\n"
        'train: {dataset: "${dataset.folder}", epochs: 10, learning_rate: 0.02, options: {checkpoint_minutes: 0}}\n'
    )
    return config


def test_a_killed_run_goes_on_inside_its_stage(mine, tmp_path):
    process = start(tmp_path, "pipeline", mine, "--no-progress")
    while not list(tmp_path.glob("mine/*/train/checkpoints/latest")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (killed,) = all_runs(tmp_path)
    assert killed.record["status"] == "running"
    charcnn(tmp_path, "pipeline", mine, "--no-progress")
    (run,) = all_runs(tmp_path)
    assert run.record["status"] == "complete" and len(run.record["resumed"]) == 1
    starts = json.loads((run.place("train") / "run.json").read_text())["starts"]
    history = json.loads((run.place("train") / "history.json").read_text())
    assert len(starts) == 2 and len(history) == 10 and run.folder == killed.folder
    assert len(list(run.folder.glob("*_train*.ipynb"))) == 2  # nothing is written over


def test_a_failure_says_stage_cell_and_reason_in_one_line(mine, tmp_path):
    said = charcnn(tmp_path, "pipeline", mine, "--no-progress", "--set", "dataset.rating_column=stars", code=2)
    line = said[said.rindex("charcnn: ") :].strip()
    assert line.startswith("charcnn: stage dataset, cell 4: ValueError: ") and "stars" in line and "\n" not in line
    executed = Path(line.rpartition("see ")[2])
    assert "Traceback" in executed.read_text() and all_runs(tmp_path)[0].record["status"] == "failed"
    said = charcnn(tmp_path, "pipeline", mine, "--set", "train.epoch=3", code=2)
    assert "did you mean 'epochs'?" in said and len(all_runs(tmp_path)) == 1


def test_what_is_incomplete_has_its_own_exit_code(tmp_path):
    "A site that does not answer: the same command goes on another day."
    config = tmp_path / "away.yaml"
    config.write_text("companies: {start: 'http://127.0.0.1:9'}\n")
    said = charcnn(tmp_path, "pipeline", config, "--no-progress", code=3)
    assert "charcnn: stage companies" in said
    assert all_runs(tmp_path)[0].record["status"] == "incomplete"


def test_a_stage_runs_as_it_is_from_any_folder(tmp_path):
    there = {"PYTHONPATH": str(ROOT), "CHARCNN_TRACKING_TRACKER": "none", "CHARCNN_ROOT": str(tmp_path)}
    for name, options in (
        ("4_train", ["-p", "epochs", "2"]),
        ("7_report", []),
        ("8_learn_again", ["-p", "epochs", "1"]),
    ):
        command = [sys.executable, "-m", "papermill", "--no-progress-bar", f"{ROOT}/nbs/pipeline/{name}.ipynb"]
        done = subprocess.run(
            [*command, f"{name}.ipynb", *options], capture_output=True, text=True, cwd=tmp_path, env=os.environ | there
        )
        assert done.returncode == 0, done.stderr[-2000:]
    (trained,) = tmp_path.glob("runs/by-hand/*-train/history.json")
    assert len(json.loads(trained.read_text())) == 2
    (page,) = tmp_path.glob("runs/by-hand/*-report/report.html")
    assert page.read_text().count("base64") == 3
    (found,) = tmp_path.glob("runs/by-hand/*-learn_again/report.json")
    assert set(json.loads(found.read_text())) == {"page", "validation", "promote", "why"}


def test_a_running_page_takes_up_a_promoted_model_and_goes_back(serve, tmp_path):
    live, second = tmp_path / "live", tmp_path / "second"
    shutil.copytree(BUNDLED_MODEL, second)
    config = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps(config | {"name": "second"}))
    charcnn(tmp_path, "promote", live, BUNDLED_MODEL)
    page = serve(CHARCNN_MODEL_PATH=str(live))

    def current() -> str:
        assert httpx.post(f"{page.url}/api/v1/score", json={"review": "Lovely!"}).json()["label"] == "good"
        return httpx.get(f"{page.url}/api/v1/health").json()["model"]

    assert current() == config["name"]
    charcnn(tmp_path, "promote", live, second)
    assert current() == "second"
    charcnn(tmp_path, "promote", live, "--back")
    assert current() == config["name"]


def bundled_reviews(reviews: Path, folder: Path) -> None:
    "Few reviews, of every source that the bundled model leaves some out of."
    rules = read_exclusions(ROOT / "data" / "exclusions.csv")
    rows = [json.loads(line) for line in (reviews / "raw.jsonl").read_text().splitlines()]
    rows += [rows[0] | {"text": f"{rule['contains']} {n}", "source": rule["source"]} for n, rule in enumerate(rules)]
    Dataset.from_list(rows[50:]).to_parquet(folder / "train-0.parquet")
    Dataset.from_list(rows[:50]).to_parquet(folder / "validation.parquet")


@pytest.mark.timeout(1500)
def test_the_bundled_model_is_the_same_when_it_is_made_again(reviews, tmp_path):
    bundled_reviews(reviews, tmp_path)
    command = ["make", "--dry-run", "model", f"REVIEWS={tmp_path}"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    line = next(line for line in said.splitlines() if "charcnn pipeline" in line)
    config = yaml.safe_load((ROOT / line.split()[2]).read_text())
    short = {name: section for name, section in config.items() if name not in ("evaluate", "report")}
    (tmp_path / "bundled.yaml").write_text(yaml.safe_dump(short, sort_keys=False))
    small = "student.snippets=50 phrases.snippets=50 student.epochs=1 dataset.max_rows=500 dataset_phrases.max_rows=500"
    options = [part for value in small.split() for part in ("--set", value)]
    runs = tmp_path / "runs"
    for again in ((), ("--from", "teacher")):
        charcnn(runs, "pipeline", tmp_path / "bundled.yaml", *line.split()[3:], *options, *again, "--no-progress")
    first, second = (run.place("export") for run in all_runs(runs, "bundled"))
    for file in ("model.safetensors", "model.onnx"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    provenance = json.loads((second / "config.json").read_text())["provenance"]
    assert [earlier["run"] for earlier in provenance["earlier"]] == ["teacher", "student"]
    said = charcnn(runs, "evaluate", second.parent / "dataset_phrases", "--model", second, "--no-progress")
    assert "natural" in said and "made up" in said
