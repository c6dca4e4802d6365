"""The crawl against the replica with every trouble switched on: with a real Chromium, real Scrapy, and real kills.

A larger one: pytest tests/test_collect.py --companies 200 --reviews 20000
"""

import csv
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import psutil
import pyarrow.parquet as pq
import pytest

from charcnn.collect.companies import collect_companies, profile_for
from charcnn.collect.content import ReplicaOptions, expected_reviews, ledger, with_every_trouble
from charcnn.collect.items import read_lines, write_parquet
from charcnn.collect.replica import Replica
from charcnn.collect.reviews import collect_reviews, report_crawl
from charcnn.collect.sites import load_profile
from charcnn.dataset.prepare import prepare


def charcnn(*args: object, **options) -> subprocess.Popen:
    command = [sys.executable, "-m", "charcnn", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, **options
    )


def kill(process: subprocess.Popen) -> None:
    "The command alone; what it started has to notice."
    process.kill()
    process.wait()


def lines_in(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def wait_for(happened: Callable[[], bool], seconds: float = 60) -> None:
    "Look often, and leave the processor to those who work."
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.02)


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
        wait_for(lambda many=12 * (number + 1), run=running: lines_in(file) >= many or run.poll() is not None)
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
    kept = {line["review_id"]: line for line in read_lines(folder / "reviews.jsonl")}
    assert len(kept) == sum(1 for _ in read_lines(folder / "reviews.jsonl"))
    known = {review["id"]: review for review in expected_reviews(replica.site)}
    assert kept.keys() == known.keys()
    for name, line in kept.items():
        assert (line["rating"], line["language"]) == (known[name]["rating"], known[name]["language"])
        assert line["text"].split() == known[name]["text"].split() and line["published_at"][:2] == "20"
    assert report.rejected == expected["rejected"] and report.companies == expected["ends"]
    assert sorted(pq.read_table(folder / "reviews.parquet")["review_id"].to_pylist()) == sorted(kept)


def test_a_crawl_killed_five_times_finds_what_an_uninterrupted_one_finds(replica, companies, tmp_path):
    folder = tmp_path / "raw"
    for number in range(5):
        running = charcnn("collect", "reviews", "--companies", companies, "--out", folder, "--concurrency", 2)
        many = replica.site.options.reviews // 8 * (number + 1)
        wait_for(lambda many=many, run=running: lines_in(folder / "reviews.jsonl") >= many or run.poll() is not None)
        kill(running)
    assert lines_in(folder / "reviews.jsonl") < ledger(replica.site)["reviews"]
    done = charcnn("collect", "reviews", "--companies", companies, "--out", folder)
    assert done.wait() == 3  # some pages are missing
    check_against_ledger(replica, folder, companies)


def test_shards_join_to_the_whole_without_overlap(replica, companies, tmp_path):
    for number in (1, 2, 3):
        collect_reviews(companies, "replica", tmp_path / f"shard-{number}", f"{number}/3", progress=False)
    counts = [report_crawl(tmp_path / f"shard-{number}").reviews for number in (1, 2, 3)]
    joined = write_parquet([tmp_path / f"shard-{number}" for number in (1, 2, 3)], tmp_path / "all.parquet")
    assert min(counts) > 0 and joined == sum(counts) == ledger(replica.site)["reviews"]


