"""What tests of several rooms share: a served page, and a browser to look at it."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser):
    parser.addoption("--companies", type=int, default=60, help="companies of the replica that is crawled")
    parser.addoption("--reviews", type=int, default=2000, help="reviews of the replica that is crawled")


class Visit:
    "An address, opened in a browser."

    def __init__(self, browser, url: str):
        self.browser = browser
        browser.get(url)

    def until(self, condition):
        return WebDriverWait(self.browser, 30, poll_frequency=0.05).until(lambda _: condition())

    def find(self, css: str):
        return self.browser.find_element(By.CSS_SELECTOR, css)

    def script(self, code: str):
        return self.browser.execute_script(f"return {code}")


def requests_of(browser) -> list[str]:
    "Addresses that the browser asked for since the last call, with their methods."
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"]["request"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [f"{one['method']} {one['url']}" for one in sent if not one["url"].startswith("data:")]


def npm_pack(package: str, folder: Path) -> Path:
    "The tarball of a package of npm; without npm or its registry the test is skipped."
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    done = subprocess.run([npm, "pack", "--silent", package], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the npm registry cannot be reached: {done.stderr.strip()[-200:]}")
    return folder / done.stdout.split()[-1]


@dataclass
class Served:
    "A page that runs in a process of its own, on a store of its own."

    process: subprocess.Popen
    url: str
    store: Path

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=30)

    def rows(self, columns: str) -> list[tuple]:
        "What the store holds, once the process that owns it has ended."
        with duckdb.connect(str(self.store), read_only=True) as store:
            return store.execute(f"SELECT {columns} FROM reviews ORDER BY id").fetchall()


@contextmanager
def serving(folder: Path) -> Iterator[Callable[..., Served]]:
    "Start pages with settings of one's own and a store in `folder`; they are stopped at the end."
    started = []

    def start(**settings: str) -> Served:
        store = folder / "reviews.duckdb"
        environment = {
            "CHARCNN_PAGE_PORT": "0", "CHARCNN_STORE_PATH": str(store), "CHARCNN_SETTINGS": str(ROOT / "settings.ini"),
        } | settings  # fmt: skip
        command = [sys.executable, "-c", "from charcnn.cli import main; main()", "serve"]
        process = subprocess.Popen(
            command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        said = ""
        while line := process.stdout.readline():  # what the store has to say comes first
            said += line
            if found := re.search(r"http://\S+", line):
                return Served(process, found.group(), store)
        raise AssertionError(said)

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


@contextmanager
def serving_folder(folder: Path) -> Iterator[tuple[str, list[str]]]:
    "Serve a folder as `python -m http.server` does; give back the address, and a list that grows by each path asked for."
    asked = []

    class Recording(SimpleHTTPRequestHandler):
        def log_request(self, *_):
            asked.append(self.path)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Recording, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def serve(tmp_path):
    "Start the page for one test."
    with serving(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def chromium():
    "A headless Chromium: the system's, or one that Selenium finds or fetches."
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1280,1000",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if chromium and driver:
        options.binary_location = chromium
        service = webdriver.ChromeService(driver)
    else:
        service = webdriver.ChromeService()
    found = webdriver.Chrome(options, service)
    yield found
    found.quit()


@pytest.fixture
def browser(chromium):
    "The browser with an empty window and empty logs. Each page served has a port, and so a storage, of its own."
    chromium.get("about:blank")
    for log in ("performance", "browser"):
        chromium.get_log(log)
    yield chromium
    chromium.execute_script("try { sessionStorage.clear() } catch {}")  # drafts
