"""From files of every kind, good and bad, to one dataset."""

import gzip
import json
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from datasets import DatasetDict

from charcnn.dataset.prepare import DatasetOptions, fingerprint, prepare

REVIEWS = [
    {"text": f'review {n}, quite "odd"\nwith a second line 👍 é', "rating": n % 5 + 1, "company": f"shop {n % 7}"}
    for n in range(500)
]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    "The same reviews in every format."
    folder = tmp_path_factory.mktemp("raw")
    (folder / "r.jsonl").write_text("".join(json.dumps(review) + "\n" for review in REVIEWS))
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE r AS SELECT * FROM read_json('{folder}/r.jsonl', format='newline_delimited')")
        connection.execute(f"COPY r TO '{folder}/r.csv' (HEADER)")
        connection.execute(f"COPY r TO '{folder}/r.tsv' (HEADER, DELIMITER '\t')")
        connection.execute(f"COPY r TO '{folder}/r.parquet'")
    (folder / "r.csv.gz").write_bytes(gzip.compress((folder / "r.csv").read_bytes()))
    (folder / "r_utf16.csv").write_bytes((folder / "r.csv").read_text().encode("utf-16"))
    return folder


@pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.parquet", "r.csv.gz", "r_utf16.csv"])
def test_every_format_gives_the_same_dataset(files, tmp_path, name):
    expected = prepare([files / "r.jsonl"], tmp_path / "jsonl", progress=False)
    options = DatasetOptions(encoding="utf-16" if "utf16" in name else "")
    found = prepare([files / name], tmp_path / "made", options, progress=False)
    assert found.num_rows == expected.num_rows and sum(found.num_rows.values()) == len(REVIEWS)
    assert fingerprint(found) == fingerprint(expected)
    assert found["train"]["company"] == expected["train"]["company"]


def test_a_text_is_never_in_two_splits(files, tmp_path):
    copies = [{**review, "text": review["text"].upper() + "!!!"} for review in REVIEWS]
    (tmp_path / "copies.jsonl").write_text("".join(json.dumps(review) + "\n" for review in copies))
    found = prepare(
        [files / "r.jsonl", tmp_path / "copies.jsonl"],
        tmp_path / "made",
        DatasetOptions(validation=0.3, test=0.3),
        progress=False,
    )
    letters = [{"".join(filter(str.isalnum, text.lower())) for text in split["text"]} for split in found.values()]
    assert sum(map(len, letters)) == len(set.union(*letters)) == len(REVIEWS)