@pytest.mark.parametrize("layout", ["2019", "microdata"])
def test_another_markup_is_another_profile(tmp_path, layout):
    with Replica(ReplicaOptions(companies=12, reviews=400, layout=layout, cycle=0.5, duplicates=0.3)) as replica:
        profile = profile_for(load_profile(f"replica-{layout}"), replica.url)
        assert collect_companies(profile, tmp_path / "companies.csv", progress=False).companies == 12
        report = collect_reviews(tmp_path / "companies.csv", f"replica-{layout}", tmp_path / "raw", progress=False)
    assert report.reviews == 400 and report.companies == {"done": 12}


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

    state: ClassVar = {"wall": True, "grown": False, "hits": Counter(), "pages": Counter()}

    def do_GET(self):
        path, _, query = self.path.partition("?")
        number = int(query.removeprefix("page=") or 1)
        self.state["hits"][path] += 1
        item = "<article id={0}><b>4</b><p>text {0}</p></article>"
        following = f'<a class=next href="{path}?page={number + 1}">more</a>'
        body, status = "".join(item.format(f"{path[1:]}-{number}{letter}") for letter in "ab") + following, 200
        if path == "/robots.txt":
            body = "User-agent: *\nDisallow: /private\n"
        elif path.startswith("/categories"):
            body, status = self.categories(path, number), 500 if path.endswith("broken") else 200
            self.state["pages"][self.path] += 1
        elif path == "/counted":
            body = body.replace(following, "<a class=last>3</a>") if number < 4 else ""
        elif path == "/french":
            text = "Très bon service, la livraison était rapide et je recommande cette boutique."
            body = item.format("a").replace("text a", text)
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
        self.wfile.write((body if path == "/robots.txt" else f"<h1>Acme</h1>{body}").encode())

    def categories(self, path: str, number: int) -> str:
        "Every page links to all categories; one listing has its shops in a JSON document, the other in cards."
        kind = path.removeprefix("/categories").strip("/")
        links = "".join(f'<a href="/categories/{name}">{name}</a>' for name in ("pets", "cars", "broken"))
        links += f'<a href="/categories/{kind}?sort=new">newest</a><a href="/review/recent.example">Reviews 2</a>'
        if not kind:
            return links
        shop = f"{kind}{number}.example"
        card = f'<a class=card href="/review/{shop}#logo"><img></a><a class=card href="/review/{shop}"><b>{kind} {number}</b></a>'
        data = json.dumps({"shops": [{"site": shop, "name": f"{kind} {number}"}]})
        more = f'<a class=more href="/categories/{kind}?page=2">more</a>'  # the second page leads to itself
        return links + (card if kind == "pets" else f"<script id=data type=x>{data}</script>") + more

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

    crawl.url = f"http://127.0.0.1:{server.server_port}"
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


def command(*args: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "charcnn", "collect", *map(str, args)], capture_output=True, text=True)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_crawl_that_is_ended_writes_what_it_has_and_goes_on_later(companies, tmp_path, replica, kind):
    folder = tmp_path / "raw"
    args = ("collect", "reviews", "--companies", companies, "--out", folder, "--concurrency", 1)
    running = charcnn(*args)
    wait_for(lambda: lines_in(folder / "companies.jsonl") >= 3)
    running.send_signal(kind)
    said = running.communicate(timeout=60)[0]
    kept = {line["review_id"] for line in read_lines(folder / "reviews.jsonl")}
    assert running.returncode == 3 and "stopped" in said and "unfinished" in said
    assert set(pq.read_table(folder / "reviews.parquet")["review_id"].to_pylist()) == kept
    assert 0 < len(kept) < ledger(replica.site)["reviews"]
    running = charcnn(*args[:-2])
    running.communicate()
    check_against_ledger(replica, folder, companies)


def test_a_killed_command_takes_its_crawler_with_it(companies, tmp_path):
    folder = tmp_path / "raw"
    running = charcnn("collect", "reviews", "--companies", companies, "--out", folder, "--concurrency", 1)
    wait_for(lambda: lines_in(folder / "reviews.jsonl") > 20)
    crawler = psutil.Process(int((folder / ".pid").read_text()))
    second = command("reviews", "--companies", companies, "--out", folder)
    assert second.returncode == 2 and f"process {crawler.pid}" in second.stderr
    kill(running)
    assert crawler.pid != running.pid and not psutil.wait_procs([crawler], timeout=10)[1]


def test_a_full_disk_stops_the_crawl_and_loses_nothing(replica, companies, tmp_path):
    folder = tmp_path / "raw"
    running = charcnn(
        "collect", "reviews", "--companies", companies, "--out", folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY)),
    )  # fmt: skip
    said = running.communicate()[0]
    assert running.returncode == 3 and len([line for line in said.splitlines() if "make room" in line]) == 1
    assert 0 < (folder / "reviews.jsonl").stat().st_size <= 100_000
    charcnn("collect", "reviews", "--companies", companies, "--out", folder).communicate()
    check_against_ledger(replica, folder, companies)


