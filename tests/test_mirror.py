"""A page whose disk is lost at every restart keeps what it acknowledged, wherever it is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from local_hub import TOKEN, local_hub

from charcnn.app.mirror import Mirror
from charcnn.app.reviews import Review
from charcnn.app.store import ReviewStore

REPOSITORY = "datasets/owner/reviews"
WRITER = """
import sys
from charcnn.app.mirror import Mirror
from charcnn.app.reviews import Review
from charcnn.app.store import ReviewStore

path, endpoint, round = sys.argv[1:]
with ReviewStore(path, ip="none", mirror=Mirror("owner/reviews", "hf_local", 0, endpoint)) as store:
    for n in range(100):
        kept = store.add(Review("Acme", f"Review {n} of round {round}", 3))
        print(kept, f"Review {n} of round {round}", flush=True)
        private = store.add(Review("Acme", "private words", 3))
        store.delete([private])
        print(-private, "private words", flush=True)
        store.compact()
"""


def killed(hub, path: Path, round: int, step: int, when: str) -> dict[int, str]:
    "Kill a process that writes at its nth POST to the Hub, before or after it was carried out; what it acknowledged."
    child, seen = None, []

    def end(now: str, request: str) -> None:
        seen.extend([now] * request.startswith("POST"))
        if seen.count(when) == step and now == when:
            child.send_signal(signal.SIGKILL)
            child.wait()

    command = [sys.executable, "-c", WRITER, path, hub.endpoint, str(round)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    hub.on_request = end
    said = child.stdout.read()
    assert child.wait() == -signal.SIGKILL
    hub.on_request = lambda *_: None
    return {int(line.split(" ", 1)[0]): line.split(" ", 1)[1] for line in said.splitlines()}


def rows(store: ReviewStore) -> dict[int, str]:
    return {row["id"]: row["review"] for row in store.page(size=1000).rows}


@pytest.mark.skipif(sys.platform == "win32", reason="kills of other systems are not tried here")
def test_no_acknowledged_review_is_lost_with_the_disk_wherever_the_page_is_killed(tmp_path):
    "Each time the disk is lost. POSTs: 3 taking over, 5 a review, 9 a deletion, 11 the copy without its text, 12 the history."
    steps = [
        (3, "after"),
        (5, "before"),
        (5, "after"),
        (9, "before"),
        (9, "after"),
        (11, "before"),
        (11, "after"),
        (12, "after"),
    ]
    acknowledged: dict[int, str] = {}
    with local_hub() as hub:
        for round, (step, when) in enumerate(steps):
            now = killed(hub, tmp_path / str(round) / "r.duckdb", round, step, when)
            assert not acknowledged.keys() & now.keys(), "an id was given out twice"
            acknowledged |= now
        assert len(acknowledged) > 4
        mirror = Mirror("owner/reviews", TOKEN, 0, hub.endpoint)
        with ReviewStore(tmp_path / "last" / "r.duckdb", ip="none", mirror=mirror) as store:
            store.compact()
            found = rows(store)
            assert {id: text for id, text in acknowledged.items() if id > 0}.items() <= found.items()
            assert not any(-id in found for id in acknowledged if id < 0), "a deletion was acknowledged and forgotten"
            store.delete(
                [id for id, text in found.items() if text == "private words"]
            )  # not acknowledged before a kill
            store.compact()
        everything = b"".join(body for commit in hub.history[REPOSITORY] for body in commit.values())
    assert b"private words" not in everything and b"Review 0 of round" in everything


def test_reviews_of_an_old_page_that_overlaps_with_the_new_one_are_kept_once(tmp_path):
    with local_hub() as hub:
        pages = [
            ReviewStore(
                tmp_path / name / "r.duckdb", ip="none", mirror=Mirror("owner/reviews", TOKEN, 600, hub.endpoint)
            )
            for name in ("old", "new")
        ]
        for store, text in zip(pages, ("of the old page", "of the new page"), strict=True):
            store.add(Review("Acme", text, 4))
        for store in pages:
            store.close()  # copies what is left: the old page notices that it is not the owner any more
        for again in ("third", "fourth"):
            mirror = Mirror("owner/reviews", TOKEN, 600, hub.endpoint)
            with ReviewStore(tmp_path / again / "r.duckdb", ip="none", mirror=mirror) as store:
                assert sorted(rows(store).values()) == ["of the new page", "of the old page"]


def test_a_page_whose_disk_is_lost_reads_its_reviews_back(tmp_path, serve):
    review = {"brand": "IKEA", "review": "It stands.", "rating": 5}
    with local_hub() as hub:
        space = {"SPACE_ID": "owner/page", "CHARCNN_ADMIN_PASSWORD": "secret", "CHARCNN_PAGE_HOST": "127.0.0.1"}
        kept = {"CHARCNN_HUB_REVIEWS": "owner/reviews", "CHARCNN_HUB_TOKEN": TOKEN, "HF_ENDPOINT": hub.endpoint}
        for start in range(2):
            served = serve(**space, **kept, CHARCNN_STORE_PATH=str(tmp_path / f"{start}" / "r.duckdb"))
            with httpx.Client(base_url=served.url, auth=("admin", "secret"), timeout=30) as client:
                assert client.get("/api/v1/reviews").json()["total"] == start
                assert client.post("/api/v1/reviews", json=review).status_code == 201
                assert "lost at the next restart" not in client.get("/admin").text
            assert served.stop() == 0
