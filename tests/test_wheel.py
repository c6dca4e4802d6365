"""The wheel, installed where there is no torch, scores a text."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: object, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory) -> Path:
    "An empty virtual environment with nothing but the built wheel and what it asks for."
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, cwd=ROOT)
    venv.create(folder / "venv", with_pip=True)
    found = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    constraints = ROOT / "constraints.txt"
    run(found / "python", "-m", "pip", "install", "-q", "-c", constraints, next(folder.glob("*.whl")))
    return found


def test_the_base_install_scores_without_torch(bin_folder, tmp_path):
    program = (
        "import importlib.util as u; print([m for m in ('torch', 'gradio', 'datasets', 'pandas') if u.find_spec(m)])"
    )
    assert run(bin_folder / "python", "-c", program, cwd=tmp_path).strip() == "[]"
    assert " good, " in run(bin_folder / "charcnn", "score", "Wonderful coffee, highly recommended!", cwd=tmp_path)
    assert " bad, " in run(bin_folder / "charcnn", "score", "Terrible. Never again, I want a refund.", cwd=tmp_path)


def test_the_wheel_carries_model_brands_and_logos(bin_folder, tmp_path):
    program = "import charcnn, pathlib; print(pathlib.Path(charcnn.__file__).parent)"
    package = Path(run(bin_folder / "python", "-c", program, cwd=tmp_path).strip())
    for name in ("pretrained/model.onnx", "pretrained/config.json", "pretrained/README.md", "app/data/brands.csv"):
        assert (package / name).stat().st_size > 0
    assert len(list((package / "app/data/logos").glob("*.svg"))) >= 100


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


def test_a_verb_that_needs_an_extra_names_it(bin_folder, tmp_path):
    done = subprocess.run([bin_folder / "charcnn", "serve"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "charcnn[app]" in done.stderr


def test_the_wheel_trains_in_an_empty_folder(bin_folder, tmp_path):
    "Dataset, training, export and scoring, with the defaults that the wheel carries."
    import sysconfig

    # What the extra `train` installs is here already; the wheel is not.
    (site,) = (bin_folder.parent / "lib").glob("python*/site-packages")
    (site / "extra.pth").write_text(sysconfig.get_path("purelib"))
    words = {"food": ("lunch", "pizza", "soup"), "staff": ("waiter", "cook", "boss")}
    rows = [f"the {word} number {n},{topic}" for topic in words for word in words[topic] for n in range(30)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,topic", *rows]))
    charcnn = bin_folder / "charcnn"
    try:
        run(
            charcnn,
            "dataset",
            "mine.csv",
            "--label-column",
            "topic",
            "--validation",
            "0.2",
            "--output",
            "data",
            cwd=tmp_path,
        )
        run(charcnn, "train", "data", "run", "--set", "epochs=1", "--set", "seed=1", cwd=tmp_path)
        run(charcnn, "export", "run", "data", "model", cwd=tmp_path)
        assert run(charcnn, "score", "the soup", "--model", "model", cwd=tmp_path).split()[1] in words
        assert "shipped" in run(
            bin_folder / "python", "-c",
            "from charcnn.settings import find_file; print(find_file('nbs/pipeline/4_train.ipynb').resolve())", cwd=tmp_path,
        )  # fmt: skip
    finally:
        (site / "extra.pth").unlink()
