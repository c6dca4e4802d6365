"""The exported page: it scores where it is read, asks nobody, and sends only what is submitted."""

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import Visit, requests_of, serving_folder
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.common.keys import Keys

from charcnn.app.brands import load_brands
from charcnn.export_page import export_page
from charcnn.scorer import Scorer

ROOT = Path(__file__).parent.parent
PRAISE = "Best coffee ever, the staff are wonderful and friendly. Highly recommended!"
COMPLAINT = "The parcel came late and nobody answered. I am disappointed."
ATTACK = 'We loved it here. <img src=x onerror="window.hacked=1"><script>window.hacked=1</script>{{value}} <b>Never</b> again, thank you!'
SCORER = Scorer()


@pytest.fixture(scope="module")
def brands():
    return load_brands(ROOT / "data" / "brands.csv")


@pytest.fixture(scope="module")
def site(tmp_path_factory, brands):
    "A page without a server, served as files."
    folder = tmp_path_factory.mktemp("site")
    export_page(folder, brands=brands)
    with serving_folder(folder) as (url, asked):
        yield folder, url, asked


class Page(Visit):
    "What a visitor sees and does."

    @property
    def text(self):
        return self.find("#review textarea")

    @property
    def shown(self) -> str:
        return self.script("document.querySelector('#reading .percent').textContent")

    @property
    def rating(self) -> int:
        return int(self.script("document.querySelector('#rating input').value"))

    @property
    def stars(self) -> int:
        return self.script("document.querySelectorAll('#stars b.on').length")

    @property
    def notice(self) -> str:
        return self.script("document.querySelector('#notice p').textContent")

    def read(self, text: str) -> None:
        "Type a text and wait for its score."
        self.text.send_keys(text)
        self.until_scored(text)

    def until_scored(self, text: str) -> None:
        "Wait for the score that a text has in Python."
        expected = f"{round(100 * SCORER(text).score)} %"
        self.until(lambda: self.shown == expected)


def test_a_review_is_scored_as_it_is_typed_and_nothing_leaves_the_page(browser, site):
    _, url, asked = site
    page = Page(browser, url)
    page.read("ok")  # all is loaded
    loaded = {urlsplit(request.split(" ")[1]).hostname for request in requests_of(browser)}
    assert loaded == {"127.0.0.1"}
    page.text.send_keys(Keys.BACKSPACE * 2)
    before = len(asked)
    page.read(PRAISE)
    assert page.rating == page.stars == SCORER(PRAISE).rating
    assert page.script("document.querySelector('#review .tints').textContent").rstrip("\n") == PRAISE
    assert page.script("document.querySelectorAll('#review .tints span[style]').length") > 3
    page.find("#another").click()
    page.find("#another").click()  # asked whether the text may go
    page.until(lambda: page.text.get_attribute("value") == "" and page.shown == "" and page.stars == 0)
    page.read(COMPLAINT)
    assert requests_of(browser) == [] and len(asked) == before
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_second_visit_loads_neither_model_nor_runtime(browser, site):
    _, url, asked = site
    Page(browser, url).read("ok")
    browser.execute_cdp_cmd("Network.clearBrowserCache", {})  # what a server's headers would keep
    del asked[:]
    Page(browser, url).read("ok")
    assert asked and not [path for path in asked if path.endswith((".onnx", ".wasm.gz", "config.json"))]


