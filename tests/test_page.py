"""The page, in a real browser, on a store that is read afterwards."""

import json
import os
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest
from conftest import Visit, serving
from selenium.webdriver.common.keys import Keys

PRAISE = "Best coffee ever, the staff are wonderful and friendly. Highly recommended!"
COMPLAINT = "The parcel came late and nobody answered. I am disappointed."


class Page(Visit):
    "What a visitor sees and does."

    def __init__(self, browser, url: str):
        super().__init__(browser, url)
        self.until(lambda: self.brand)

    @property
    def brand(self) -> str:
        return self.script("document.querySelector('#brand h1')?.textContent")

    @property
    def percent(self) -> int:
        return int(self.script("document.querySelector('#reading .bar').getAttribute('aria-valuenow')"))

    @property
    def rating(self) -> int:
        return int(self.script("document.querySelector('#rating input[type=range]').value"))

    @property
    def text(self):
        return self.find("#review textarea")

    @property
    def submit(self):
        return self.find("#submit")

    @property
    def notice(self) -> str:
        return self.script("document.querySelector('#notice p').textContent")

    def clear(self) -> None:
        self.text.send_keys(Keys.CONTROL, "a")
        self.text.send_keys(Keys.DELETE)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    "A page for the tests that save nothing."
    with serving(tmp_path_factory.mktemp("page")) as start:
        yield start()


@pytest.fixture
def page(served, browser):
    return Page(browser, served.url)


def test_bar_and_slider_move_with_the_text(page):
    assert page.percent == 0 and not page.submit.is_enabled()
    page.text.send_keys("   ")
    assert not page.submit.is_enabled()
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent >= 67 and page.rating >= 4 and page.submit.is_enabled())
    assert "tone-good" in page.find("#reading").get_attribute("innerHTML")
    page.until(
        lambda: page.script("[...document.querySelectorAll('#review .tints span')].some(s => s.style.backgroundColor)")
    )
    assert page.script("document.querySelector('#review .tints').textContent").rstrip("\n").endswith(PRAISE)
    page.clear()
    page.until(lambda: page.percent == 0 and not page.submit.is_enabled())
    page.text.send_keys(COMPLAINT)
    page.until(lambda: 0 < page.percent <= 33 and page.rating <= 2)
    assert "tone-bad" in page.find("#reading").get_attribute("innerHTML")


def test_a_corrected_rating_stays_and_is_saved_with_what_was_suggested(serve, browser):
    served = serve()
    page = Page(browser, served.url)
    asked_about = page.brand
    page.text.send_keys(COMPLAINT)
    page.until(lambda: page.rating <= 2 and page.percent)
    page.find("#rating input[type=range]").send_keys(Keys.END)
    page.until(lambda: page.rating == 5)
    before = page.percent
    page.text.send_keys(" I loved it.")  # the score must move
    page.until(lambda: page.percent != before)
    assert page.rating == 5
    page.submit.click()
    page.until(lambda: "saved" in page.notice and page.brand != asked_about)
    page.until(lambda: page.text.get_attribute("value") == "" and page.percent == 0)
    agent = page.script("navigator.userAgent")
    assert served.stop() == 0
    assert not served.store.with_name("reviews.duckdb.wal").exists()  # closed in order
    ((brand, review, rating, suggested, label, score, model, kept_agent, ip, age),) = served.rows(
        "brand, review, rating, suggested_rating, label, score, model, user_agent, ip, epoch(now() - created_at::TIMESTAMPTZ)"
    )
    assert brand in asked_about and review.startswith(COMPLAINT) and review.endswith("loved it.")
    assert rating == 5 and suggested <= 2 and label == "bad" and 0 <= score < 0.34 and model.startswith("charcnn")
    assert kept_agent == agent and abs(age) < 600
    assert ip and "127.0.0.1" not in ip


def test_text_that_is_pasted_or_deleted_is_scored_too(page):
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent >= 67)
    complaints = 8 * f" {COMPLAINT}"  # enough of them to leave no doubt beside the praise
    page.browser.execute_cdp_cmd("Input.insertText", {"text": complaints})  # no key is pressed
    page.until(lambda: page.percent <= 50)
    page.text.send_keys(Keys.BACKSPACE * len(complaints))
    page.until(lambda: page.percent >= 67 and page.rating >= 4)


def test_a_rating_by_hand_is_forgotten_with_the_text(page):
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent >= 67 and page.rating >= 4)
    page.find("#rating input[type=range]").send_keys(Keys.HOME)
    page.until(lambda: page.rating == 1)
    page.clear()
    page.until(lambda: page.percent == 0 and page.rating == 3)
    page.text.send_keys(PRAISE)
    page.until(lambda: page.rating >= 4)


def test_markup_typed_as_a_review_stays_text(serve, browser):
    served = serve()
    page = Page(browser, served.url)
    attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{value}} <b>bold</b>'
    page.text.send_keys(attack)
    page.until(lambda: page.percent > 0)
    page.until(lambda: page.script("document.querySelector('#review .tints').textContent").rstrip("\n") == attack)
    assert (
        page.script("document.querySelectorAll('#review .tints img, #review .tints b, #review .tints script').length")
        == 0
    )
    page.submit.click()
    page.until(lambda: "saved" in page.notice)
    assert page.script("window.hacked") is None
    served.stop()
    assert served.rows("review") == [(attack,)]


def test_another_brand_asks_again_with_a_blank_text(page):
    before = page.brand
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent)
    page.find("#another").click()
    page.until(lambda: page.brand != before and page.text.get_attribute("value") == "" and page.percent == 0)
    assert page.script("document.querySelector('#brand a').href").startswith("http")


def test_the_page_asks_nobody_else(page, served, browser):
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert served.url.rstrip("/") in {url.rstrip("/") for url in asked}
    hosts = {urlsplit(url).hostname for url in asked if urlsplit(url).scheme in ("http", "https", "ws", "wss")}
    assert hosts == {"127.0.0.1"}
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_second_process_and_a_taken_port_are_told_what_to_do(served, tmp_path):
    command = [sys.executable, "-c", "from charcnn.cli import main; main()", "serve"]
    environment = {"CHARCNN_STORE_PATH": str(served.store), "CHARCNN_PAGE_PORT": "0"}
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 2 and str(served.store) in done.stderr and len(done.stderr.splitlines()) == 1
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = {"CHARCNN_STORE_PATH": str(tmp_path / "other.duckdb"), "CHARCNN_PAGE_PORT": port}
        done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 2 and port in done.stderr and len(done.stderr.splitlines()) == 1
