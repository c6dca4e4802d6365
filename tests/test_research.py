"""The research notebooks on a dataset that takes seconds: each runs to its end, and what is measured is not measured again."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from datasets import Dataset, DatasetDict

from charcnn.train.corruptions import CORRUPTIONS

TINY = "{widths: [16, 16], depths: [0, 0], encoder: {max_length: 123}}"
QUICK = "{epochs: 1, learning_rate: 0.02, precision: 'no', batches: {batch_characters: 2000}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    generator = np.random.default_rng(0)
    words = {1: "awful", 2: "poor", 3: "average", 4: "nice", 5: "wonderful"}
    ratings = generator.integers(1, 6, 400)
    rows = Dataset.from_dict(
        {
            "text": [
                f"the {generator.choice(['food', 'room'])} number {i} was {words[r]}" for i, r in enumerate(ratings)
            ],
            "rating": ratings,
            "source": [("yelp", "drugs")[i % 2] for i in range(400)],
        }
    )
    DatasetDict(train=rows.select(range(300)), validation=rows.select(range(300, 400))).save_to_disk(folder / "dataset")
    return folder


def study(folder: Path, notebook: str, *more: str) -> None:
    values = dict(value.split("=", 1) for value in (f"dataset={folder}/dataset", *more))
    options = [part for name, value in values.items() for part in ("-y", f"{name}: {value}")]
    command = [
        sys.executable, "-m", "papermill", f"nbs/research/{notebook}.ipynb", f"{folder}/{notebook}.ipynb", "--no-progress-bar", *options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_baselines(folder):
    options = "options={epochs: 1, batches: {batch_characters: 4000}}"
    study(folder, "15_zhang", f"results={folder}/zhang.csv", f"run={folder}/zhang", options)
    networks = f"networks={{charcnn: [{TINY}, {QUICK}]}}"
    trained = f"trained={{ZhangCNN small: {folder}/zhang}}"
    study(folder, "10_baselines", f"folder={folder}/results", trained, networks)
    first = pd.read_csv(folder / "results/baselines.csv")
    assert len(first) == 11 and set(first["rows"].dropna()) == {300}
    for name in ("robustness", "prefixes", "sources", "labels"):
        assert set(pd.read_csv(folder / f"results/{name}.csv")["model"]) == set(first["model"])
    gains = pd.read_csv(folder / "results/gains.csv")
    assert set(gains["source"]) == {"all", "yelp", "drugs"} and set(gains["model"]) == {"charcnn"}
    assert set(pd.read_csv(folder / "results/speeds.csv")["model"]) == set(first["model"]) - {"ZhangCNN small"}
    f1 = first.set_index("model")["macro_f1"]
    assert f1.between(0, 1).all() and f1["TF-IDF, words and pairs"] > 0.9


def test_search_goes_on_where_it_stopped(folder):
    options = (f"runs={folder}/search", f"results={folder}/search.csv", f"base={{model: {TINY}, options: {QUICK}}}")
    study(folder, "14_search", *options)
    before = pd.read_csv(folder / "search.csv")
    study(folder, "14_search", *options, "ablations={n-grams: {expected: more, model: {ngrams: [3], buckets: 101}}}")
    after = pd.read_csv(folder / "search.csv")
    assert list(before["model"]) == ["base"] and list(after["model"]) == ["base", "n-grams"]
    assert (after.iloc[0][["macro_f1", "parameters"]] == before.iloc[0][["macro_f1", "parameters"]]).all()


def test_another_dataset_trains_anew_and_shows_nothing_of_ours(folder):
    shutil.copy("nbs/research/results/search.csv", folder / "ours.csv")
    ours = pd.read_csv(folder / "ours.csv")
    options = (f"runs={folder}/own", f"results={folder}/ours.csv", f"base={{model: {TINY}, options: {QUICK}}}")
    study(folder, "14_search", *options)
    table = pd.read_csv(folder / "ours.csv")
    assert len(table) == len(ours) + 1 and table.iloc[-1]["data"] != ours.iloc[0]["data"]
    shown = json.loads((folder / "14_search.ipynb").read_text())["cells"]
    first = next(str(cell["outputs"]) for cell in shown if "found = table.table" in "".join(cell["source"]))
    assert "base" in first and "no n-grams" not in first


@pytest.mark.parametrize(
    ("notebook", "more"),
    [
        ("11_learning_curves", ("sizes=[100, 0]", "reviews_seen=300", f"model={TINY}", f"options={QUICK}")),
        ("12_domains", ("groups={food: [yelp], health: [drugs]}", f"model={TINY}", f"options={QUICK}")),
        ("13_errors", ()),
    ],
)
def test_the_others_run(folder, notebook, more):
    places = () if notebook == "13_errors" else (f"results={folder}/{notebook}.csv",)
    runs = () if notebook == "13_errors" else (f"runs={folder}/{notebook}",)
    study(folder, notebook, *places, *runs, *more)
    if places:
        assert len(pd.read_csv(folder / f"{notebook}.csv"))


PRETRAINED = Path("charcnn/pretrained")


def newest(name: str) -> pd.DataFrame:
    "The rows of the dataset that was measured last; README is about these."
    table = pd.read_csv(f"nbs/research/results/{name}.csv", dtype={"data": str})
    return table[table["data"] == table["data"].iloc[-1]]


@pytest.fixture(scope="module")
def robustness() -> pd.DataFrame:
    return newest("robustness").pivot(index="model", columns="corruption", values="macro_f1")


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_the_bundled_model_is_above_every_baseline(robustness, corruption):
    baselines = robustness[corruption].drop(["charcnn", "our teacher"])
    assert robustness[corruption]["charcnn"] > baselines.max()


def test_reviews_are_held_out_of_training(folder):
    made = folder / "runs/bundled/now"  # a run of the pipeline, as its record has it
    for name, source in {"dataset": folder / "dataset", "teacher": PRETRAINED}.items():
        shutil.copytree(source, made / name)
    (folder / "tiny.yaml").write_text(TINY)
    own = {"dataset": str(made / "dataset"), "options": yaml.safe_load(QUICK), "snippets": 20}
    taught = own | {"teacher": str(made / "teacher")}
    parameters = {
        "dataset": {},
        "teacher": own | {"model": "nowhere.yaml"},
        "student": taught | {"model": str(folder / "tiny.yaml")},
        "more": taught | {"model": str(made / "student/best")},
    }
    stages = {
        name: {"stage": "train" if values else "dataset", "status": "complete", "folder": f"bundled/now/{name}", "parameters": values}
        for name, values in parameters.items()
    }  # fmt: skip
    (made / "run.json").write_text(json.dumps({"stages": stages}))
    study(folder, "16_held_out", f"bundled={made}", f"run={folder}/held-out", f"results={folder}/held_out.csv")
    table = pd.read_csv(folder / "held_out.csv")
    assert set(table["source"]) == {"all", "yelp", "drugs"} and table["above"].nunique() == 5
    runs = [json.loads((folder / f"held-out/{run}/history.json").read_text()) for run in ("student", "more")]
    assert max(run[0]["texts"] for run in runs) <= 300 - table["reviews"].max() + 20


def test_sources_are_rated_by_a_model_of_the_others(folder):
    study(folder, "17_ratings", f"results={folder}/ratings.csv", "parts={drugs: food}")
    stars = pd.read_csv(folder / "ratings.csv").set_index("part")
    assert set(stars.index) == {"yelp", "drugs: food", "drugs: no food"} and stars["reviews"].sum() == 300
    assert (stars["5"] > stars["1"]).all()


def test_no_baseline_is_ahead_on_a_source_by_more_than_chance_explains():
    gains = newest("gains")
    assert set(gains["source"]) == {"all", *newest("sources")["source"]}
    assert (gains["high"] >= 0).all()  # the best baseline of each source is among them


def test_what_is_excluded_is_what_was_measured_as_misrated():
    stars = pd.read_csv("nbs/research/results/ratings.csv").set_index("part")
    odd = set(stars.index[(stars["5"] - stars["1"] < 1) | (stars["3"] > 3.5)])
    rules = pd.read_csv("data/exclusions.csv").fillna("")
    assert odd == {f"{rule.source}: {rule.contains}" if rule.contains else rule.source for rule in rules.itertuples()}


def test_the_bundled_model_is_small_calibrated_and_the_one_in_the_tables():
    config = json.loads((PRETRAINED / "config.json").read_text())
    measured = config["metrics"]["balanced"]
    assert (PRETRAINED / "model.onnx").stat().st_size <= 4e6
    assert measured["ece"] <= 0.02
    table = pd.read_csv("nbs/research/results/baselines.csv", dtype={"data": str})
    row = table[table["data"] == config["provenance"]["dataset"][:12]].set_index("model").loc["charcnn"]
    assert row["macro_f1"] == pytest.approx(measured["macro_f1"], abs=0.002)  # calibrated on all, not crosswise


def test_readme_says_what_was_measured(robustness):
    rows = [line.replace("*", "").strip("| ").split(" | ") for line in Path("README.md").read_text().splitlines()]
    said = {row[0]: row[1:] for row in rows if len(row) == 6 and row[1].startswith("0.")}
    speeds = pd.read_csv("nbs/research/results/speeds.csv").set_index("model")["score_texts_per_s"]
    names = {"MiniLM, fine-tuned": "our teacher"}
    assert len(said) == 6 and "charcnn" in said
    for name, (*values, _, speed) in said.items():
        name = names.get(name, name)
        measured = robustness.loc[name, ["clean", "typos 10 %", "no spaces"]]
        assert [float(value) for value in values] == pytest.approx(list(measured), abs=0.00051)
        assert speed == (f"{speeds[name]:,}" if name in speeds else "–")