def test_robots_txt_is_obeyed_by_requests_that_wait_for_it(tmp_path):
    with Replica(ReplicaOptions(companies=16, reviews=16, forbidden=0.5)) as replica:
        urls = [replica.url + replica.site.path(company) for company in range(16)]
        (tmp_path / "companies.csv").write_text("company_url\n" + "\n".join(urls) + "\n")
        report = collect_reviews(tmp_path / "companies.csv", "replica", tmp_path / "raw", progress=False)
        assert report.companies == ledger(replica.site)["ends"] and report.companies["robots"] > 3


def test_stars_since_and_limit_bring_what_was_asked_for(tmp_path):
    options = ReplicaOptions(companies=4, reviews=400, foreign=0.2, filtered=True)
    with Replica(options) as replica:
        site = replica.site
        (tmp_path / "companies.csv").write_text(
            "\n".join(["company_url", *(replica.url + site.path(i) for i in range(4))])
        )

        def crawl(folder: str, **asked) -> list[dict]:
            report = collect_reviews(tmp_path / "companies.csv", "replica", tmp_path / folder, progress=False, **asked)
            assert report.unfinished == 0
            return list(read_lines(tmp_path / folder / "reviews.jsonl"))

        threes = crawl("threes", stars=[3])
        every = [site.review(company, number) for company in range(4) for number in range(site.review_count(company))]
        assert {line["review_id"] for line in threes} == {review["id"] for review in every if review["rating"] == 3}
        few = crawl("few", limit=5)
        assert sorted(Counter(line["company_url"] for line in few).values()) == [5] * 4
        assert len(crawl("few")) == 400  # everything is more than five of each
        late = crawl("late", since="2024-06-01")
        dates = {review["id"]: review["dates"]["publishedDate"] for review in every}
        assert {line["review_id"] for line in late} == {name for name, day in dates.items() if day >= "2024-06-01"}
    report = report_crawl(tmp_path / "late")
    assert report.short and all("--since 2024-06-01" in text for text in report.short.values())


