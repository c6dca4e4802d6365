"""A Space is built from `requirements.txt` alone, and starts from the files that were uploaded, as an account without a home."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import httpx
import pytest
from local_hub import TOKEN, local_hub

ROOT = Path(__file__).parent.parent


def pins(file: str) -> dict[str, str]:
    lines = [line.partition("==") for line in (ROOT / file).read_text().splitlines() if line[:1] not in ("#", "")]
    return {re.sub(r"[-_.]+", "-", name.lower()): version for name, _, version in lines}


def test_the_builder_installs_what_the_page_needs_at_the_versions_that_are_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["app"]
    wanted = {re.sub(r"[-_.]+", "-", re.match(r"[\w.\[\],-]+", each)[0].lower()) for each in asked}
    found, tested = pins("requirements.txt"), pins("constraints.txt")
    assert found.keys() == wanted
    assert {name: tested[name.partition("[")[0]] for name in found} == found


def test_the_requirements_install_from_an_empty_folder(tmp_path):
    "The Space's builder has nothing else while pip runs. Here all is installed already, so that pip only resolves."
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "-r", "requirements.txt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def may_run_as_1000() -> bool:
    "Whether another account can be used here, and reach this Python."
    try:
        return os.getuid() == 0 and subprocess.run([sys.executable, "-c", ""], user=1000).returncode == 0
    except PermissionError:
        return False


@pytest.fixture
def space():
    "The files of a Space, as they were uploaded, in a folder that the account may write to."
    with local_hub() as hub, tempfile.TemporaryDirectory(prefix="charcnn-space-") as folder:
        environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN}
        command = [sys.executable, "-m", "charcnn", "deploy", "space", "owner/page"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert f"deployed to {hub.endpoint}/spaces/owner/page" in done.stdout and "will be lost" in done.stdout
        for name, content in hub.files["spaces/owner/page"].items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        if may_run_as_1000():
            for file in (Path(folder), *Path(folder).rglob("*")):
                os.chown(file, 1000, 1000)
        yield Path(folder)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="accounts of other systems are not tried here")
def test_a_space_starts_without_a_home_and_keeps_a_review(space):
    environment = {
        "PATH": os.environ["PATH"],
        "SPACE_ID": "owner/page",
        "CHARCNN_PAGE_PORT": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    account = {"user": 1000, "group": 1000, "extra_groups": []} if may_run_as_1000() else {}
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=space, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, **account,
    )  # fmt: skip
    try:
        said = ""
        while not (found := re.search(r"http://\S+", said)):
            line = process.stdout.readline()
            assert line, said
            said += line
        review = {"brand": "IKEA", "review": "It stands, and the shelf is straight.", "rating": 5}
        assert httpx.post(f"{found[0]}/api/v1/reviews", json=review).status_code == 201
        assert "What do you think?" in httpx.get(found[0]).text
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.communicate()
    assert (space / "data" / "reviews.duckdb").is_file()
