"""Visitors who share an address, and people who try what the page was not made for."""

import contextlib
import json
import socket
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

READ = "/api/v1/read"


def visit(served) -> httpx.Client:
    "Open the page as a browser does, which then has its cookie."
    client = httpx.Client(base_url=served.url, timeout=30)
    assert client.get("/").status_code == 200 and client.cookies
    return client


def test_thirty_people_behind_one_address_each_save_a_review_in_the_same_minute(serve):
    served = serve()
    review = {"brand": "IKEA", "review": "Fine.", "rating": 3}
    office = [visit(served) for _ in range(30)]
    assert {person.post("/api/v1/reviews", json=review).status_code for person in office} == {201}
    eager = [office[0].post("/api/v1/reviews", json=review).status_code for _ in range(10)]
    assert eager[-1] == 429 and eager.count(201) >= 9
    assert office[1].post("/api/v1/reviews", json=review).status_code == 201  # the others are not held liable


def test_fifty_people_who_type_behind_one_address_are_all_answered(serve):
    served = serve()
    office = [visit(served) for _ in range(50)]
    answers = [person.post("/api/v1/score", json={"review": "Fine. " * n}) for person in office for n in range(1, 11)]
    assert {answer.status_code for answer in answers} == {200}


def test_wrong_passwords_of_others_do_not_lock_the_admin_out(serve):
    served = serve(CHARCNN_ADMIN_PASSWORD="secret")
    admin = httpx.Client(base_url=served.url, auth=("admin", "secret"))
    assert admin.get("/admin").status_code == 200
    guesses = [httpx.get(f"{served.url}/admin", auth=("admin", f"guess {n}")).status_code for n in range(15)]
    assert guesses[0] == 401 and guesses[-1] == 429
    assert httpx.get(f"{served.url}/admin", auth=("admin", "secret")).status_code == 429  # guessing does not pay
    assert admin.get("/admin").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /api/v1/score HTTP/1.1\r\nHost: x\r\n",
        b"POST /api/v1/score HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
        b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /api/v1/health HTTP",
    ],
    ids=["nothing", "half of the headers", "half of the body", "half of a second request"],
)
def test_a_connection_that_sends_too_slowly_is_closed(patient, sent):
    address = urlsplit(patient.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(sent)
        received = b""
        while part := connection.recv(4096):  # ends when the page closes the connection
            received += part
    assert (b"408" in received) == (b"Content-Length" in sent)


def test_headers_without_end_are_not_kept(patient):
    address = urlsplit(patient.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"x" * 100_000)
        with contextlib.suppress(ConnectionResetError):  # what was not read when the page closed it
            assert connection.recv(4096) == b""


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    from conftest import serving

    with serving(tmp_path_factory.mktemp("patient")) as start:
        yield start(CHARCNN_PAGE_TIMEOUT="1")


def test_what_the_page_cannot_use_is_a_line_in_the_log_and_no_traceback(serve):
    served = serve()
    client = visit(served)
    answers = [client.post(READ, content=content) for content in (b"\xff\xfe", b"x" * 5001, b"[" * 9000)]
    assert {answer.status_code for answer in answers} == {422}
    assert (
        client.post(READ, content="").status_code
        == client.post(READ, content="\ud800 ok".encode("utf-8", "replace")).status_code
        == 200
    )
    answers = [client.post(path, content=b"[" * 9000) for path in ("/api/v1/score", "/api/v1/reviews")]
    answers += [client.post("/api/v1/reviews", content=json.dumps({"brand": 5, "review": ["private"], "rating": "x"}))]
    assert {answer.status_code for answer in answers} <= {400, 422}
    served.stop()
    log = served.process.stdout.read()
    assert f"422 POST {READ}" in log and "Traceback" not in log and "private" not in log


def test_nobody_calls_gradio(serve):
    "Its routes remember what they are sent."
    client = visit(serve())
    body = {"fn_index": 0, "data": ["Fine."], "session_hash": "x", "event_data": None, "trigger_id": 3}
    doors = ("run/predict", "queue/status", "call/predict", "component_server", "upload", "startup-events")
    assert {client.post(f"/gradio_api/{door}", json=body).status_code for door in doors} == {404}


def test_many_keystrokes_cost_no_memory(serve):
    served = serve(CHARCNN_LIMITS_SCORES_PER_MINUTE="10000")
    client, process = visit(served), psutil.Process(served.process.pid)

    def type_keys(times: int) -> int:
        assert {client.post(READ, content="Fine. " * (n % 50)).status_code for n in range(times)} == {200}
        return process.memory_info().rss

    before = type_keys(150)
    assert type_keys(600) - before < 5 * 2**20
