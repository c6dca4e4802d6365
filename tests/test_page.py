"""The page, in a real browser, on a store that is read afterwards."""

import os
import re
import socket
import subprocess
import sys
import tarfile
from urllib.parse import urlsplit

import httpx
import pytest
from conftest import Visit, npm_pack, requests_of, serving
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from charcnn.scorer import Scorer

SCORER = Scorer()

PRAISE = "Best coffee ever, the staff are wonderful and friendly. Highly recommended!"
COMPLAINT = "The parcel came late and nobody answered. I am disappointed."
ATTACK = 'We loved it here. <img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{value}} <b>Never</b> again, thank you!'


class Page(Visit):
    "What a visitor sees and does."

    def __init__(self, browser, url: str):
        super().__init__(browser, url)
        self.until(lambda: self.brand.startswith("What do you think of"))

    @property
    def brand(self) -> str:
        return self.script("document.querySelector('#brand h1')?.textContent ?? ''")

    @property
    def percent(self) -> int:
        return int(self.script("document.querySelector('#reading .bar').getAttribute('aria-valuenow')"))

    @property
    def rating(self) -> int:
        return int(self.script("document.querySelector('#rating input[type=range]').value"))

    @property
    def shown(self) -> str:
        return self.script("document.querySelector('#reading .percent').textContent")

    @property
    def stars(self) -> int:
        return self.script("document.querySelectorAll('#stars b.on').length")

    def star(self, number: int):
        return self.find(f"#stars input[value='{number}']")

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
    "A page for the tests that need no settings of their own."
    with serving(tmp_path_factory.mktemp("page")) as start:
        yield start(CHARCNN_ADMIN_PASSWORD="secret")


def newest(served) -> dict:
    "The review that was saved last."
    return httpx.get(f"{served.url}/api/v1/reviews?size=1", auth=("admin", "secret")).json()["reviews"][0]


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


def test_markup_typed_as_a_review_stays_text(page, served):
    page.text.send_keys(ATTACK)
    page.until(lambda: page.percent > 0)
    page.until(lambda: page.script("document.querySelector('#review .tints').textContent").rstrip("\n") == ATTACK)
    assert (
        page.script("document.querySelectorAll('#review .tints img, #review .tints b, #review .tints script').length")
        == 0
    )
    page.submit.click()
    page.until(lambda: "saved" in page.notice)
    assert page.script("window.hacked") is None
    assert newest(served)["review"] == ATTACK


def test_another_brand_asks_before_a_text_goes(page):
    before = page.brand
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent)
    page.find("#another").click()
    page.until(lambda: "Press once more" in page.notice)
    assert page.text.get_attribute("value") == PRAISE and page.brand == before
    page.find("#another").click()
    page.until(lambda: page.brand != before and page.text.get_attribute("value") == "" and page.percent == 0)
    assert page.script("document.querySelector('#brand a').href").startswith("http")
    after = page.brand
    page.find("#another").click()
    page.until(lambda: page.brand != after)


def test_the_page_asks_nobody_else(page, served, browser):
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent)
    asked = {request.split(" ")[1] for request in requests_of(browser)}
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


# ---- who scores


def typed_requests(browser) -> list[str]:
    return [request for request in requests_of(browser) if request.startswith("POST")]


def scored_by(page) -> str:
    return page.script("document.querySelector('#reading .tone').dataset.by")


def test_once_the_model_has_arrived_typing_asks_nobody_and_is_scored_as_in_python(page, browser):
    page.text.send_keys("Good")
    page.until(lambda: scored_by(page) == "browser")
    page.clear()
    requests_of(browser)
    score = SCORER(PRAISE)
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent == round(100 * score.score) and page.rating == page.stars == score.rating)
    assert requests_of(browser) == []


@pytest.fixture(scope="module")
def slow_model(tmp_path_factory):
    "A page whose server scores all along."
    with serving(tmp_path_factory.mktemp("server")) as start:
        yield start(CHARCNN_PAGE_SCORING="server")


