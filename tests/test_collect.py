"""The crawl against the replica with every trouble switched on: with a real Chromium, real Scrapy, and real kills.

A larger one: pytest tests/test_collect.py --companies 200 --reviews 20000
"""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from charcnn.collect.companies import collect_companies, profile_for
from charcnn.collect.items import read_lines, write_parquet
from charcnn.collect.replica import Replica, ReplicaOptions, expected_reviews, ledger, with_every_trouble
from charcnn.collect.reviews import collect_reviews, report_crawl
from charcnn.collect.sites import load_profile
from charcnn.dataset.prepare import prepare


def charcnn(*args: object, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "charcnn", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, **options
    )


def kill(process: subprocess.Popen) -> None:
    "The command and the crawl that it started, at once."
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def lines_in(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.fixture(scope="module")
def replica(pytestconfig):
    size = {name: pytestconfig.getoption(name) for name in ("companies", "reviews")}
    with Replica(with_every_trouble(ReplicaOptions(categories=2, **size))) as served:
        yield served


@pytest.fixture
def companies(replica, tmp_path) -> Path:
    urls = [replica.url + replica.site.path(company) for company in range(replica.site.options.companies)]
    (tmp_path / "companies.csv").write_text("company_url\n" + "\n".join(urls) + "\n")
    return tmp_path / "companies.csv"


@pytest.mark.parametrize("kills", [0, 2])
def test_every_company_is_listed_once_whatever_was_killed(replica, tmp_path, kills):
    file = tmp_path / "companies.csv"
    for number in range(kills):
        running = charcnn("collect", "companies", "--start", replica.url, "--out", file)
        while lines_in(file) < 12 * (number + 1) and running.poll() is None:
            pass
        kill(running)
    before = lines_in(file)
    report = collect_companies(profile_for(load_profile("replica"), replica.url), file, browsers=2, progress=False)
    expected = ledger(replica.site)
    with open(file, newline="") as lines:
        rows = [tuple(row.values()) for row in csv.DictReader(lines)]
    assert len(rows) == len(set(rows)) == expected["listed"] and report.companies == expected["companies"]
    assert {url for _, _, url, _ in rows} == {replica.url + replica.site.path(i) for i in range(expected["companies"])}
    assert kills == 0 or before > 1


def check_against_ledger(replica, folder: Path, companies: Path) -> None:
    report, expected = report_crawl(folder), ledger(replica.site)
    ids = [line["review_id"] for line in read_lines(folder / "reviews.jsonl")]
    assert len(ids) == len(set(ids))
    assert set(ids) == {review["id"] for review in expected_reviews(replica.site)}
    assert report.rejected == {
        reason: len({line["key"] for line in read_lines(folder / "rejected.jsonl")}) for reason in report.rejected
    }
    assert {
        status: count for status, count in report.companies.items() if status not in ("done", "failed")
    } == expected["walls"]
    assert sorted(pq.read_table(folder / "reviews.parquet")["review_id"].to_pylist()) == sorted(ids)


def test_a_crawl_killed_five_times_finds_what_an_uninterrupted_one_finds(replica, companies, tmp_path):
    folder = tmp_path / "raw"
    for number in range(5):
        running = charcnn("collect", "reviews", "--companies", companies, "--out", folder, "--concurrency", 2)
        while (
            lines_in(folder / "reviews.jsonl") < replica.site.options.reviews // 8 * (number + 1)
            and running.poll() is None
        ):
            pass
        kill(running)
    assert lines_in(folder / "reviews.jsonl") < ledger(replica.site)["reviews"]
    done = charcnn("collect", "reviews", "--companies", companies, "--out", folder)
    assert done.wait() == 0
    check_against_ledger(replica, folder, companies)


def test_shards_join_to_the_whole_without_overlap(replica, companies, tmp_path):
    for number in (1, 2, 3):
        collect_reviews(companies, "replica", tmp_path / f"shard-{number}", f"{number}/3", progress=False)
    counts = [report_crawl(tmp_path / f"shard-{number}").reviews for number in (1, 2, 3)]
    joined = write_parquet([tmp_path / f"shard-{number}" for number in (1, 2, 3)], tmp_path / "all.parquet")
    assert min(counts) > 0 and joined == sum(counts) == ledger(replica.site)["reviews"]


@pytest.mark.parametrize("layout", ["2019", "microdata"])
def test_another_markup_is_another_profile(tmp_path, layout):
    with Replica(ReplicaOptions(companies=12, reviews=200, layout=layout)) as replica:
        profile = profile_for(load_profile(f"replica-{layout}"), replica.url)
        assert collect_companies(profile, tmp_path / "companies.csv", progress=False).companies == 12
        report = collect_reviews(tmp_path / "companies.csv", f"replica-{layout}", tmp_path / "raw", progress=False)
    assert report.reviews == 200 and report.companies == {"done": 12}


def test_reviews_become_a_dataset_without_a_touch(replica, companies, tmp_path):
    collect_reviews(companies, "replica", tmp_path / "raw", progress=False)
    from_lines = prepare([tmp_path / "raw/reviews.jsonl"], tmp_path / "a", progress=False)
    from_parquet = prepare([tmp_path / "raw/reviews.parquet"], tmp_path / "b", progress=False)
    assert from_lines.num_rows == from_parquet.num_rows and from_lines["train"].num_rows > 500
    assert set(from_lines["train"]["source"]) == {"replica"} and from_lines["train"]["company"][0]
    assert json.loads((tmp_path / "a/report.json").read_text())["dropped"].keys() <= {"duplicate"}


def test_robots_and_politeness_hold_by_default(companies, tmp_path):
    politeness = load_profile("trustpilot").politeness
    assert (
        politeness.obey_robots and politeness.delay >= 1 and politeness.concurrency == 1 and politeness.cache_days > 0
    )
    assert "charcnn" in politeness.user_agent and "Mozilla" not in politeness.user_agent


class Door(BaseHTTPRequestHandler):
    "A site with each thing that made crawls endless, or ended them too early."

    state: ClassVar = {"wall": True, "grown": False, "hits": Counter()}

    def do_GET(self):
        path, _, query = self.path.partition("?")
        number = int(query.removeprefix("page=") or 1)
        self.state["hits"][path] += 1
        item = "<article id={0}><b>4</b><p>text {0}</p></article>"
        following = f'<a class=next href="{path}?page={number + 1}">more</a>'
        body, status = "".join(item.format(f"{path[1:]}-{number}{letter}") for letter in "ab") + following, 200
        if path == "/robots.txt":
            body = "User-agent: *\nAllow: /\n"
        elif path.startswith("/denied") or (path == "/captcha" and self.state["wall"]):
            body, status = "<div id=captcha></div>", 403 if path.startswith("/denied") else 200
        elif path == "/captcha":
            body = item.format("c")
        elif path == "/cycle":
            body = item.format(f"cycle-{number}") + f'<a class=next href="/cycle?page={3 - number}">more</a>'
        elif path == "/shop" and self.state["grown"] and number == 1:
            body = item.format("newest") + body
        elif path == "/page-one-for-ever":
            body = item.format("one") + following
        elif path == "/missing-in-the-middle" and number == 2:
            body, status = "gone", 404
        elif number == 3:
            body = body.replace(following, "")
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<h1>Acme</h1>{body}".encode())

    def log_message(self, *_):
        pass


PROFILE = """name: door
listings: {start: 'http://x.example', categories: {css: a}, ready: body, cards: {css: a}, company_url: {xpath: '@href'},
  company: {css: a}, next_page: {css: a.next}}
reviews:
  items: {css: article}
  fields: {review_id: {xpath: '@id'}, text: {css: p}, rating: {css: 'b::text'}}
  company: {company: {css: h1}}
  next_page: {css: 'a.next::attr(href)'}
walls: {captcha: ['#captcha']}
politeness: {delay: 0, concurrency: 1, retries: 0, cache_days: 7}
"""


@pytest.fixture
def door(tmp_path):
    Door.state.update(wall=True, grown=False, hits=Counter())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "door.yaml").write_text(PROFILE)

    def crawl(*paths: str, **options):
        urls = [f"http://127.0.0.1:{server.server_port}/{path}" for path in paths]
        (tmp_path / "companies.csv").write_text("company_url\n" + "\n".join(urls) + "\n")
        return collect_reviews(
            tmp_path / "companies.csv", tmp_path / "door.yaml", tmp_path / "raw", progress=False, **options
        )

    yield crawl
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("path", "reviews", "pages"), [("cycle", 2, 2), ("page-one-for-ever", 1, 2), ("shop", 6, 3)])
def test_a_crawl_ends_where_nothing_new_comes(door, path, reviews, pages):
    report = door(path)
    assert (report.reviews, report.companies, Door.state["hits"][f"/{path}"]) == (reviews, {"done": 1}, pages)


