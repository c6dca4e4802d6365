"""A review that was acknowledged is still there after the process was killed."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("duckdb")

from charcnn.app.reviews import Review, StoreBusy
from charcnn.app.store import ReviewStore

WRITER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from charcnn.app.reviews import Review
from charcnn.app.store import ReviewStore

def write(n):
    id = store.add(Review("Acme", f"{round} {n} " + "long review " * 50, n % 5 + 1))
    sys.stdout.write(f"{id} {round} {n}\\n")  # one write a line: threads must not mix them
    sys.stdout.flush()

path, round = sys.argv[1:]
store = ReviewStore(path)
with ThreadPoolExecutor(4) as threads:
    list(threads.map(write, range(100_000)))
"""


def test_no_acknowledged_review_is_lost_when_the_process_is_killed_twenty_times(tmp_path):
    path, acknowledged = tmp_path / "reviews.duckdb", {}
    for round in range(20):
        child = subprocess.Popen([sys.executable, "-c", WRITER, path, str(round)], stdout=subprocess.PIPE, text=True)
        lines = [child.stdout.readline() for _ in range(5 + round)]  # killed while it writes, each time later
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()  # acknowledged between the last line read and the kill
        assert child.wait() == -signal.SIGKILL
        lines += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        for line in lines:
            id, text = line.rstrip("\n").split(" ", 1)
            assert int(id) not in acknowledged, "an id was given out twice"
            acknowledged[int(id)] = text
    with ReviewStore(path) as store:
        rows = {}
        for number in range(1, store.page(size=1000).pages + 1):
            rows |= {row["id"]: row["review"] for row in store.page(number, 1000).rows}
    assert len(acknowledged) >= 20 * 5
    for id, text in acknowledged.items():
        assert rows[id].startswith(f"{text} "), f"review {id} was acknowledged and is lost"


def test_readers_see_whole_rows_while_threads_write(tmp_path):
    with ReviewStore(tmp_path / "reviews.duckdb") as store, ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(store.add, Review("Acme", f"Review {n}", n % 5 + 1)) for n in range(120)]
        pages = [threads.submit(store.page, 1, 50) for _ in range(30)]
        exports = [threads.submit(store.export, tmp_path / f"{n}.parquet") for n in range(3)]
        assert sorted(write.result() for write in writes) == list(range(1, 121))
        for page in (page.result() for page in pages):
            assert [row["id"] for row in page.rows] == list(range(page.total, max(page.total - 50, 0), -1))
        assert all(export.result() <= 120 for export in exports)
        assert len(store) == 120


@pytest.mark.skipif(not hasattr(os, "fork"), reason="file locks of other systems are not tried here")
def test_a_second_process_cannot_open_the_store_and_the_first_goes_on(tmp_path):
    path = tmp_path / "reviews.duckdb"
    child = subprocess.Popen([sys.executable, "-c", WRITER, path, "0"], stdout=subprocess.PIPE, text=True)
    try:
        child.stdout.readline()
        with pytest.raises(StoreBusy, match=r"reviews\.duckdb: another process has this database open"):
            ReviewStore(path)
        assert child.stdout.readline()
    finally:
        child.kill()
        child.communicate()