def test_where_the_server_scores_no_model_is_loaded(slow_model, browser):
    page, score = Page(browser, slow_model.url), SCORER(PRAISE)
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent == round(100 * score.score) and page.rating == page.stars == score.rating)
    asked = requests_of(browser)
    assert f"POST {slow_model.url}/api/v1/read" in asked
    assert not [one for one in asked if ".onnx" in one or ".wasm" in one]


def test_the_newest_text_wins_over_answers_that_are_late(slow_model, browser):
    "One request is in flight; the answer to a text that has been cleared meanwhile is dropped."
    page = Page(browser, slow_model.url)
    page.script(
        """(() => { const real = fetch, held = window.held = [];
        window.fetch = (...asked) => new Promise((go) => held.push(go)).then(() => real(...asked)); })()"""
    )
    page.text.send_keys("Wonderful, wonderful!")
    page.until(lambda: page.script("held.length") == 1)
    page.clear()
    page.text.send_keys("Terrible, I hate it.")
    shown = []
    for count in (1, 2):
        page.until(lambda count=count: page.script("held.length") == count)
        page.script("held.at(-1)()")
        shown.append(page.percent)
    page.until(lambda: 0 < page.percent < 34)
    assert shown[0] == 0 and page.script("held.length") == 2


def test_nothing_typed_leaves_the_browser_before_submit_where_the_browser_scores(serve, browser):
    served = serve(CHARCNN_PAGE_SCORING="browser")
    page = Page(browser, served.url)
    assert "nothing you type leaves it" in page.find("#about").text
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent >= 67)
    assert typed_requests(browser) == []
    assert httpx.post(f"{served.url}/api/v1/read", content="x").status_code in (404, 405)
    page.submit.click()
    page.until(lambda: "saved" in page.notice)
    assert typed_requests(browser) == [f"POST {served.url}/api/v1/reviews"]
    served.stop()
    score = SCORER(PRAISE)
    ((review, rating, suggested, label, kept),) = served.rows("review, rating, suggested_rating, label, score")
    assert (review, rating, suggested, label) == (PRAISE, score.rating, score.rating, score.label)
    assert abs(kept - score.score) < 1e-5


def test_model_and_runtime_are_kept_by_browsers_for_a_year(served):
    page = httpx.get(served.url).text
    script = re.search(r"/kept/page-[0-9a-f]{12}/page\.js", page)[0]
    assert httpx.get(served.url + script).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert httpx.get(served.url + script.replace("page.js", "../settings.ini")).status_code == 404


# ---- what the model cannot know


def test_a_text_in_another_language_gets_no_stars_but_those_a_person_sets(page, served):
    german = "Das Essen war kalt und der Kellner unfreundlich."
    for text in (german, "سيء جدا، لن أعود أبدا"):
        page.clear()
        page.text.send_keys(text)
        page.until(lambda: page.shown == "I read English")
        assert page.stars == 0 and page.percent == 0 and not page.submit.is_enabled()
    page.clear()
    page.text.send_keys(german)
    page.until(lambda: page.shown == "I read English")
    page.star(2).click()
    page.until(lambda: page.submit.is_enabled() and page.stars == 2)
    page.submit.click()
    page.until(lambda: "saved" in page.notice)
    assert (newest(served)["review"], newest(served)["rating"]) == (german, 2)


def test_a_long_text_says_where_the_model_stops_and_one_that_is_too_long_is_not_cut(page):
    text = "The food was good. " * 80
    page.text.click()
    page.browser.execute_cdp_cmd("Input.insertText", {"text": text})
    page.until(lambda: page.percent)
    assert page.find("#count").text.split("\n") == ["The bar follows the first 1,014 characters.", "1,520 / 5,000"]
    unread = page.script("[...document.querySelectorAll('#review .tints .unread')].map((e) => e.textContent).join('')")
    assert unread.rstrip() == text[1014:].rstrip()
    page.browser.execute_cdp_cmd("Input.insertText", {"text": text * 3})
    page.until(lambda: "1,080 characters too many" in page.find("#count").text)
    assert not page.submit.is_enabled() and page.text.get_attribute("value") == text * 4
    page.clear()
    page.until(lambda: page.find("#count").text == "0 / 5,000")


