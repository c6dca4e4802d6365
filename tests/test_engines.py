"""Engines: the same rows in the same order with the same scores, in each, with its real package."""

import os
import signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from charcnn import Scorer
from charcnn.arrow import score, score_table

WORDS = "the room food was great awful lovely never again slow staff price good 10/10 \N{WINKING FACE} très bon".split()


def made_up(rows: int) -> list[str]:
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(WORDS, length)) for length in generator.integers(0, 40, rows)]


@pytest.fixture(scope="module")
def scorer():
    return Scorer(threads=1)


@pytest.fixture(scope="module")
def table(scorer):
    texts = made_up(5000)
    found = list(scorer.many(texts))
    columns = {
        "predicted_score": [each.score for each in found],
        "predicted_label": [each.label for each in found],
        "predicted_rating": [each.rating for each in found],
    }
    return pa.table({"id": range(len(texts)), "text": texts, **columns})


def assert_same(found: pa.Table, wanted: pa.Table) -> None:
    for name in ("id", "text", "predicted_label", "predicted_rating"):
        assert found[name].to_pylist() == wanted[name].to_pylist(), name
    scores = [np.array(each["predicted_score"].to_pylist()) for each in (found, wanted)]
    assert np.abs(scores[0] - scores[1]).max() < 1e-5


def test_duckdb_scores_in_a_query(scorer, table):
    import duckdb

    from charcnn.duckdb import register

    with duckdb.connect() as connection:
        register(connection, scorer)
        rows = table.select(["id", "text"])
        found = connection.sql("SELECT id, text, unnest(charcnn_score(text)) FROM rows ORDER BY id").to_arrow_table()
    assert len(rows) == len(found)
    assert_same(found, table)


def test_polars_keeps_rows_and_order(scorer, table):
    import polars as pl

    frame = pl.from_arrow(table.select(["id", "text"]))
    assert_same(frame.hstack(pl.from_arrow(score(frame["text"], scorer))).to_arrow(), table)


def test_pandas_keeps_the_index(scorer, table):
    frame = table.select(["id", "text"]).to_pandas().set_index("id", drop=False).rename_axis("row")
    scored = frame.join(score(frame["text"], scorer).to_pandas().set_index(frame.index))
    assert scored.index.tolist() == frame.index.tolist()
    assert_same(pa.Table.from_pandas(scored, preserve_index=False), table)


def test_a_dataset_is_mapped_by_several_processes(scorer, table):
    from datasets import Dataset

    dataset = Dataset(table.select(["id", "text"])).with_format("arrow")
    scored = dataset.map(score_table, batched=True, batch_size=1000, fn_kwargs={"scorer": scorer}, num_proc=2)
    assert_same(scored.data.table, table)


@pytest.fixture
def ray(monkeypatch):
    "Ray on this machine: three cores, so that two actors leave one for reading."
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray = pytest.importorskip("ray", reason="no Ray here: `pip install ray`")
    for attempt in range(4):
        try:
            ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, object_store_memory=200 * 2**20)
            break
        except Exception as e:  # Ray gives its agent 15 seconds to start, however busy the machine is (its issue 65983)
            if "timed out during startup" not in str(e):
                raise
            ray.shutdown()
            if attempt == 3:
                pytest.skip("Ray did not start within its 15 seconds; the machine is busy")
    yield ray
    ray.shutdown()


def test_a_killed_ray_actor_loses_no_row(ray, table, tmp_path):
    parts, pids, killed = tmp_path / "parts", tmp_path / "pids", tmp_path / "killed"
    parts.mkdir()
    pids.mkdir()
    for number in range(10):
        pq.write_table(table.select(["id", "text"]).slice(500 * number, 500), parts / f"{number}.parquet")

    class Scores:
        def __init__(self):
            self.scorer, self.batches = Scorer(threads=1), 0

        def __call__(self, batch):
            (pids / str(os.getpid())).touch()
            self.batches += 1
            if self.batches == 3 and not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return score_table(batch, scorer=self.scorer)

    data = ray.data.read_parquet(str(parts))
    scored = data.map_batches(Scores, batch_format="pyarrow", batch_size=250, concurrency=2, num_cpus=1)
    found = pa.concat_tables(scored.iter_batches(batch_format="pyarrow", batch_size=None)).sort_by("id")
    assert killed.exists() and len(list(pids.iterdir())) >= 2, "one actor was killed, and another went on"
    assert_same(found, table)
