"""`charcnn score` on files: every format, many rows, and input that is wrong."""

import csv
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TEXTS = [
    "Wonderful coffee, highly recommended!",
    "Terrible. Never again.",
    "",
    'He said "no", twice\nand left — 👎',
    "=1+1",
]


def charcnn(*args: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from charcnn.cli import main; main()", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def files(tmp_path):
    with open(tmp_path / "reviews.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "text"], *enumerate(TEXTS)])
    lines = [json.dumps({"id": i, "text": text}) for i, text in enumerate(TEXTS)]
    (tmp_path / "reviews.jsonl").write_text("\n".join(lines))
    pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), tmp_path / "reviews.parquet")
    return tmp_path


def test_every_format_gives_the_same_scores(files):
    found = []
    for kind in ("csv", "jsonl", "parquet"):
        done = charcnn("score", files / f"reviews.{kind}", "--output", files / f"{kind}.jsonl", "--no-progress")
        assert done.returncode == 0, done.stderr
        rows = [json.loads(line) for line in (files / f"{kind}.jsonl").read_text().splitlines()]
        assert [row["text"] for row in rows] == TEXTS
        found.append([(row["predicted_score"], row["predicted_label"], row["predicted_rating"]) for row in rows])
    assert found[0] == found[1] == found[2]
    assert [label for _, label, _ in found[0][:3]] == ["good", "bad", "average"]


def test_parquet_and_csv_come_out_too(files):
    for kind in ("csv", "parquet"):
        assert charcnn("score", files / "reviews.jsonl", "--output", files / f"out.{kind}").returncode == 0
    assert pq.read_table(files / "out.parquet")["text"].to_pylist() == TEXTS
    with open(files / "out.csv", newline="", encoding="utf-8") as file:
        assert [row["text"] for row in csv.DictReader(file)] == TEXTS


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.csv", b"", "no rows"),
        ("header.csv", b"review\nx\n", "has no column 'text'; its columns: review"),
        ("latin.csv", "text\ncafé\n".encode("latin-1"), "is not utf-8"),
        ("broken.jsonl", b'{"text": "a"}\n{"text": \n', "line 2"),
        ("list.jsonl", b"[1, 2]\n", "line 1 holds a list"),
        ("number.jsonl", b'{"text": 5}\n', "is int, not text"),
        ("garbage.parquet", b"PAR1 no", "no Parquet file"),
        ("book.xlsx", b"PK", "does not end in"),
    ],
)
def test_wrong_files_get_one_line_and_exit_code_2(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    done = charcnn("score", tmp_path / name, "--output", tmp_path / "out.csv", "--no-progress")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr and name in done.stderr
    assert not (tmp_path / "out.csv").exists()