def test_no_half_word_is_coloured(page):
    text = "Lovely room and a great breakfast, but the staff were rude"
    for part in text.split(" "):
        page.text.send_keys(part + " ")
    page.until(lambda: page.script("document.querySelectorAll('#review .tints span[style]').length") > 3)
    pieces = page.script("[...document.querySelectorAll('#review .tints span')].map((span) => span.textContent)")
    assert {word for piece in pieces for word in piece.split()} == set(text.split())


# ---- by hand


def test_stars_are_clicked_and_reached_by_keyboard_and_ctrl_enter_submits(page, served):
    page.text.send_keys(PRAISE)
    page.until(lambda: page.stars >= 4)
    page.star(2).click()
    page.until(lambda: page.stars == page.rating == 2)
    page.star(2).send_keys(Keys.ARROW_RIGHT)
    page.until(lambda: page.stars == page.rating == 3)
    page.text.send_keys(Keys.CONTROL, Keys.ENTER)
    page.until(lambda: "saved" in page.notice and not page.text.get_attribute("value"))
    assert (newest(served)["review"], newest(served)["rating"]) == (PRAISE, 3)


def test_what_is_typed_while_a_review_is_being_saved_stays(page, browser):
    page.script(
        "(() => { const real = fetch; window.fetch = (...asked) => new Promise((go) => (window.go = go)).then(() => real(...asked)); })()"
    )
    page.star(5)  # there
    page.text.send_keys(PRAISE)
    page.script("document.querySelector('#stars input[value=\"4\"]').click()")
    page.until(page.submit.is_enabled)
    page.script("window.go = null")
    page.submit.click()
    page.until(lambda: page.script("Boolean(window.go)"))
    assert not page.submit.is_enabled() and page.submit.get_attribute("aria-busy") == "true"
    page.text.send_keys(" And")
    page.script("window.fetch = null, window.go()")
    page.until(lambda: "saved" in page.notice)
    assert page.text.get_attribute("value") == PRAISE + " And"


def test_a_draft_survives_a_reload_and_a_restart_of_the_server_and_goes_with_submit(serve, browser):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    served = serve(CHARCNN_PAGE_PORT=port)
    page = Page(browser, served.url)
    about = page.brand
    page.text.send_keys(PRAISE)
    page.until(lambda: page.percent)
    page.star(3).click()
    served.stop()
    page.text.send_keys(" Yes.")
    serve(CHARCNN_PAGE_PORT=port)
    page = Page(browser, served.url)
    page.until(lambda: page.text.get_attribute("value") == PRAISE + " Yes." and page.stars == 3)
    assert page.brand == about
    page.submit.click()
    page.until(lambda: "saved" in page.notice)
    page = Page(browser, served.url)
    page.until(lambda: page.find("#count").text == "0 / 5,000")
    assert page.text.get_attribute("value") == ""


# ---- for everybody


def test_axe_finds_nothing_on_page_and_admin(served, browser, tmp_path):
    "Contrast, names, landmarks, tab stops: what a machine can find of WCAG."
    with tarfile.open(npm_pack("axe-core@4.14.1", tmp_path)) as package:
        axe = package.extractfile("package/axe.min.js").read().decode()
    review = {"brand": "IKEA", "review": "Fine.", "rating": 3}
    assert httpx.post(f"{served.url}/api/v1/reviews", json=review).status_code == 201

    def violations() -> list:
        still = "return document.getAnimations().every((one) => one.playState !== 'running')"  # no colours in between
        WebDriverWait(browser, 30, 0.05).until(lambda _: browser.execute_script(still))
        browser.execute_script(axe)
        run = "const done = arguments[0]; axe.run().then(({violations}) => done(violations.map((v) => [v.id, v.nodes[0].html])))"
        return browser.execute_async_script(run)

    try:
        for scheme in ("light", "dark"):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
            page = Page(browser, served.url)
            page.clear()
            assert violations() == []
            page.text.send_keys(COMPLAINT)
            page.until(lambda page=page: page.percent and page.submit.is_enabled())
            assert violations() == []
            browser.get(served.url.replace("http://", "http://admin:secret@") + "/admin")
            assert violations() == []
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
