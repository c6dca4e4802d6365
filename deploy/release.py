"""`make release VERSION=x.y.z`: what a person does for a release. `.github/workflows/release.yml` does the rest from the tag on."""

import datetime
import re
import subprocess
import sys
from pathlib import Path

VERSION, CHANGES = Path("charcnn/__init__.py"), Path("CHANGELOG.md")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def check(version: str) -> str:  # the version now
    "Raises `ValueError` naming what stands in the way."
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"VERSION={version!r} is not x.y.z, e.g. make release VERSION=1.2.3")
    now = re.search(r'^__version__ = "(.+)"$', VERSION.read_text(encoding="utf-8"), re.M)[1]
    if tuple(map(int, version.split("."))) <= tuple(map(int, now.split("."))):
        raise ValueError(f"VERSION={version} is not above {now}, which {VERSION} has")
    if changed := git("status", "--porcelain"):
        raise ValueError(f"the working tree is not clean; commit or stash:\n{changed}")
    if (branch := git("branch", "--show-current")) != "main":
        raise ValueError(f"releases are made on main, not on {branch or 'no branch'}")
    if git("tag", "--list", f"v{version}"):
        raise ValueError(f"the tag v{version} is there already")
    if "\n- " not in unreleased():
        raise ValueError(f"{CHANGES} has nothing under Unreleased; a release without a change is none")
    return now


def unreleased() -> str:
    found = re.search(r"^## Unreleased\n(.*?)(?=^## |\Z)", CHANGES.read_text(encoding="utf-8"), re.M | re.S)
    return found[1] if found else ""


def release(version: str, checks: list[str]) -> None:
    now = check(version)
    if subprocess.run(checks).returncode:
        raise ValueError(f"`{' '.join(checks)}` failed")
    check(version)  # the checks have left the tree as it was
    for file, old, new in (
        (VERSION, f'__version__ = "{now}"', f'__version__ = "{version}"'),
        (CHANGES, "## Unreleased\n", f"## Unreleased\n\n## {version} ({datetime.date.today()})\n"),
    ):
        file.write_text(file.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    git("commit", "--quiet", "--message", f"Release {version}", str(VERSION), str(CHANGES))
    git("tag", "--annotate", f"v{version}", "--message", f"charcnn {version}")
    print(f"Release {version} is committed and tagged here. To publish it: git push --atomic origin main v{version}")
    print(f"To take it back before that: git tag --delete v{version} && git reset --hard HEAD~1")


if __name__ == "__main__":
    try:
        release(sys.argv[1], sys.argv[2:])
    except ValueError as e:
        sys.exit(f"release: {e}")
