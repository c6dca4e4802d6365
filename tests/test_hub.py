"""What goes to the Hub and comes from it: a model trained in Python, and a run from a data set there to a model there."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from local_hub import TOKEN, local_hub

from charcnn.estimator import CharCNNClassifier
from charcnn.scorer import Scorer

SMALL = {"widths": [8, 8], "depths": [0, 0], "buckets": 101, "encoder": {"max_length": 60}}


@pytest.fixture(scope="module")
def classifier():
    texts = [f"the {thing} number {n}" for n in range(40) for thing in ("soup", "waiter")]
    return CharCNNClassifier(SMALL, epochs=1).fit(texts, ["food", "staff"] * 40), texts


def test_a_classifier_scores_the_same_from_the_hub(classifier, tmp_path):
    model, texts = classifier
    with local_hub() as hub:
        address = model.push_to_hub("owner/topics", private=True, endpoint=hub.endpoint, token=TOKEN)
        assert address.endswith("owner/topics") and hub.private["models/owner/topics"]
        for path, content in hub.files["models/owner/topics"].items():
            (tmp_path / path).write_bytes(content)
    assert {"README.md", "config.json", "model.onnx", "model.safetensors"} <= {file.name for file in tmp_path.iterdir()}
    scorer = Scorer(tmp_path)
    assert list(scorer.predict(texts[:6])) == list(model.predict(texts[:6]))
    assert np.allclose(scorer.predict_proba(texts[:6]), model.predict_proba(texts[:6]), atol=1e-4)


def test_a_hub_that_refuses_is_said_in_one_line(classifier):
    with local_hub() as hub, pytest.raises(ValueError, match="owner/topics was not pushed: ") as refused:
        classifier[0].push_to_hub("owner/topics", endpoint=hub.endpoint, token="hf_wrong")
    assert "\n" not in str(refused.value)


def test_a_run_goes_from_a_private_data_set_on_the_hub_to_a_model_there(tmp_path):
    words = {1: "awful", 2: "poor", 3: "average", 4: "nice", 5: "wonderful"}
    rows = [{"text": f"the room number {n} was {words[1 + n % 5]}", "rating": 1 + n % 5} for n in range(300)]
    pa.parquet.write_table(pa.Table.from_pylist(rows), parquet := io.BytesIO())
    config = Path(__file__).parent.parent / "configs" / "runs" / "hub.yaml"
    small = ("dataset.sources=[owner/reviews]", "export.repository=owner/model", "train.model=configs/models/tiny.yaml")
    small += ("train.epochs=1", "evaluate.corrupted=20")
    with local_hub() as hub:
        hub.create("datasets/owner/reviews", private=True)
        hub.files["datasets/owner/reviews"]["data/train-00000-of-00001.parquet"] = parquet.getvalue()
        there = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "cache")}
        there |= {"CHARCNN_PATHS_RUNS": str(tmp_path / "runs"), "CHARCNN_TRACKING_TRACKER": "none"}
        options = [part for value in small for part in ("--set", value)]
        command = [sys.executable, "-m", "charcnn", "pipeline", str(config), "--no-progress", *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=os.environ | there)
        assert done.returncode == 0, done.stderr[-2000:]
        for path, content in hub.files["models/owner/model"].items():
            (tmp_path / path).write_bytes(content)
    assert Scorer(tmp_path)(rows[0]["text"]).label in ("bad", "average", "good")