HOSTILE = {
    "empty.csv": (b"", "empty.csv"),
    "binary.csv": (bytes(range(256)) * 50, "binary.csv"),
    "binary.jsonl": (bytes(range(256)) * 50, "binary.jsonl"),
    "binary.parquet": (bytes(range(256)) * 50, "binary.parquet"),
    "columns.jsonl": (b'{"body": "good", "stars": 5}\n', "no column 'text' nor 'rating'; its columns: body, stars"),
    "separator.csv": (b"text|rating\ngood|5\nbad|1\n", None),
    "header.csv": (b"text,rating\n", "no text is left"),
    "list.jsonl": (b"[1, 2, 3]\n", "list.jsonl"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_get_one_line(tmp_path, name):
    content, said = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    command = [
        sys.executable,
        "-c",
        "from charcnn.cli import main; main()",
        "dataset",
        tmp_path / name,
        "--output",
        tmp_path / "made",
        "--no-progress",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if said is None:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2, done.stdout
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr
    assert not (tmp_path / "made").exists()


def test_odd_values_are_kept_or_counted(tmp_path):
    rows = ['"5.0",a one', '" 4 ",a two', "4.5,x", "five,x", "6,x", "0,x", "-1,x", "nan,x", "inf,x", "1e0,a three", ",x", '3,"a ""lone"" quote"', "3,nul\x00here", "2," + "long " * 400_000]  # fmt: skip
    (tmp_path / "odd.csv").write_text("rating,text\n" + "\n".join(rows) + "\n")
    options = DatasetOptions(validation=0, test=0, scale="1-5")
    found = prepare([tmp_path / "odd.csv"], tmp_path / "made", options, progress=False)
    assert sorted(found["train"]["rating"]) == [1, 2, 3, 3, 4, 5, 5]
    report = json.loads((tmp_path / "made" / "report.json").read_text())
    assert report["dropped"] == {"rating is not on the scale 1-5": 4, "missing rating": 2, "duplicate": 1}
    assert any("\x00" in text for text in found["train"]["text"]) and max(map(len, found["train"]["text"])) > 1_900_000


def test_an_emoji_tells_texts_apart(tmp_path):
    (tmp_path / "signs.csv").write_text("rating,text\n5,the soup 😍\n1,the soup 😡\n1,The soup! 😡\n5,👍\n1,👎\n")
    options = DatasetOptions(validation=0, test=0, scale="1-5")
    found = prepare([tmp_path / "signs.csv"], tmp_path / "made", options, progress=False)["train"]
    said = sorted((text[-1], rating) for text, rating in zip(found["text"], found["rating"], strict=True))
    assert said == [("👍", 5), ("👎", 1), ("😍", 5), ("😡", 1)]


def test_a_killed_run_leaves_nothing_that_looks_like_a_dataset(files, tmp_path):
    program = f"from charcnn.dataset.prepare import prepare; prepare(['{files}/r.parquet'], '{tmp_path}/made')"
    child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    while child.poll() is None and not list(tmp_path.glob(".made-*")):
        time.sleep(0.01)
    child.kill()
    child.wait()
    if (tmp_path / "made").exists():  # it was quicker than the kill: then it is whole
        assert sum(DatasetDict.load_from_disk(str(tmp_path / "made")).num_rows.values()) == len(REVIEWS)
    assert sum(prepare([files / "r.parquet"], tmp_path / "made", progress=False).num_rows.values()) == len(REVIEWS)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "duckdb"])
def test_what_the_page_exports_comes_back_as_it_was_typed(tmp_path, kind):
    import duckdb

    from charcnn.app.reviews import Review
    from charcnn.app.store import ReviewStore
    from charcnn.dataset.sources import read_sources

    typed = [
        "=1+1", "'=1+1", "''=1+1", "+1 for the staff", "-1", "@home", "\ttab", "\r\nline\rbreaks\n", "'tis fine", "'", '"quoted", and; more',
        "  spaces  ", "NULL", "1.0", "2024-01-01", "naïve 😀 \u2028", "back\\slash \\n", '""', "a,b\n'=c", "never again",
    ]  # fmt: skip
    with ReviewStore(tmp_path / "reviews.duckdb") as store:
        for n, text in enumerate(typed):
            store.add(Review("=Acme" if n % 2 else "Zenith", text, n % 5 + 1, label="bad", score=0.1))
        if kind != "duckdb":
            store.export(tmp_path / f"reviews.{kind}")
    connection = duckdb.connect()
    read_sources(connection, [(str(tmp_path / f"reviews.{kind}"), "train")], DatasetOptions(), progress=False)
    found = connection.execute("SELECT text, rating, source, company FROM raw").fetchall()
    assert found == [(text, str(n % 5 + 1), "charcnn", "=Acme" if n % 2 else "Zenith") for n, text in enumerate(typed)]


def test_corrected_ratings_flow_back(tmp_path):
    from charcnn.app.reviews import Review
    from charcnn.app.store import ReviewStore

    with ReviewStore(tmp_path / "reviews.duckdb") as store:
        for n in range(60):
            store.add(Review("Acme", f"a review, number {n}", rating=n % 5 + 1, suggested_rating=1))
    found = prepare(
        [tmp_path / "reviews.duckdb"], tmp_path / "made", DatasetOptions(validation=0, test=0), progress=False
    )
    assert found["train"].num_rows == 60
    assert sorted(found["train"]["rating"]) == sorted(n % 5 + 1 for n in range(60))
    assert set(found["train"]["source"]) == {"charcnn"} and set(found["train"]["company"]) == {"Acme"}
