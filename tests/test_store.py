"""What was acknowledged is still there: after a kill, on a full disk, and when a file is damaged."""

import os
import random
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("duckdb")

import duckdb
import httpx

from charcnn.app.journal import Journal
from charcnn.app.reviews import Review, StoreBusy, StoreError
from charcnn.app.segments import segment_files
from charcnn.app.store import ReviewStore, journal_folder
from charcnn.app.upkeep import back_up, check_store, repair, restore

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


def reviews_of(store: ReviewStore) -> dict[int, str]:
    "All reviews, by id."
    found, page = {}, store.page(1000)
    while True:
        found |= {row["id"]: row["review"] for row in page.rows}
        if not page.next:
            return found
        page = store.page(1000, cursor=page.next)


def killed(path: Path, round: int, lines: int) -> dict[int, str]:
    "Kill a process that writes, once it has acknowledged some lines; what it acknowledged."
    child = subprocess.Popen([sys.executable, "-c", WRITER, path, str(round)], stdout=subprocess.PIPE, text=True)
    said = [child.stdout.readline() for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read()  # acknowledged between the last line read and the kill
    assert child.wait() == -signal.SIGKILL
    said += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return {int(line.split(" ", 1)[0]): line.rstrip("\n").split(" ", 1)[1] for line in said}


def assert_kept(acknowledged: dict[int, str], path: Path) -> None:
    with ReviewStore(path) as store:
        rows = reviews_of(store)
    for id, text in acknowledged.items():
        assert rows[id].startswith(f"{text} "), f"review {id} was acknowledged and is lost"


def test_no_acknowledged_review_is_lost_when_the_process_is_killed_twenty_times(tmp_path):
    path, acknowledged = tmp_path / "reviews.duckdb", {}
    for round in range(20):
        now = killed(path, round, 5 + 3 * round)  # killed while it writes, each time later
        assert not acknowledged.keys() & now.keys(), "an id was given out twice"
        acknowledged |= now
    assert len(acknowledged) >= 20 * 5
    assert_kept(acknowledged, path)
    assert not check_store(path).faults


@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_a_log_of_the_database_that_lost_its_end_is_filled_up_and_said(tmp_path, share, caplog):
    path = tmp_path / "reviews.duckdb"
    acknowledged = killed(path, 0, 300)
    log = Path(f"{path}.wal")
    if log.exists():
        os.truncate(log, int(share * log.stat().st_size))
    assert_kept(acknowledged, path)
    assert "lacked the end of the journal" in caplog.text or "was made again" in caplog.text


@pytest.fixture
def closed(tmp_path):
    "A store of twenty reviews, closed in order."
    with ReviewStore(tmp_path / "store.duckdb") as store:
        for n in range(20):
            store.add(Review("Acme", f"Review {n}", n % 5 + 1))
    return store.path


def test_a_changed_byte_anywhere_in_the_journal_is_named_with_its_line(closed):
    (segment,) = segment_files(journal_folder(closed))
    whole = segment.read_bytes()
    for place in random.Random(0).sample(range(len(whole)), 150) + [0, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 0x21
        segment.write_bytes(damaged)
        line = whole[:place].count(b"\n") + 1
        with pytest.raises(StoreError, match=rf"000000000001\.jsonl, line {line}: "):
            Journal(journal_folder(closed), 20)
    segment.write_bytes(whole)
    with ReviewStore(closed) as store:
        assert len(store) == 20


def test_a_changed_byte_anywhere_in_the_database_loses_no_review(tmp_path, closed):
    whole = closed.read_bytes()
    expected = {n + 1: f"Review {n}" for n in range(20)}
    for place in random.Random(0).sample(range(len(whole)), 40):
        damaged = bytearray(whole)
        damaged[place] ^= 0x21
        closed.write_bytes(damaged)
        try:
            with ReviewStore(closed) as store:
                found = reviews_of(store)
        except StoreError as e:
            assert str(closed) in str(e)
            repair(closed)
            with ReviewStore(closed) as store:
                found = reviews_of(store)
        assert found == expected, f"byte {place} was changed, and nobody noticed"


def test_a_journal_that_was_shortened_is_noticed_and_repaired(closed):
    (segment,) = segment_files(journal_folder(closed))
    whole = segment.read_bytes()
    for size in (0, len(whole) // 2, whole.rindex(b"\n", 0, -1) + 1, len(whole) - 10):
        segment.write_bytes(whole[:size])
        with pytest.raises(
            StoreError, match=r"store\.journal.*the journal ends at entry \d+, but the database knows 20"
        ):
            ReviewStore(closed)
        assert check_store(closed).faults
        segment.write_bytes(whole[:size])
        repair(closed)
        with ReviewStore(closed) as store:
            assert reviews_of(store) == {n + 1: f"Review {n}" for n in range(20)}
        (segment,) = segment_files(journal_folder(closed))


def test_a_line_that_was_never_finished_does_not_stop_the_page(closed, caplog):
    (segment,) = segment_files(journal_folder(closed))
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole[:100])
    with ReviewStore(closed) as store:
        assert len(store) == 20 and store.add(Review("Acme", "Fine.", 4)) == 21
    assert "line 21: unfinished" in caplog.text and "put aside" in caplog.text


def test_a_file_copied_between_visitors_is_a_whole_store(tmp_path):
    path = tmp_path / "reviews.duckdb"
    with ReviewStore(path, idle=0.05) as store:
        for n in range(50):
            store.add(Review("Acme", f"Review {n}", n % 5 + 1))
        while Path(f"{path}.wal").exists() or store.database.number < 50:  # the limit on a test's time is the one here
            store._closing.wait(0.02)
        shutil.copy(path, tmp_path / "copy.duckdb")
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as database:
        assert database.execute("SELECT count(*) FROM reviews").fetchall() == [(50,)]


def test_a_backup_of_a_store_in_use_is_a_store(tmp_path):
    path, backup = tmp_path / "reviews.duckdb", tmp_path / "backup"
    child = subprocess.Popen([sys.executable, "-c", WRITER, path, "0"], stdout=subprocess.PIPE, text=True)
    try:
        acknowledged = {}
        for _ in range(5):
            for _ in range(40):
                id, text = child.stdout.readline().rstrip("\n").split(" ", 1)
                acknowledged[int(id)] = text
            back_up(path, backup)
            assert not check_store(path).faults
    finally:
        child.kill()
        child.communicate()
    restore(backup, tmp_path / "other" / "reviews.duckdb")
    assert_kept(acknowledged, tmp_path / "other" / "reviews.duckdb")


FULL = """
import resource, sys
from charcnn.app.reviews import Review, StoreError
from charcnn.app.store import ReviewStore

with ReviewStore(sys.argv[1], ip="none") as store:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit))
    refused = 0
    for n in range(400):
        try:
            print(store.add(Review("Acme", f"0 {n} " + "long review " * 50, 3)), 0, n, flush=True)
        except StoreError as e:
            refused += 1
            assert "cannot be written (File too large); nothing was saved" in str(e) and "long" not in str(e)
            assert "the journal cannot be written; reviews are refused" in store.problems()
    assert refused
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    print(store.add(Review("Acme", f"0 400 " + "long review " * 50, 3)), 0, 400, flush=True)
    while store.problems():
        store._closing.wait(0.02)
"""


def test_a_full_disk_refuses_reviews_and_loses_none(tmp_path):
    path = tmp_path / "reviews.duckdb"
    done = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    acknowledged = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert 50 < len(acknowledged) < 400
    assert_kept({int(id): text for id, text in acknowledged.items()}, path)


DELETER = """
import sys
from charcnn.app.reviews import Review
from charcnn.app.store import ReviewStore

with ReviewStore(sys.argv[1], ip="none") as store:
    while True:
        kept, private = (store.add(Review("Acme", text, 3)) for text in ("kept for good", "private words"))
        store.delete([private])
        print(kept, private, flush=True)
        store.compact()
"""


def test_deleted_texts_are_gone_from_every_file_also_after_kills_in_between(tmp_path):
    path, kept, private = tmp_path / "reviews.duckdb", set(), set()
    for round in range(8):
        child = subprocess.Popen([sys.executable, "-c", DELETER, path], stdout=subprocess.PIPE, text=True)
        lines = [child.stdout.readline() for _ in range(1 + round % 3)]
        child.send_signal(signal.SIGKILL)
        lines += [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        child.wait()
        kept |= {int(line.split()[0]) for line in lines}
        private |= {int(line.split()[1]) for line in lines}
    with ReviewStore(path) as store:
        store.compact()
        rows = reviews_of(store)
    assert kept <= rows.keys() and not private & rows.keys()
    acknowledged_only = [id for id, text in rows.items() if text == "private words"]
    assert len(acknowledged_only) <= 8  # written, but the deletion was not acknowledged before the kill
    with ReviewStore(path) as store:
        store.delete(acknowledged_only)
        store.compact()
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert [file for file in files if b"private words" in file.read_bytes()] == []
    assert not check_store(path).faults


def test_a_page_that_cannot_keep_reviews_says_so(serve):
    served = serve(CHARCNN_ADMIN_PASSWORD="secret")
    review = {"brand": "IKEA", "review": "private words", "rating": 3}
    with httpx.Client(base_url=f"{served.url}/api/v1", auth=("admin", "secret"), timeout=30) as api:
        assert api.post("/reviews", json=review).status_code == 201
        assert api.get("/health").json()["status"] == "ok"
        served.store.unlink()
        while not served.store.exists() or api.get("/health").status_code != 200:
            pass  # the database is made again from the journal
        assert [row["review"] for row in api.get("/reviews").json()["reviews"]] == ["private words"]
        segment_files(journal_folder(served.store))[-1].unlink()
        refused = api.post("/reviews", json=review)
        assert refused.status_code == 503 and "nothing was saved" in refused.text
        health = api.get("/health")
        assert health.status_code == 503 and "the journal cannot be written" in health.json()["problems"][0]
    served.stop()
    log = served.process.stdout.read()
    assert "000000000001.jsonl: was removed or replaced" in log and "private" not in log and "Traceback" not in log


def test_readers_see_whole_rows_while_threads_write(tmp_path):
    with ReviewStore(tmp_path / "reviews.duckdb") as store, ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(store.add, Review("Acme", f"Review {n}", n % 5 + 1)) for n in range(120)]
        pages = [threads.submit(store.page, 50) for _ in range(30)]
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
