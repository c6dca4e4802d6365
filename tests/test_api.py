"""The REST API and the admin's page, over HTTP, from a served process."""

import io
import signal
from contextlib import suppress

import duckdb
import httpx
import pyarrow.csv
import pyarrow.parquet
import pytest
import schemathesis
from conftest import serving
from gradio_client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import just
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

ADMIN = ("admin", "sésame")
FORMULA = '=HYPERLINK("http://example.com","a free coffee")'


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("api")) as start:
        yield start(CHARCNN_ADMIN_PASSWORD=ADMIN[1], CHARCNN_LIMITS_REVIEWS_PER_MINUTE_ADDRESS="10000")


@pytest.fixture(scope="module")
def api(served):
    with httpx.Client(base_url=f"{served.url}/api/v1", timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def brands(api):
    return [brand["name"] for brand in api.get("/brands").json()]


@pytest.fixture(scope="module")
def sent(api, brands):
    "Forty reviews of two companies, by id."
    reviews = [
        {"brand": brands[n % 2], "review": f"Delivery {n} was fine. <b>{n}</b>", "rating": n % 5 + 1} for n in range(39)
    ]
    reviews.append({"brand": brands[0], "review": FORMULA, "rating": 1})
    answers = [api.post("/reviews", json=review) for review in reviews]
    assert {answer.status_code for answer in answers} == {201}
    return {answer.json()["id"]: review for answer, review in zip(answers, reviews, strict=True)}


def test_a_text_is_scored(api):
    found = api.post("/score", json={"review": "I love their coffee, the staff are wonderful and friendly!"}).json()
    assert found["label"] == "good" and found["score"] > 0.67 and found["suggested_rating"] >= 4
    assert len(found["probabilities"]) == 5 and abs(sum(found["probabilities"]) - 1) < 1e-4


def test_every_review_sent_is_read_once_newest_first_though_others_come_in(api, sent, brands):
    rows, cursor = [], ""
    while cursor is not None:
        page = api.get("/reviews", params={"size": 12, "cursor": cursor, "brand": brands[0]}, auth=ADMIN).json()
        rows, cursor = rows + page["reviews"], page["next"]
        late = api.post("/reviews", json={"brand": brands[0], "review": "Came in meanwhile.", "rating": 3}).json()["id"]
        assert api.delete(f"/reviews/{late}", auth=ADMIN).status_code == 204
    wanted = {id: review for id, review in sent.items() if review["brand"] == brands[0]}
    assert [row["id"] for row in rows] == sorted(wanted, reverse=True)
    assert all({key: row[key] for key in ("brand", "review", "rating")} == sent[row["id"]] for row in rows)


def test_reviews_are_found_by_brand_rating_and_text(api, sent, brands):
    wanted = [id for id, r in sent.items() if r["brand"] == brands[1] and r["rating"] == 2]
    page = api.get("/reviews", params={"brand": brands[1], "rating": 2, "search": "DELIVERY"}, auth=ADMIN).json()
    assert [row["id"] for row in page["reviews"]] == sorted(wanted, reverse=True)
    assert api.get("/reviews", params={"search": "100%_"}, auth=ADMIN).json()["total"] == 0


def test_exports_hold_every_review_and_no_formula_runs(api, sent):
    table = pyarrow.parquet.read_table(io.BytesIO(api.get("/export?format=parquet", auth=ADMIN).content))
    assert dict(zip(table["id"].to_pylist(), table["review"].to_pylist(), strict=True)) == {
        id: review["review"] for id, review in sent.items()
    }
    table = pyarrow.csv.read_csv(io.BytesIO(api.get("/export?format=csv", auth=ADMIN).content))
    assert table["review"].to_pylist()[-1] == "'" + FORMULA and table.num_rows == len(sent)


@pytest.mark.parametrize("path", ["/reviews", "/export", "/../../admin", "/reviews?size=0"])
def test_nobody_reads_reviews_without_the_password(api, path):
    for auth in (None, ("admin", ""), ("admin", "sesame")):
        answer = api.get(path, auth=auth)
        assert answer.status_code == 401 and "Delivery" not in answer.text


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ('{"brand": "IKEA", "review": "Fine.", "rating": 6}', 422, "rating"),
        ('{"brand": "IKEA", "review": "Fine.", "rating": 2.5}', 422, "rating"),
        (
            '{"brand": "Starbuks", "review": "Fine.", "rating": 3}',
            422,
            "did you mean 'Starbucks'",
        ),
        ('{"brand": "IKEA", "review": " \\n", "rating": 3}', 422, "blank"),
        ('{"brand": "IKEA", "review": "' + "x" * 5001 + '", "rating": 3}', 422, "5,001"),
        ('{"brand": "IKEA", "review": null, "rating": 3}', 422, "review"),
        ('{"brand": "IKEA", "review": "Fine.", "rating": NaN}', 422, "rating"),
        ('{"brand": "IKEA", "review": "Fine."', 422, "json"),
        ("[" * 20_000, 400, "body"),
        ("", 422, "field required"),
        ("x" * 200_000, 413, "larger than"),
    ],
    ids=range(11),
)
def test_a_bad_review_is_refused_in_one_line(api, body, status, said):
    answer = api.post("/reviews", content=body, headers={"content-type": "application/json"})
    reason = answer.json()["detail"]
    assert answer.status_code == status and said in reason and "\n" not in reason and len(reason) < 200