def test_a_page_that_is_missing_in_the_middle_leaves_the_company_unfinished(door):
    report = door("missing-in-the-middle")
    assert (report.reviews, report.companies, report.unfinished) == (2, {"failed": 1}, 1)


def test_a_site_that_closes_its_door_is_left_alone_and_nothing_is_final(door):
    report = door(*(f"denied-{number}" for number in range(40)))
    assert sum(Door.state["hits"].values()) < 15 and report.unfinished == 40 and not report.reviews


def test_a_wall_is_asked_again_when_somebody_says_so_and_never_cached(door):
    assert door("captcha").companies == {"captcha": 1}
    Door.state["wall"] = False
    assert door("captcha").companies == {"captcha": 1}
    assert door("captcha", again=["captcha"]).companies == {"done": 1}


def test_a_finished_crawl_grows_by_what_is_new(door):
    assert door("shop").reviews == 6
    Door.state.update(grown=True, hits=Counter())
    assert door("shop").reviews == 6 and not Door.state["hits"]["/shop"]
    report = door("shop", new=True)
    assert (report.reviews, report.unfinished, Door.state["hits"]["/shop"]) == (
        7,
        0,
        2,
    )  # the second page has nothing new


def test_an_incomplete_crawl_ends_with_exit_code_3(door, tmp_path):
    door("missing-in-the-middle")
    command = [sys.executable, "-m", "charcnn", "collect", "reviews", "--companies", tmp_path / "companies.csv"]
    command += ["--site", tmp_path / "door.yaml", "--out", tmp_path / "raw", "--no-progress"]
    assert subprocess.run(command, capture_output=True).returncode == 3
    command = [
        sys.executable,
        "-m",
        "charcnn",
        "collect",
        "status",
        tmp_path / "raw",
        "--companies",
        tmp_path / "companies.csv",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3 and "1 companies are unfinished" in done.stdout
