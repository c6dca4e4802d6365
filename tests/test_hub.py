"""A model trained in Python is on the Hub, and scores from there."""

import numpy as np
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