def test_a_gradio_client_and_a_client_of_the_article_are_answered(served):
    assert Client(served.url, verbose=False).predict("Never again.", api_name="/score")["label"] == "bad"
    assert httpx.post(f"{served.url}/api/predict", data={"review": "Never again."}).json() < 0.34
    assert httpx.get(f"{served.url}/api/reviews").status_code == 401


def test_a_file_is_scored_and_taken_back(served):
    with httpx.Client(base_url=served.url, timeout=30, follow_redirects=True) as client:
        rows = "".join(f"{n},It broke.\n" for n in range(20_000))  # more than a request of the API may have
        asked = client.post("/batch", files={"file": ("mine.csv", f"n,review\n{rows}")})
        assert asked.status_code == 200
        client.post(asked.url, data={"column": "review"})
        while "Download" not in (page := client.get(asked.url).text):
            assert "rows are scored" in page
        assert len(client.get(f"{asked.url}/file").text.splitlines()) == 20_001
        assert client.post("/batch", content=b"x" * 21_000_000).status_code == 413


def test_methods_that_nobody_declared_are_405_and_head_is_get_without_a_body(served):
    paths = httpx.get(f"{served.url}/api/v1/openapi.json").json()["paths"]
    with httpx.Client(base_url=served.url, auth=(ADMIN[0], ADMIN[1].encode()), timeout=30) as client:
        for path, declared in paths.items():
            known = {method.upper() for method in declared} | ({"HEAD"} if "get" in declared else set())
            for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "SEARCH"} - known:
                answer = client.request(method, path.replace("{id}", "1").replace("{file}", "x.svg"))
                assert answer.status_code == 405 and set(answer.headers["allow"].split(", ")) == known, (method, path)
            if "get" in declared and "{" not in path:
                head, get = client.head(path), client.get(path)
                assert (head.status_code, head.content) == (get.status_code, b"")
                assert head.headers["content-type"] == get.headers["content-type"]


def test_the_manual_and_the_metrics_are_there_and_load_nothing_from_elsewhere(served):
    manual = httpx.get(f"{served.url}/api/docs").text
    assert "POST /api/v1/score" in manual and "<script" not in manual and "//" not in manual.split("<main>")[1]
    assert httpx.get(f"{served.url}/metrics").status_code == 401
    shown = httpx.get(f"{served.url}/metrics", auth=(ADMIN[0], ADMIN[1].encode())).text
    assert 'route="/api/docs"' in shown and "charcnn_reviews " in shown


def test_doors_the_page_does_not_need_are_closed(served):
    for path in ("upload", "file=/etc/passwd", "proxy=http://example.com", "config", "deep_link", "monitoring"):
        assert httpx.get(f"{served.url}/gradio_api/{path}").status_code == 404, path