def test_a_site_that_is_down_is_left_alone_and_the_crawl_is_incomplete(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        urls = [f"http://127.0.0.1:{nobody.getsockname()[1]}/{number}" for number in range(30)]
    (tmp_path / "companies.csv").write_text("company_url\n" + "\n".join(urls) + "\n")
    (tmp_path / "door.yaml").write_text(PROFILE)
    said = command(
        "reviews",
        "--companies",
        tmp_path / "companies.csv",
        "--site",
        tmp_path / "door.yaml",
        "--out",
        tmp_path / "raw",
    )
    assert said.returncode == 3 and "is the site down?" in said.stdout and "30 companies are unfinished" in said.stdout
    assert lines_in(tmp_path / "raw/companies.jsonl") < 15
    assert command("join", tmp_path / "raw", tmp_path / "none", "--out", tmp_path / "all.parquet").returncode == 2
    assert not (tmp_path / "all.parquet").exists()


def test_a_mended_profile_asks_again_for_what_failed_and_needs_no_network_for_kept_pages(door, tmp_path):
    good = (tmp_path / "door.yaml").read_text()
    (tmp_path / "door.yaml").write_text(
        good.replace("items: {css: article}", "items: {css: section}").replace("{css: h1}", "{css: h2}")
    )
    assert door("shop", "cycle", keep_pages=True).companies == {"unreadable": 2}
    (tmp_path / "door.yaml").write_text(good.replace("'b::text'", "'i::text'"))
    report = door("shop", "cycle", keep_pages=True)
    assert (report.reviews, report.changed, sum(report.rejected.values())) == (0, 2, 8)
    Door.state["hits"].clear()
    (tmp_path / "door.yaml").write_text(good)
    report = door("shop", "cycle", keep_pages=True)
    assert (report.reviews, report.rejected, report.unfinished, report.changed) == (8, {}, 0, 2)
    assert not Door.state["hits"]
    said = command(
        "saved", tmp_path / "raw/pages", "--site", tmp_path / "door.yaml", "--out", tmp_path / "again", "--no-progress"
    )
    assert said.stdout.startswith("8 reviews"), said


@pytest.mark.parametrize(
    ("paging", "path", "reviews"),
    [
        ("page_parameter: page", "counted", 6),
        ("page_parameter: page\n  page_count: {css: 'a.last::text'}", "counted", 6),
        ("", "counted", 2),
    ],
)
def test_pages_are_counted_to_their_end(door, tmp_path, paging, path, reviews):
    (tmp_path / "door.yaml").write_text(PROFILE.replace("  next_page: {css: 'a.next::attr(href)'}\n", f"  {paging}\n"))
    report = door(path)
    assert (report.reviews, report.companies) == (reviews, {"done": 1})


def test_an_address_is_tried_as_politely_as_a_crawl(door, tmp_path):
    url = f"{door.url}/shop"
    said = command("try", url, "--site", tmp_path / "door.yaml")
    assert said.returncode == 0 and "2 found, 2 kept" in said.stdout and "page=2" in said.stdout
    assert command("try", url.replace("shop", "captcha"), "--site", tmp_path / "door.yaml").returncode == 3
    closed = command("try", url.replace("shop", "private"), "--site", tmp_path / "door.yaml")
    assert closed.returncode == 3 and closed.stdout.startswith("robots") and not Door.state["hits"]["/private"]


def test_the_language_is_of_the_text_and_not_of_the_site(door, tmp_path):
    (tmp_path / "door.yaml").write_text(PROFILE)
    door("french")
    assert {line["language"] for line in read_lines(tmp_path / "raw/reviews.jsonl")} == {"fr"}


LISTINGS = """listings:
  start: {url}/categories
  categories: {{css: 'a[href^="/categories/"]:not([href*="?"])::attr(href)'}}
  sub_categories: {{css: 'a[href^="/categories/"]:not([href*="?"])::attr(href)'}}
  ready: body
  document: {{css: '#data::text'}}
  cards: [{{json: shops}}, {{css: a.card}}]
  company_url: [{{json: site, format: '/review/{{}}'}}, {{xpath: '@href'}}]
  company: [{{json: name}}, {{css: b}}]
  next_page: {{css: 'a.more::attr(href)'}}
"""


def test_companies_are_listed_in_their_own_category_and_every_page_is_read_once(door, tmp_path):
    url = door.url
    rest = PROFILE[PROFILE.index("reviews:") :].replace("reviews:", LISTINGS.format(url=url) + "reviews:", 1)
    (tmp_path / "listed.yaml").write_text("name: listed\n" + rest)
    Door.state["hits"].clear()
    args = ("companies", "--site", tmp_path / "listed.yaml", "--out", tmp_path / "listed.csv", "--no-progress")
    said = command(*args)
    assert said.returncode == 3 and "/categories/broken" in said.stdout  # a page was given up
    with open(tmp_path / "listed.csv", newline="") as lines:
        rows = [
            (row["category"], row["company_url"].removeprefix(url), row["company"]) for row in csv.DictReader(lines)
        ]
    shops = [(kind, f"/review/{kind}{page}.example", f"{kind} {page}") for kind in ("pets", "cars") for page in (1, 2)]
    assert sorted(rows) == sorted(shops)
    pages = [f"/categories/{kind}{page}" for kind in ("pets", "cars") for page in ("", "?page=2")]
    assert [Door.state["pages"][page] for page in pages] == [1] * 4


class Proxy(BaseHTTPRequestHandler):
    "Answers in the place of a site whose name nobody knows."

    asked: ClassVar = []

    def do_GET(self):
        self.asked.append(self.path)
        page = "<h1>Acme</h1><a class=card href=/shop><b>Acme</b></a><article id=a><b>4</b><p>text</p></article>"
        body, kind = ("User-agent: *", "text/plain") if self.path.endswith("robots.txt") else (page, "text/html")
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def test_a_proxy_of_the_environment_is_used_by_the_crawl_and_the_browser(tmp_path, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    (tmp_path / "shop.yaml").write_text(
        PROFILE.replace("http://x.example", "http://shop.invalid/").replace(
            "categories: {css: a}", "categories: {css: 'a::attr(href)'}"
        )
    )
    site = tmp_path / "shop.yaml"
    listed = command("companies", "--site", site, "--out", tmp_path / "companies.csv", "--no-progress")
    crawled = command(
        "reviews", "--site", site, "--companies", tmp_path / "companies.csv", "--out", tmp_path / "raw", "--no-progress"
    )
    server.shutdown()
    server.server_close()
    assert (listed.returncode, crawled.returncode) == (0, 0), (listed, crawled)
    assert crawled.stdout.startswith("1 reviews") and set(Proxy.asked) >= {
        "http://shop.invalid/shop",
        "http://shop.invalid/robots.txt",
    }