def test_another_model_under_the_same_address_is_loaded(browser, tmp_path):
    export_page(tmp_path / "site")
    config, graph = ((ROOT / "charcnn" / "pretrained" / name).read_bytes() for name in ("config.json", "model.onnx"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_bytes(config.replace(b'"max_length": 1014', b'"max_length": 4'))
    (tmp_path / "other" / "model.onnx").write_bytes(graph)
    with serving_folder(tmp_path / "site") as (url, _):
        Page(browser, url).read("good, then never again")
        export_page(tmp_path / "site", tmp_path / "other")
        page = Page(browser, url)
        page.text.send_keys("good, then never again")
        page.until_scored("good")
        kept = "return caches.keys().then(async ([name]) => (await (await caches.open(name)).keys()).length)"
        assert browser.execute_script(kept) == 3  # what the earlier model left is gone


def test_markup_typed_as_a_review_stays_text(browser, site):
    page = Page(browser, site[1])
    page.read(ATTACK)
    assert page.script("document.querySelector('#review .tints').textContent").rstrip("\n") == ATTACK
    assert page.script("document.querySelectorAll('#review .tints :not(span)').length") == 0
    assert page.script("window.hacked") is None


def test_a_page_cannot_be_made_to_talk_to_others(browser, site, tmp_path):
    (tmp_path / "secret.js").write_text("window.hacked = 1")
    with serving_folder(tmp_path) as (elsewhere, asked):
        page = Page(browser, site[1])
        page.read("ok")
        with pytest.raises(JavascriptException, match="Failed to fetch"):
            browser.execute_script(f"return fetch('{elsewhere}/secret.js')")
        loading = """const [url, done] = arguments, script = Object.assign(document.createElement("script"), {src: url});
        script.onload = () => done("loaded"); script.onerror = () => done("refused"); document.head.append(script);"""
        assert browser.execute_async_script(loading, f"{elsewhere}/secret.js") == "refused"
    assert asked == []


def test_what_is_typed_before_the_model_has_arrived_stays_and_is_scored(browser, site):
    browser.execute_cdp_cmd("Network.enable", {})
    slow = {"offline": False, "latency": 100, "downloadThroughput": 4e6, "uploadThroughput": 4e6}
    browser.execute_cdp_cmd("Network.emulateNetworkConditions", slow)
    browser.execute_cdp_cmd("Network.clearBrowserCache", {})
    browser.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": site[1], "storageTypes": "cache_storage"})
    try:
        page = Page(browser, site[1])
        page.text.send_keys(PRAISE)
        page.until(lambda: page.shown == "loading the model ...")
    finally:
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", slow | {"latency": 0, "downloadThroughput": -1})
    page.until_scored(PRAISE)
    assert page.text.get_attribute("value") == PRAISE


def test_a_rating_set_by_hand_stays_until_the_text_is_cleared(browser, site):
    page = Page(browser, site[1])
    page.read(PRAISE)
    page.find("#rating input").send_keys(Keys.HOME)
    page.until(lambda: page.stars == 1)
    page.text.send_keys(" Yes.")
    page.until_scored(PRAISE + " Yes.")
    assert page.rating == page.stars == 1
    page.text.send_keys(Keys.CONTROL, "a")
    page.text.send_keys(Keys.BACKSPACE)
    page.until(lambda: page.stars == 0 and page.rating == 3)
    page.read(PRAISE)
    assert page.rating == SCORER(PRAISE).rating


def test_opened_from_a_disk_it_scores_too(browser, site):
    page = Page(browser, (site[0] / "index.html").as_uri())
    page.read(PRAISE)
    assert page.script("document.querySelector('#brand h1').textContent").startswith("What do you think of ")
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_a_model_that_is_gone_is_named_and_the_text_stays(browser, tmp_path):
    export_page(tmp_path)
    (model,) = tmp_path.glob("model-*")
    (model / "model.onnx").unlink()
    with serving_folder(tmp_path) as (url, _):
        page = Page(browser, url)
        page.until(lambda: "model.onnx cannot be loaded: 404" in page.notice)
        page.text.send_keys("still here")
        assert page.text.get_attribute("value") == "still here" and page.shown == ""


@pytest.mark.parametrize("width", [320, 375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_can_be_read_on_a_phone_and_in_the_dark(browser, site, width, scheme):
    size = {"width": width, "height": 812, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        page = Page(browser, site[1])
        page.read(PRAISE)
        assert page.script("document.documentElement.scrollWidth") <= width
        light = (
            page.script("getComputedStyle(document.querySelector('#sheet')).backgroundColor") == "rgb(255, 255, 255)"
        )
        assert light == (scheme == "light")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_without_a_server_there_is_no_submit(browser, site):
    page = Page(browser, site[1])
    page.read(PRAISE)
    assert not page.find("#submit").is_displayed()
    assert "Nothing you type leaves it" in page.find("#about").text


def test_submit_keeps_the_review_on_the_server_that_was_named(browser, serve, tmp_path, brands):
    folder = tmp_path / "site"
    with serving_folder(folder) as (url, _):
        served = serve(CHARCNN_PAGE_ORIGINS=url)
        export_page(folder, brands=brands[:1], api=served.url)
        page = Page(browser, url)
        page.read(PRAISE)
        page.find("#rating input").send_keys(Keys.HOME)
        page.find("#submit").click()
        page.until(lambda: f"Your review of {brands[0].name} is saved" in page.notice)
        assert page.text.get_attribute("value") == "" and not page.find("#submit").is_enabled()
        served.stop()
        assert served.rows("brand, review, rating") == [(brands[0].name, PRAISE, 1)]
        page.read(COMPLAINT)
        page.find("#submit").click()
        page.until(lambda: "Not saved: the server does not answer" in page.notice)
        assert page.text.get_attribute("value") == COMPLAINT and page.find("#submit").is_enabled()


def test_a_review_that_the_server_refuses_stays_with_its_reason(browser, serve, tmp_path, brands):
    with serving_folder(tmp_path / "site") as (url, _):
        served = serve(CHARCNN_PAGE_ORIGINS=url, CHARCNN_LIMITS_REVIEW_LENGTH="20")
        export_page(tmp_path / "site", brands=brands[:1], api=served.url)
        page = Page(browser, url)
        page.read(PRAISE)
        page.find("#submit").click()
        page.until(lambda: page.notice.startswith("Not saved: ") and "20" in page.notice)
        assert page.text.get_attribute("value") == PRAISE


def test_an_address_where_nobody_listens_is_said(browser, tmp_path, brands):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    export_page(tmp_path, brands=brands[:1], api=f"http://127.0.0.1:{port}")
    with serving_folder(tmp_path) as (url, _):
        page = Page(browser, url)
        page.read(PRAISE)
        page.find("#submit").click()
        page.until(lambda: "Not saved: the server does not answer" in page.notice)


def test_a_static_space_knows_what_it_is(site):
    "The front matter that the Hub reads; what a visitor loads is at most 6.5 MB."
    _, matter, _ = (site[0] / "README.md").read_text(encoding="utf-8").split("---\n")
    fields = dict(line.split(": ", 1) for line in matter.strip().splitlines())
    assert fields["sdk"] == "static" and (site[0] / fields["app_file"]).is_file()
    parts = [file for file in site[0].glob("*-*/*") if not file.name.startswith(("LICENSE", "Third", "manifest"))]
    assert sum(file.stat().st_size for file in [site[0] / "index.html", *parts]) < 6.5e6
