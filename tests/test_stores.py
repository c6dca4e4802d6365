"""The store of one page and the store that several pages share keep the same promises."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet
import pytest

from charcnn.app.admin import count_ratings
from charcnn.app.explore import Explorer
from charcnn.app.postgres import PostgresStore
from charcnn.app.queries import Filter
from charcnn.app.reviews import Review, ReviewError, StoreError
from charcnn.app.store import ReviewStore

INITDB = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
KEY = "k" * 32


class Server:
    "A PostgreSQL of this system, in a folder of its own."

    def __init__(self, folder: Path):
        self.folder, self.bin = folder, Path(INITDB).resolve().parent
        self.account = {"user": "postgres"} if os.getuid() == 0 else {}
        if self.account:
            shutil.chown(folder, "postgres")
        self.run("initdb", "-D", folder / "data", "-U", "charcnn", "--auth=trust", "--encoding=UTF8")
        self.url = f"postgresql://charcnn@/postgres?host={folder}&port=5432"
        self.start()

    def run(self, name: str, *arguments: object) -> None:
        command = [str(self.bin / name), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=60, **self.account)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        options = f"-k {self.folder} -p 5432 -c listen_addresses="
        self.run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-o", options, "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        self.run("pg_ctl", "-D", self.folder / "data", "-m", how, "-w", "stop")


@pytest.fixture(scope="module")
def server():
    if not INITDB:
        pytest.skip("no PostgreSQL of the system here")
    with tempfile.TemporaryDirectory(prefix="charcnn-postgres-") as folder:
        found = Server(Path(folder))
        yield found
        found.stop()


@pytest.fixture(params=["file", "postgres"])
def store(request, tmp_path):
    if request.param == "file":
        with ReviewStore(tmp_path / "reviews.duckdb", ip_key=KEY) as found:
            yield found
        return
    with PostgresStore(request.getfixturevalue("server").url, ip_key=KEY) as found:
        with found._connection("begin") as connection:
            connection.execute("TRUNCATE reviews RESTART IDENTITY")
        yield found


ODD = 'Süß – \U0001f600 \0 \ud800 it\'s <b>"bold"</b>; DROP TABLE reviews; -- 100%\n=1+1'


def test_what_was_written_is_read_as_it_was_and_addresses_are_hashed(store):
    id = store.add(Review("Acme", ODD, 4, 3, 0.62, "average", "charcnn", "Firefox", "203.0.113.7"))
    row = store.get(id)
    assert row["review"] == ODD.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
    assert (row["brand"], row["rating"], row["suggested_rating"], row["label"]) == ("Acme", 4, 3, "average")
    assert abs(row["score"] - 0.62) < 1e-6 and len(row["ip"]) == 32 and row["created_at"].tzinfo
    assert store.page().rows == [row] and store.get(id + 1) is None and len(store) == 1
    with pytest.raises(ReviewError, match="blank"):
        store.add(Review("Acme", " ", 4))


def test_pages_in_every_order_hold_each_review_once(store):
    for n in range(1, 24):
        store.add(Review(("Acme", "Zenith")[n % 2], f"Review {n}", n % 5 + 1, score=None if n % 4 == 0 else n / 30))
    for order in ("newest", "oldest", "highest-rating", "lowest-rating", "highest-score", "lowest-score"):
        page = store.page(5, order=order)
        seen = [row["id"] for row in page.rows]
        while page.next:
            page = store.page(5, order=order, cursor=page.next)
            seen += [row["id"] for row in page.rows]
        assert sorted(seen) == list(range(1, 24)) and page.total == 23, order
        assert store.page(5, order=order, cursor=page.previous).rows[-1]["id"] == seen[-len(page.rows) - 1]
    today = datetime.now(UTC).date()
    assert store.page(which=Filter("Acme", search="REVIEW 1", since=today, until=today)).total == 5  # 1x, even
    assert store.page(which=Filter(since=date(2999, 1, 1))).total == 0 == store.page(which=Filter(search="%")).total


def test_a_request_that_is_sent_again_is_one_review(store):
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(lambda _: store.add(Review("Acme", "Once.", 4, key="a:1")), range(16)))
    assert len(ids) == 1 and len(store) == 1
    with pytest.raises(ReviewError, match="use a new one"):
        store.add(Review("Acme", "Other.", 4, key="a:2"))


def test_reviews_are_corrected_deleted_and_expire(store):
    ids = [store.add(Review("Acme", f"Review {n}", 3, ip=f"203.0.113.{n % 2}")) for n in range(6)]
    assert store.edit(ids[0], 5, "Zenith")["rating"] == 5 and store.get(ids[0])["brand"] == "Zenith"
    for wrong in ({"id": 999, "rating": 4}, {"id": ids[0], "rating": 6}, {"id": ids[0]}):
        with pytest.raises(ReviewError):
            store.edit(**wrong)
    assert store.delete([ids[0], 999]) == 1 and store.delete(ip=store.get(ids[1])["ip"]) == 3
    assert [row["id"] for row in store.page().rows] == [ids[4], ids[2]]
    store.retention_days = 30
    assert store.expire() == 0 and store.expire(datetime.now(UTC) + timedelta(days=31)) == 2


def test_charts_count_what_people_wrote(store):
    for n in range(6):
        store.add(Review(("Acme", "Zenith")[n % 2], f"Review {n}", n % 5 + 1, 3, n / 10))
    said, brands, means, corrected, scores, days = Explorer(store)("", "30 days")
    assert said.startswith("**6** reviews. **17%** of 6 suggestions were accepted, 2 corrected upwards, 3 downwards")
    assert brands["reviews"].tolist() == [3, 3] and means["rating"].round(2).tolist() == [3.0, 2.33]
    assert corrected["reviews"].sum() == scores["reviews"].sum() == days["reviews"].sum() == 6
    with store.fetching() as fetch:
        assert count_ratings(fetch, Filter("Acme"))[2] == (3, 1, 3)


def test_exports_come_back_as_they_were_and_no_formula_runs(store, tmp_path):
    for n, text in enumerate((ODD, "=HYPERLINK(1)", "Fine.")):
        store.add(Review("Acme", text, n + 1))
    texts = [row["review"] for row in reversed(store.page().rows)]
    seen = []
    assert store.export(tmp_path / "r.parquet", progress=lambda *step: seen.append(step), batch_size=2) == 3
    assert seen[-1] == (3, 3)
    table = pyarrow.parquet.read_table(tmp_path / "r.parquet")
    assert table["review"].to_pylist() == texts and table["id"].to_pylist() == [1, 2, 3]
    assert store.export(tmp_path / "r.csv", Filter(rating=2)) == 1 and "'=HYPERLINK" in (tmp_path / "r.csv").read_text()


def test_threads_that_write_and_read_lose_nothing(store):
    with ThreadPoolExecutor(8) as threads:
        writes = [threads.submit(store.add, Review("Acme", f"Review {n}", n % 5 + 1)) for n in range(120)]
        pages = [threads.submit(store.page, 50) for _ in range(20)]
        assert sorted(write.result() for write in writes) == list(range(1, 121))
        assert all(len(page.result().rows) <= 50 for page in pages)
    assert len(store) == 120 and store.problems() == []


WRITER = """
import sys
from charcnn.app.admin import count_ratings
from charcnn.app.explore import Explorer
from charcnn.app.postgres import PostgresStore
from charcnn.app.reviews import Review
with PostgresStore(sys.argv[1], ip="none") as store:
    while True:
        print(store.add(Review("Acme", "long review " * 50, 3)), flush=True)
"""


def test_no_acknowledged_review_is_lost_when_page_or_server_is_killed(server):
    for victim in ("page", "server"):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, server.url], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        said = [child.stdout.readline() for _ in range(30)]
        if victim == "server":
            server.stop()
        child.send_signal(signal.SIGKILL)
        said += [line for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        child.wait()
        if victim == "server":
            server.start()
        with PostgresStore(server.url, ip="none") as store:
            assert all(store.get(int(line)) for line in said)


def test_a_page_says_that_its_database_is_gone_and_goes_on_when_it_is_back(server):
    with PostgresStore(server.url, ip="none") as one, PostgresStore(server.url, ip="none") as other:
        id = one.add(Review("Acme", "Seen by the other page.", 4))
        assert other.get(id)["review"] == "Seen by the other page."
        server.stop()
        one._pool.timeout = 0.5
        assert one.problems() == ["the database does not answer; reviews are refused"]
        with pytest.raises(StoreError):
            one.add(Review("Acme", "Not now.", 4))
        server.start()
        one._pool.timeout = 30
        assert one.add(Review("Acme", "Again.", 4)) > id