def test_the_admin_looks_through_reviews_in_a_browser(served, sent, browser):
    def texts() -> list[str]:
        return [row.text for row in browser.find_elements(By.CSS_SELECTOR, "tr[id^=review]")]

    def found(count: int) -> list[str]:  # a click may return before the next page is there
        wait = WebDriverWait(browser, 30, 0.05, [StaleElementReferenceException])
        return wait.until(lambda _: len(rows := texts()) == count and rows, f"no page of {count} reviews")

    browser.get(served.url.replace("http://", "http://admin:s%C3%A9same@") + "/admin")
    rows = found(25)
    assert "HYPERLINK" in rows[0] and "<b>38</b>" in rows[1]
    browser.find_element(By.CSS_SELECTOR, "a[rel=next]").click()
    found(len(sent) - 25)
    browser.find_element(By.NAME, "search").send_keys("<b>7</b>")
    browser.find_element(By.CSS_SELECTOR, "form button").click()
    assert found(1)[0].count("Delivery 7 was fine") == 1
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_anyone_sees_charts_and_no_text(served, sent, browser):
    browser.get(f"{served.url}/explore")
    wait = WebDriverWait(browser, 30, 0.05)
    wait.until(lambda _: f"{len(sent)} reviews" in browser.find_element(By.TAG_NAME, "body").text)
    wait.until(lambda _: len(browser.find_elements(By.CSS_SELECTOR, ".vega-embed canvas, .vega-embed svg")) == 5)
    assert "Delivery" not in browser.page_source
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    for wrong in ({"fn_index": 0, "data": ["x"]}, {"fn_index": -1, "data": ["", ""]}, {"data": 5}):
        assert httpx.post(f"{served.url}/explore/gradio_api/run/predict", json=wrong).status_code == 422


def test_the_admin_deletes_what_came_from_an_address_in_a_browser(serve, browser):
    served = serve(CHARCNN_ADMIN_PASSWORD="secret")
    for n in range(3):
        review = {"brand": "IKEA", "review": f"Delivery {n} was late.", "rating": n + 1}
        assert httpx.post(f"{served.url}/api/v1/reviews", json=review).status_code == 201
    browser.get(served.url.replace("http://", "http://admin:secret@") + "/admin")
    browser.find_element(By.CSS_SELECTOR, "td.review .origin a").click()
    browser.find_element(By.CSS_SELECTOR, "main > details summary").click()
    browser.find_element(By.CSS_SELECTOR, "button[value='delete all']").click()
    WebDriverWait(browser, 30, 0.05).until(lambda _: "No review matches" in browser.page_source)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert served.stop() == 0 and served.rows("id") == []


def test_a_visitor_is_told_apart_by_what_the_trusted_proxy_says_and_limited(serve):
    served = serve(CHARCNN_PAGE_PROXIES="1", CHARCNN_LIMITS_REVIEWS_PER_MINUTE_ADDRESS="2", CHARCNN_STORE_IP="full")
    review = {"brand": "IKEA", "review": "Fine.", "rating": 3}

    def send(forwarded: str) -> int:
        headers = {"x-forwarded-for": forwarded}
        return httpx.post(f"{served.url}/api/v1/reviews", json=review, headers=headers).status_code

    assert [send(f"10.0.0.{n}, 203.0.113.7") for n in range(3)] == [
        201,
        201,
        429,
    ]  # the left entry is the visitor's own
    assert send("203.0.113.8") == 201
    assert httpx.get(f"{served.url}/admin").status_code == 403  # no password, no admin
    assert served.stop(signal.SIGINT) == 0
    assert served.rows("ip") == [("203.0.113.7",), ("203.0.113.7",), ("203.0.113.8",)]
    duckdb.connect(str(served.store)).close()  # nobody holds the file any more


def test_the_description_of_the_api_is_true(served, sent):
    "Requests are made up from it, such as fit and such as do not; each answer has a status, a type and a shape that it names."
    described = schemathesis.openapi.from_url(f"{served.url}/api/v1/openapi.json")
    quick = settings(
        max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    # What a description cannot say: which cursors there are, that one of two fields has to be there, how large a body may be.
    unsaid = {
        "GET /api/v1/reviews",
        "POST /api/v1/reviews",
        "PATCH /api/v1/reviews/{id}",
        "POST /api/v1/score",
        "POST /api/review",
    }
    tried = set()
    for found in described.get_all_operations():
        operation = found.ok()
        excluded = [positive_data_acceptance] if operation.label in unsaid else []
        excluded += (
            [negative_data_rejection] if operation.definition.raw.get("security") or operation.label in unsaid else []
        )
        for mode in GenerationMode:

            def answers_as_described(case, excluded):
                tried.add(case.operation.label)
                case.call_and_validate(auth=(ADMIN[0], ADMIN[1].encode()), excluded_checks=excluded)

            cases = given(case=operation.as_strategy(generation_mode=mode), excluded=just(excluded))
            with suppress(Unsatisfiable):  # a request without parameters cannot be wrong
                quick(cases(answers_as_described))()
    assert len(tried) >= 15
