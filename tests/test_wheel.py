"""What `pip install charcnn` gives: a small installation without torch, in which everything that README promises of the base works.

Needs nothing beside pytest and build, so that any Python can run it: `make wheel-test PYTHON=python3.13`. CHARCNN_WHEEL names a wheel or sdist
that is built already.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Python code must not see the repository: the wheel is what is tested.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def run(*command: object, **options) -> str:
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    if given := os.environ.get("CHARCNN_WHEEL"):
        return Path(given).resolve()
    folder = tmp_path_factory.mktemp("wheel")
    isolated = [] if importlib.util.find_spec("hatchling") is None else ["--no-isolation"]
    run(sys.executable, "-m", "build", "--wheel", *isolated, "--outdir", folder, cwd=ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def bin_folder(wheel, tmp_path_factory) -> Path:
    "An empty virtual environment with nothing but the wheel and what it asks for."
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=True)
    found = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    run(found / "python", "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel)
    return found


@pytest.fixture(scope="module")
def site(bin_folder) -> Path:
    return Path(run(bin_folder / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


def test_the_base_install_scores_without_torch(bin_folder, tmp_path):
    heavy = ("torch", "gradio", "datasets", "pandas", "huggingface_hub", "pyarrow", "duckdb")
    program = f"import importlib.util as u; print([m for m in {heavy} if u.find_spec(m)])"
    assert run(bin_folder / "python", "-c", program, cwd=tmp_path).strip() == "[]"
    assert " good, " in run(bin_folder / "charcnn", "score", "Wonderful coffee, highly recommended!", cwd=tmp_path)
    assert " bad, " in run(bin_folder / "charcnn", "score", "Terrible. Never again, I want a refund.", cwd=tmp_path)


def test_the_base_install_is_small_and_starts_at_once(bin_folder, site, tmp_path):
    "Limits with room for slow machines and new releases of NumPy; README has what was measured."
    ours = [file for file in (site / "charcnn").rglob("*") if file.is_file()]
    installed = sum(file.stat().st_size for file in site.rglob("*") if file.is_file() and "pip" not in file.parts)
    assert sum(file.stat().st_size for file in ours) < 20e6 and installed < 300e6
    program = "from charcnn import Scorer; Scorer()('good'); import sys; print(sorted({'rich', 'typer', 'pydantic'} & set(sys.modules)))"
    start = time.perf_counter()
    assert (
        run(bin_folder / "python", "-c", program, cwd=tmp_path).strip() == "[]"
    )  # of the command line, not of a score
    assert time.perf_counter() - start < 20


def test_readme_s_python_runs_in_the_base_install(bin_folder, tmp_path):
    "Each block that needs nothing but the base, with its values."
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    mine = [block for block in blocks if not re.search(r"Client|estimator|arrow|from_pretrained", block)]
    assert any("Scorer()" in block for block in mine)
    program = "column_of_texts = ['Fine.'] * 100\n" + "\n".join(mine) + "\nprint(scorer('I love their coffee!').label)"
    assert run(bin_folder / "python", "-c", program, cwd=tmp_path).strip() == "good"


def test_the_base_install_scores_files_and_shows_its_settings(bin_folder, tmp_path):
    (tmp_path / "reviews.csv").write_text("review,stars\nLovely place!,5\nNever again.,1\n", encoding="utf-8")
    for name in ("scored.csv", "scored.jsonl"):
        command = ("score", "reviews.csv", "--text-column", "review", "--output", name, "--no-progress")
        assert "2 rows scored" in run(bin_folder / "charcnn", *command, cwd=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert [row["predicted_label"] for row in rows] == ["good", "bad"]
    assert "[page]" in run(bin_folder / "charcnn", "settings", cwd=tmp_path)


def test_every_verb_explains_itself_or_its_extra(bin_folder, tmp_path):
    "`charcnn VERB --help` is the manual, also where the verb's extra is not installed."
    help_of = run(bin_folder / "charcnn", "--help", cwd=tmp_path)
    verbs = re.findall(r"^  ([a-z-]+)  ", help_of[help_of.index("Commands") :], re.M)
    assert {"score", "dataset", "train", "serve", "store", "deploy"} <= set(verbs)
    for verb in verbs:
        assert "Usage: charcnn" in run(bin_folder / "charcnn", verb, "--help", cwd=tmp_path)


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("serve",), "app"),
        (("store", "check"), "app"),
        (("dataset", "reviews.csv"), "dataset"),
        (("train", "data", "run"), "train"),
        (("collect", "try", "page.html"), "collect"),
        (("push", "model"), "hub"),
        (("deploy", "space", "owner/name"), "hub"),
        (("score", "Fine.", "--model", "owner/name"), "hub"),
    ],
)
def test_a_verb_that_needs_an_extra_names_it(bin_folder, tmp_path, command, extra):
    done = subprocess.run(
        [bin_folder / "charcnn", *command], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and f"charcnn[{extra}]" in done.stderr, done.stderr


def test_the_wheel_carries_model_brands_and_logos(site):
    package = site / "charcnn"
    for name in ("pretrained/model.onnx", "pretrained/config.json", "pretrained/README.md", "shipped/data/brands.csv"):
        assert (package / name).stat().st_size > 0
    assert len(list((package / "shipped/data/logos").glob("*.svg"))) >= 100


@pytest.mark.skipif(importlib.util.find_spec("pyrefly") is None, reason="no type checker here")
def test_a_type_checker_knows_what_the_package_offers(bin_folder, tmp_path):
    "Methods that are patched in are in stubs; what is not there is reported."
    (tmp_path / "mine.py").write_text(
        "from charcnn import Scorer\n"
        "from charcnn.labels import Labels\n\n"
        "scorer = Scorer()\n"
        "score: float | None = scorer('Fine.').score\n"
        "ratings: list[int | None] = [each.rating for each in scorer(['Fine.', 'Awful.'])]\n"
        "shares: list[tuple[str, float]] = scorer.explain('Fine.')\n"
        "names: tuple[str, ...] = Labels.of_ratings(3).names\n"
        "scorer.predicts\n"
    )
    (tmp_path / "pyrefly.toml").write_text(f'python-interpreter-path = "{bin_folder / "python"}"\n')
    command = [Path(sys.executable).parent / "pyrefly", "check", "--output-format", "json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT)
    found = [(each["line"], each["name"]) for each in json.loads(done.stdout)["errors"]]
    assert found == [(9, "missing-attribute")], done.stdout


def test_the_base_install_exports_a_page(bin_folder, tmp_path):
    "With model, runtime, its licence, and brands."
    run(bin_folder / "charcnn", "export-page", tmp_path / "site", cwd=tmp_path)
    found = {file.name for file in (tmp_path / "site").rglob("*") if file.stat().st_size}
    assert found >= {
        "index.html",
        "offline.html",
        "charcnn.js",
        "page.js",
        "look.css",
        "model.onnx",
        "config.json",
        "LICENSE",
    }
    assert found >= {"ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm.gz", "brands.json.gz"}


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the extra `train` is not installed here")
def test_the_wheel_trains_in_an_empty_folder(bin_folder, site, tmp_path):
    "Dataset, training, export and scoring, with the defaults that the wheel carries."
    # What the extra `train` installs is here already; the wheel is not.
    (site / "extra.pth").write_text(sysconfig.get_path("purelib"))
    words = {"food": ("lunch", "pizza", "soup"), "staff": ("waiter", "cook", "boss")}
    rows = [f"the {word} number {n},{topic}" for topic in words for word in words[topic] for n in range(30)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,topic", *rows]))
    charcnn = bin_folder / "charcnn"
    try:
        options = ("--label-column", "topic", "--validation", "0.2", "--output", "data")
        run(charcnn, "dataset", "mine.csv", *options, cwd=tmp_path)
        run(charcnn, "train", "data", "run", "--set", "epochs=1", "--set", "seed=1", cwd=tmp_path)
        run(charcnn, "export", "run", "data", "model", cwd=tmp_path)
        assert run(charcnn, "score", "the soup", "--model", "model", cwd=tmp_path).split()[1] in words
        program = "from charcnn.settings import find_file; print(find_file('nbs/pipeline/4_train.ipynb').resolve())"
        assert "shipped" in run(bin_folder / "python", "-c", program, cwd=tmp_path)
    finally:
        (site / "extra.pth").unlink()
