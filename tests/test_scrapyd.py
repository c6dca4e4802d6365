"""The spider on two nodes of Scrapyd, each with a shard: as one deploys it, with nothing but the package on the nodes."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import pytest

from charcnn.collect.content import ReplicaOptions, expected_reviews, with_every_trouble
from charcnn.collect.items import read_lines, write_parquet
from charcnn.collect.replica import Replica

pytest.importorskip("scrapyd")
CONFIG = """[scrapyd]
http_port = {port}
poll_interval = 0.2

[settings]
charcnn = charcnn.collect.spider
"""


def ask(port: int, service: str, **values: str) -> dict:
    data = urllib.parse.urlencode(values).encode() or None
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{service}.json", data, timeout=60) as answer:
        return json.loads(answer.read())


def wait_for(happened, seconds: float = 60):
    end = time.monotonic() + seconds
    while True:
        try:
            if found := happened():
                return found
        except OSError:
            pass  # it does not listen yet
        assert time.monotonic() < end, "it did not happen"
        threading.Event().wait(0.1)


@pytest.fixture
def nodes(tmp_path):
    "Ports of two Scrapyd servers, each in a folder of its own."
    started, ports = [], []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
        (folder / "scrapy.cfg").write_text(CONFIG.format(port=ports[-1]))
        log = open(folder / "log", "w")  # noqa: SIM115 (the server writes to it)
        command = [sys.executable, "-m", "scrapyd"]
        started.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log))
    for port in ports:
        wait_for(lambda port=port: ask(port, "daemonstatus")["status"] == "ok")
    yield ports
    for process in started:
        process.terminate()
        process.wait()


def test_two_nodes_read_the_whole_site_and_no_company_twice(nodes, tmp_path):
    with Replica(with_every_trouble(ReplicaOptions(companies=30, reviews=900))) as replica:
        urls = [replica.url + replica.site.path(company) for company in range(30)]
        (tmp_path / "companies.csv").write_text("company_url\n" + "\n".join(urls) + "\n")
        folders = [tmp_path / f"shard-{number}" for number in (1, 2)]
        for number, (port, folder) in enumerate(zip(nodes, folders, strict=True), 1):
            values = {
                "site": "replica",
                "companies": tmp_path / "companies.csv",
                "folder": folder,
                "shard": f"{number}/2",
            }
            assert ask(port, "schedule", project="charcnn", spider="reviews", **values)["status"] == "ok"
        for port in nodes:
            wait_for(lambda port=port: ask(port, "listjobs")["finished"], 120)
        ids = [{line["review_id"] for line in read_lines(folder / "reviews.jsonl")} for folder in folders]
        assert min(map(len, ids)) > 100 and not ids[0] & ids[1]
        known = {review["id"] for review in expected_reviews(replica.site)}
        assert ids[0] | ids[1] == known and write_parquet(folders, tmp_path / "all.parquet") == len(known)
