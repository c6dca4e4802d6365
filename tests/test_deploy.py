"""What `deploy/` promises: files that are well-formed, settings that exist, and a page that works under a path of a proxy."""

import http.server
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from charcnn.settings import Settings

DEPLOY = Path(__file__).parent.parent / "deploy"


def test_the_dockerfile_has_no_fault_that_hadolint_knows():
    done = subprocess.run(["hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_setting_that_the_files_name_exists():
    "A misspelt variable is one that nobody reads."
    known = {f"CHARCNN_{section.name}_{f.name}".upper() for section in fields(Settings) for f in fields(section.type)}
    named = {name for file in DEPLOY.iterdir() for name in re.findall(r"CHARCNN_[A-Z]+_[A-Z_]+", file.read_text())}
    assert named and named <= known


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_reads_the_unit(tmp_path):
    unit = (DEPLOY / "charcnn.service").read_text().replace("/opt/charcnn/bin/charcnn", "/bin/true")
    (tmp_path / "charcnn.service").write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / "charcnn.service"], capture_output=True, text=True)
    assert done.returncode == 0 and "charcnn.service" not in done.stderr, done.stderr


ENGINE = shutil.which("podman") or shutil.which("buildah")


@pytest.mark.skipif(not ENGINE, reason="neither podman nor buildah here")
def test_the_container_builds():
    done = subprocess.run([ENGINE, "build", "-f", DEPLOY / "Dockerfile", DEPLOY.parent], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@contextmanager
def proxy(target: str, prefix: str):
    "What deploy/nginx.conf describes: takes the prefix off."

    class Proxy(http.server.BaseHTTPRequestHandler):
        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.path.startswith(f"{prefix}/"):
                return self.send_error(404)
            headers = dict(self.headers) | {"X-Forwarded-For": self.client_address[0], "X-Forwarded-Proto": "http"}
            headers.pop("Accept-Encoding", None)
            answer = httpx.request(
                self.command, target + self.path[len(prefix) :], content=body, headers=headers, timeout=30
            )
            self.send_response(answer.status_code)
            for name, value in answer.headers.multi_items():
                if name not in ("transfer-encoding", "connection", "content-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = forward

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{prefix}"
    server.shutdown()
    server.server_close()


def test_a_review_is_kept_from_a_page_under_a_path_of_a_proxy(serve, browser):
    served = serve(CHARCNN_PAGE_ROOT_PATH="/reviews", CHARCNN_PAGE_PROXIES="1", CHARCNN_ADMIN_PASSWORD="secret")
    with proxy(served.url, "/reviews") as address:
        found = httpx.get(f"{address}/", timeout=30)
        assert f'content="{address}/card.png"' in found.text and httpx.get(f"{address}/card.png").status_code == 200
        policy = found.headers["content-security-policy"]
        assert policy.partition("frame-ancestors")[2].split() == [
            "'self'",
            "https://huggingface.co",
            "https://*.hf.space",
        ]
        browser.get(f"{address}/")
        wait = WebDriverWait(browser, 30, 0.05)
        wait.until(lambda _: browser.find_element(By.CSS_SELECTOR, "#review textarea")).send_keys(
            "It stands, and is straight."
        )
        wait.until(lambda _: "%" in browser.find_element(By.ID, "reading").text)
        wait.until(lambda _: browser.find_element(By.ID, "submit").is_enabled())
        browser.find_element(By.ID, "submit").click()
        wait.until(lambda _: "saved" in browser.find_element(By.ID, "notice").text)
        browser.get(address.replace("http://", "http://admin:secret@") + "/admin")
        assert "It stands, and is straight." in browser.page_source
        browser.find_element(By.LINK_TEXT, "log out").click()
        assert not [
            entry
            for entry in browser.get_log("browser")
            if entry["level"] == "SEVERE"
            and "401" not in entry["message"]
            and not re.search("(manifest.json|favicon.ico) ", entry["message"])
        ]
