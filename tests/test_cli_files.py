"""`charcnn score` on files: every format, many files, several processes, and input that is wrong."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys

import psutil
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
        ("empty.csv", b"", "it is empty"),
        ("rows.csv", b"text,stars\n", "no rows"),
        ("header.csv", b"review\nx\n", "has no column 'text'; its columns: review"),
        ("noise.csv", bytes(range(256)) * 9, "no text in an encoding that can be told"),
        ("broken.jsonl", b'{"text": "a"}\n{"text": \n', "line 2"),
        ("list.jsonl", b"[1, 2]\n", "line 1 holds a list"),
        ("number.jsonl", b'{"text": 5}\n', "is int, not text"),
        ("garbage.parquet", b"PAR1 no", "no Parquet file"),
        ("book.xlsx", b"PK", "it is no workbook"),
        ("book.docx", b"PK", "does not end in"),
    ],
)
def test_wrong_files_get_one_line_and_exit_code_2(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    done = charcnn("score", tmp_path / name, "--output", tmp_path / "out.csv", "--no-progress")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr and name in done.stderr
    assert not (tmp_path / "out.csv").exists()


def test_files_as_people_have_them_score_the_same(files):
    "Semicolons, cp1252, gzip, JSON documents: what was found out is said."
    texts = [f"Très bon café {number}, mais le serveur était fâché" for number in range(30)]
    lines = ["id;text", *(f'{i};"{text}"' for i, text in enumerate(texts))]
    (files / "a.csv").write_bytes("\n".join(lines).encode("cp1252"))
    (files / "b.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    (files / "c.json").write_text(json.dumps([{"id": i, "text": text} for i, text in enumerate(texts)]))
    done = charcnn("score", *(files / name for name in ("a.csv", "b.csv.gz", "c.json")), "--output", files / "scored")
    assert done.returncode == 0, done.stderr
    assert "a.csv: read as cp1252" in done.stderr and "b.csv.gz: separated by ';'" in done.stderr
    tables = [(files / "scored" / name).read_text(encoding="utf-8") for name in ("a.csv", "b.csv")]
    scored = [list(csv.DictReader(table.splitlines())) for table in tables]
    scored.append([json.loads(line) for line in (files / "scored" / "c.jsonl").read_text().splitlines()])
    found = [[(row["text"], float(row["predicted_score"])) for row in rows] for rows in scored]
    assert [text for text, _ in found[0]] == texts and found[0] == found[1] == found[2]


def many_files(folder, files: int, rows: int) -> list[str]:
    texts = [f"the room number {number} was {'awful' if number % 3 else 'lovely'}" for number in range(files * rows)]
    folder.mkdir()
    for number in range(files):
        lines = [json.dumps({"id": i, "text": texts[i]}) for i in range(number * rows, (number + 1) * rows)]
        (folder / f"part-{number:02}.jsonl").write_text("\n".join(lines))
    return texts


def test_processes_keep_the_rows_in_order(files):
    texts = many_files(files / "raw", 3, 5000)
    for workers in (1, 2):
        done = charcnn("score", files / "raw", "--output", files / str(workers), "--workers", workers, "--no-progress")
        assert done.returncode == 0 and "15,000 rows of 3 files" in done.stdout, done.stderr
    names = sorted(file.name for file in (files / "1").glob("*.jsonl"))
    one, two = ([line for name in names for line in (files / w / name).read_text().splitlines()] for w in "12")
    assert one == two
    assert [json.loads(line)["text"] for line in two] == texts


@pytest.mark.parametrize("victim", ["the command", "a worker"])
def test_a_killed_run_goes_on_with_the_next_file(files, victim):
    many_files(files / "raw", 6, 4000)
    command = [sys.executable, "-c", "from charcnn.cli import main; main()", "score", str(files / "raw")]
    command += ["--output", str(files / "scored"), "--workers", "2", "--no-progress"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while not (files / "scored" / "part-00.jsonl").is_file():
        assert process.poll() is None, process.stderr.read()
    there = psutil.Process(process.pid)
    workers = [child for child in there.children() if "spawn_main" in " ".join(child.cmdline())]
    (there if victim == "the command" else workers[0]).send_signal(signal.SIGKILL)
    code = process.wait(timeout=120)
    if victim == "a worker":
        assert code == 3 and "the same command goes on" in process.stderr.read()
    for worker in workers:  # of a killed command, they end when they find nobody to ask them
        worker.wait(timeout=60)
    done = sorted(file.name for file in (files / "scored").glob("*.jsonl"))
    assert 1 <= len(done) < 6
    for name in done:
        assert len((files / "scored" / name).read_text().splitlines()) == 4000
    before = {name: (files / "scored" / name).stat().st_mtime_ns for name in done}
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and f"{len(done)} were done before" in again.stdout, again.stderr
    assert len(list((files / "scored").glob("*.jsonl"))) == 6
    assert before == {name: (files / "scored" / name).stat().st_mtime_ns for name in done}


def test_memory_stays_flat_over_many_rows(files):
    "Twenty times the rows may not take twice the memory: what is read is scored, written and forgotten."
    script = (
        "import resource, sys; from charcnn import Scorer; from charcnn.files import score_file\n"
        "scorer = Scorer(); scorer._run = lambda ids, output='': __import__('numpy').full((len(ids), 5), 0.2, 'float32')\n"
        "score_file(scorer, sys.argv[1], sys.argv[2], progress=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    peaks = []
    for rows in (10_000, 200_000):
        with open(files / "rows.csv", "w") as file:
            file.write("id,text\n")
            file.writelines(f"{i},the room was lovely and the breakfast was not\n" for i in range(rows))
        done = subprocess.run(
            [sys.executable, "-c", script, files / "rows.csv", files / "out.csv"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + 60, peaks
