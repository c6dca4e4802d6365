"""What a repository promises to those who come along: workflows, forms and a citation that are read, a release that can be made."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
GITHUB = ROOT / ".github"


def run(*command: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


def test_the_workflows_have_no_fault_that_zizmor_knows():
    done = run("zizmor", "--offline", "--quiet", "--no-progress", GITHUB, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "pattern"),
    [
        ("github-workflows", ".github/workflows/*.yml"),
        ("github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("dependabot", ".github/dependabot.yml"),
        ("citation-file-format", "CITATION.cff"),
    ],
)
def test_forms_are_as_github_and_cff_read_them(schema, pattern):
    files = sorted(ROOT.glob(pattern))
    assert files
    done = run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    assert done.returncode == 0, done.stdout


def test_workflows_run_targets_and_files_that_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    steps = [
        step["run"]
        for file in (GITHUB / "workflows").glob("*.yml")
        for job in yaml.safe_load(file.read_text())["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    called = {target for step in steps for target in re.findall(r"^make ([a-z-]+)", step, re.M)}
    assert called and called <= targets


def test_the_hooks_before_a_commit_are_valid():
    done = run(sys.executable, "-m", "pre_commit", "validate-config", ROOT / ".pre-commit-config.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


CHANGES = "# Changes\n\n## Unreleased\n\n### Added\n- A thing.\n\n## 0.0.2 (2026-01-01)\n\n### Fixed\n- Another.\n"


@pytest.fixture
def clone(tmp_path) -> Path:
    "A repository with the files that a release is made of, and something to release."
    for name in ("charcnn/__init__.py", "deploy/release.py"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    for command in ("init --quiet --initial-branch main", "add --all", "commit --quiet --message All"):
        assert run("git", *command.split(), cwd=tmp_path, env=GIT).returncode == 0
    return tmp_path


GIT = os.environ | {
    f"GIT_{who}_{what}": "someone@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


def _empty(clone: Path) -> None:
    (clone / "CHANGELOG.md").write_text(CHANGES.replace("### Added\n- A thing.\n\n", ""))
    run("git", "commit", "--all", "--quiet", "--message", "Nothing new", cwd=clone, env=GIT)


def release(clone: Path, version: str, *checks: str) -> subprocess.CompletedProcess:
    return run(sys.executable, "deploy/release.py", version, *(checks or ("true",)), cwd=clone, env=GIT)


def test_a_release_has_its_version_in_one_place_its_changes_and_a_tag(clone):
    done = release(clone, "99.0.1")
    assert done.returncode == 0, done.stderr
    assert "git push --atomic origin main v99.0.1" in done.stdout
    assert run("git", "describe", "--tags", cwd=clone).stdout.strip() == "v99.0.1"
    assert run("git", "show", "--name-only", "--format=%s", cwd=clone).stdout.split() == [
        "Release", "99.0.1", "CHANGELOG.md", "charcnn/__init__.py",
    ]  # fmt: skip
    assert '__version__ = "99.0.1"' in (clone / "charcnn/__init__.py").read_text()
    head, _, rest = (clone / "CHANGELOG.md").read_text().partition("## 99.0.1 ")
    assert head == "# Changes\n\n## Unreleased\n\n" and re.match(
        r"\(20\d\d-\d\d-\d\d\)\n\n### Added\n- A thing\.\n", rest
    )


@pytest.mark.parametrize(
    ("version", "spoil", "said"),
    [
        ("1.0", None, "is not x.y.z"),
        ("0.0.1", None, "is not above"),
        ("99.0.1", lambda clone: _empty(clone), "nothing under Unreleased"),
        ("99.0.1", lambda clone: (clone / "new.txt").write_text("x"), "not clean"),
        ("99.0.1", lambda clone: run("git", "switch", "--quiet", "-c", "other", cwd=clone), "on main, not on other"),
        ("99.0.1", lambda clone: run("git", "tag", "v99.0.1", cwd=clone), "is there already"),
    ],
)
def test_a_release_that_would_go_wrong_changes_nothing(clone, version, spoil, said):
    if spoil:
        spoil(clone)
    before = run("git", "rev-parse", "HEAD", cwd=clone).stdout
    done = release(clone, version)
    assert done.returncode == 1 and said in done.stderr
    assert run("git", "rev-parse", "HEAD", cwd=clone).stdout == before


def test_a_release_without_green_tests_is_not_made(clone):
    done = release(clone, "99.0.1", "false")
    assert done.returncode == 1 and "`false` failed" in done.stderr
    assert not run("git", "tag", cwd=clone).stdout and not run("git", "status", "--porcelain", cwd=clone).stdout


def test_the_type_checker_finds_a_method_that_is_not_there(tmp_path):
    "Patched methods are known; a misspelt one is not, on the line where it stands."
    shutil.copytree(
        ROOT / "charcnn", tmp_path / "charcnn", ignore=shutil.ignore_patterns("pretrained", "web", "assets")
    )
    for name in ("pyproject.toml", "hatch_build.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/check_types.py", tmp_path / "tests")
    file = tmp_path / "charcnn/scorer.py"
    lines = file.read_text().splitlines()
    row = next(number for number, line in enumerate(lines) if "self._score_window(" in line)
    lines[row] = lines[row].replace("_score_window", "_score_windows")
    file.write_text("\n".join(lines))
    done = run(sys.executable, "tests/check_types.py", cwd=tmp_path)
    assert done.returncode == 1 and [line.split(" ")[:2] for line in done.stdout.splitlines()] == [
        [f"charcnn/scorer.py:{row + 1}:", "[missing-attribute]"]
    ], done.stdout + done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "app.benchmark",
        "app.typists",
        "collect.benchmark",
        "train.benchmark",
        "research.speed",
        "research.footprint",
        "research.behaviour",
    ],
)
def test_a_benchmark_that_is_asked_for_help_does_not_run_for_minutes(module):
    done = run(sys.executable, "-m", f"charcnn.{module}", "--help", cwd=ROOT)
    assert done.returncode == 0 and "Usage: " in done.stdout and "Print " in done.stdout
