"""charcnn.js in a real browser: the numbers of Python, and one clear reason where it fails."""

import gzip
import hashlib
import json
import random
import tarfile
import unicodedata
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import npm_pack, serving_folder
from onnx import TensorProto
from onnx.helper import make_tensor
from torch import nn

import charcnn
from charcnn.export.calibration import Calibration
from charcnn.export.onnx import export_onnx, round_tables
from charcnn.labels import Labels
from charcnn.models.registry import build_model
from charcnn.scorer import BUNDLED_MODEL, Scorer
from charcnn.text import STEPS, UNKNOWN, Alphabet, Encoder

WEB = Path(charcnn.__file__).parent / "web"
RUNTIME = WEB / "runtime"
POINTS = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "A served folder with an empty page, `web/` and the bundled model as `model/`."
    folder = tmp_path_factory.mktemp("site")
    (folder / "index.html").write_text("<!doctype html><link rel=icon href=data:,>")
    (folder / "web").symlink_to(WEB)
    (folder / "model").symlink_to(BUNDLED_MODEL)
    with serving_folder(folder) as (url, _):
        yield folder, url


def publish(site: tuple[Path, str], folder: Path) -> str:
    "Serve one more model folder under an address that no cache knows, and give back its name."
    name = f"model-{len(list(site[0].iterdir()))}"
    (site[0] / name).symlink_to(folder)
    return name


@pytest.fixture
def ask(browser, site):
    "Run a program of JavaScript in a new page; `charcnn` is the module. A rejected promise is an `AssertionError`."
    browser.get(site[1])
    browser.set_script_timeout(300)

    def run(program: str, *arguments):
        wrapped = """const [done, given] = [arguments[arguments.length - 1], [...arguments].slice(0, -1)];
        const stopped = (e) => done({error: `${e.name}: ${e.message}`, known: e instanceof (window.charcnn?.ModelError ?? Error)});
        (async () => { window.charcnn = await import("/web/charcnn.js"); return await (async (...given) => {%s})(...given); })()
          .then((value) => done({value}), stopped);"""
        answer = browser.execute_async_script(wrapped % program, *arguments)
        assert "error" not in answer, json.dumps(answer)
        return answer["value"]

    return run


# ---- text


@pytest.mark.parametrize(
    "alphabet",
    [
        Alphabet(),
        Alphabet.named("zhang2015", fold=False),
        Alphabet.named("seed2019", lower=False, unknown="drop"),
        Alphabet("aA-b-éßſK☹漢"),
        Alphabet().extended(["Καλό φαγητό, вкусно, อร่อย, ıǆﬁ"] * 10),
        Alphabet("".join(map(chr, range(0x4E00, 0x4F80))) + "i̇", lower=True, fold=False),
    ],
    ids=["default", "not folded", "not lowered", "odd", "scripts", "large"],
)
def test_every_character_is_read_as_in_python(ask, alphabet):
    found = ask(
        """const encoder = new charcnn.Encoder(given[0]), known = [];
        for (let point = 0; point < 0x110000; point++) {
          if (point >= 0xd800 && point < 0xe000) continue;
          const id = encoder.id(String.fromCodePoint(point));
          if (id !== 1) known.push([point, id]);
        }
        return known;""",
        Encoder(alphabet).to_config(),
    )
    table = alphabet.table
    assert found == [[point, int(table[point])] for point in POINTS if table[point] != UNKNOWN]


def test_a_text_of_blanks_is_one_in_both(ask):
    found = ask(
        """const blank = [];
        for (let point = 0; point < 0x110000; point++) if (charcnn.isBlank(String.fromCodePoint(point))) blank.push(point);
        return blank;"""
    )
    assert found == [point for point in range(0x110000) if chr(point).isspace()]


@pytest.mark.parametrize("step", list(STEPS))
def test_preprocessing_does_the_same_to_every_character(ask, step):
    "Those that both know; each knows characters of its own version of Unicode."
    shapes = (
        "{0}",
        "a{0}b",
        "see {0}https://a.b/c{0}d HTTPS://x{0} www.y{0}z",
        "#{0} x{0}#y #a{0}b @{0} x{0}@y @a{0}b",
    )
    points = [p for p in POINTS if unicodedata.category(chr(p)) not in ("Cn", "Co") and (p < 0x3100 or not p % 7)]
    texts = [shape.format(chr(point)) for point in points for shape in shapes]
    found = ask(
        """const [texts, step] = given;
        return texts.map((text) => /\\p{Cn}/u.test(text) ? null : charcnn.preprocess(text, [step]));""",
        texts,
        step,
    )
    pairs = [(STEPS[step](text), there, text) for text, there in zip(texts, found, strict=True) if there is not None]
    assert len(pairs) > 0.9 * len(texts)
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


# ---- scores

WORDS = """the food was great awful not bad at all but never again slow staff lovely price 10/10 ! ? ... très déçu je recommande
das Personal war unfreundlich sehr gut точно плохо отлично とても良い 最悪 很好 差评 رائع سيء 👍 👎 😊😍 ❤️ 👨‍👩‍👧 🙂🙁 ＡＢＣ ﬁne naïve co\u0301te
“quoted” it’s 5⭐ h4t3d l0v3 <b>bold</b> \0 \t \n café 100% 1/5""".split(" ")


def made_texts(count: int = 1000) -> list[str]:
    "Texts of words in several scripts, emoji and marks; some of single characters, blank, empty or very long."
    generator = random.Random(0)
    odd = [
        "",
        " ",
        "\n\t\u3000",
        "a",
        "👍",
        "漢",
        "a" * 10_000,
        "never again " * 900,
        "👎😡" * 5000,
        "x" * 1014,
        "y" * 1015,
    ]
    points = generator.choices(POINTS, k=60)
    texts = [*odd, *(chr(point) for point in points), *("".join(map(chr, points[i:])) for i in range(30))]
    while len(texts) < count:
        texts.append(" ".join(generator.choices(WORDS, k=int(generator.expovariate(1 / 30)) + 1)))
    return texts


def test_a_thousand_texts_score_as_in_python(ask):
    texts, scorer = made_texts(), Scorer()
    found = ask(
        """const scorer = await charcnn.load("model"), scores = [];
        for (const text of given[0]) scores.push(await scorer.score(text));
        return scores;""",
        texts,
    )
    expected = list(scorer.many(texts))
    assert [score["label"] for score in found] == [score.label for score in expected]
    assert [score["rating"] for score in found] == [score.rating for score in expected]
    there, here = [score["probabilities"] for score in found], [score.probabilities for score in expected]
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-5)
    there, here = [score["score"] for score in found], [score.score for score in expected]
    np.testing.assert_allclose(there, here, rtol=0, atol=1e-5)
    for text, score in zip(texts[::5], found[::5], strict=True):
        explained = scorer.explain(text)
        assert "".join(c for c, _ in score["contributions"]) == text
        np.testing.assert_allclose(
            [share for _, share in score["contributions"]], [share for _, share in explained], rtol=0, atol=1e-5
        )


def test_other_encoders_score_as_in_python(ask, site, tmp_path):
    "From back to front, with dropped characters and steps: the text and its contributions meet again."
    encoder = Encoder(Alphabet(unknown="drop"), 60, True, ("remove_urls", "normalize", "lower"))
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "model.onnx").symlink_to(BUNDLED_MODEL / "model.onnx")
    config = json.loads((BUNDLED_MODEL / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"encoder": encoder.to_config()}))
    name = publish(site, folder)
    texts, scorer = made_texts(200), Scorer(folder)
    found = ask(
        """const scorer = await charcnn.load(`${given[1]}/`);
        return await Promise.all(given[0].map((text) => scorer.score(text)));""",
        texts,
        name,
    )
    for text, score in zip(texts, found, strict=True):
        np.testing.assert_allclose(score["probabilities"], scorer(text).probabilities, rtol=0, atol=1e-5)
        explained = scorer.explain(text)
        assert [c for c, _ in score["contributions"]] == [c for c, _ in explained]
        np.testing.assert_allclose([s for _, s in score["contributions"]], [s for _, s in explained], rtol=0, atol=1e-5)


TYPED = (
    "Best coffee ever, the staff are wonderful and friendly.", "The parcel came late and nobody answered. Never again!",
    "Not bad, but I have had better for half the price.", "It works. Setting it up took a while...",
    "Schade, das Essen war kalt und der Kellner unfreundlich.", "Очень плохо, больше никогда.", "😡😡 worst app evr, dont buy",
)  # fmt: skip


def test_bar_colour_label_and_stars_are_one_verdict_and_that_of_python(ask):
    "On every beginning of texts while they are typed."
    beginnings = [text[:length] for text in TYPED for length in range(1, len(text) + 1)]
    found = ask(
        """const scorer = await charcnn.load("model"), scores = [];
        for (const text of given[0]) scores.push(await scorer.score(text));
        return scores.map(({label, score, rating, known, foreign}) => [label, Math.round(100 * score), rating, known, foreign]);""",
        beginnings,
    )
    scorer = Scorer()
    for text, (label, percent, rating, known, foreign) in zip(beginnings, found, strict=True):
        reading = scorer.read(text)
        score = reading.score
        assert (label, percent, rating) == (score.label, round(100 * score.score), score.rating), text
        assert abs(known - reading.known) < 1e-6 and foreign == reading.foreign, text
        assert label == ("bad" if percent <= 33 else "average" if percent < 67 else "good"), text
        assert label == ("bad", "bad", "average", "good", "good")[rating - 1], text
    assert [scorer.read(text).foreign for text in TYPED] == [False, False, False, False, True, True, False]


def test_contributions_are_left_out_on_request_and_for_older_folders_too(ask, site, tmp_path):
    "In folders of 0.14.0 `explain` is an input with a default, which this runtime cannot set, and labels have no kind."
    graph = onnx.load(BUNDLED_MODEL / "model.onnx")
    graph.graph.initializer.append(make_tensor("explain", TensorProto.BOOL, [], [True]))
    onnx.save(graph, tmp_path / "model.onnx")
    write_folder(tmp_path, changed(labels=["bad", "average", "good"], classes=5))
    name = publish(site, tmp_path)
    found = ask(
        """const older = await charcnn.load(given[0]), newer = await charcnn.load("model");
        return Promise.all([older, newer].flatMap((scorer) => [true, false].map((explain) => scorer.score("Lovely!", {explain}))));""",
        name,
    )
    assert ["contributions" in score for score in found] == [True, False, True, False]
    expected = Scorer(tmp_path)("Lovely!")
    assert {(score["label"], score["rating"]) for score in found} == {(expected.label, expected.rating)}
    assert all(np.abs(np.array(score["probabilities"]) - expected.probabilities).max() < 1e-5 for score in found)


@pytest.mark.parametrize(
    "labels",
    [
        Labels(("food", "staff", "room", "price", "place")),
        Labels.of_ratings(5),
        Labels.of_ratings(3),
        Labels.of_ratings(2),
    ],
    ids=["names", "5", "3", "2"],
)
def test_labels_are_read_as_in_python(ask, labels):
    "Only ratings have a score and a suggested rating; a blank text of other labels has no label."
    generator = np.random.default_rng(0)
    rows = [*generator.dirichlet(np.ones(len(labels)), 200).tolist(), *np.eye(len(labels)).tolist()]
    found, neutral = ask(
        """const labels = new charcnn.Labels({labels: given[0]});
        return [given[1].map((row) => labels.read(row)), labels.neutral()];""",
        labels.to_config(),
        rows,
    )
    for score, expected in zip(
        [*found, neutral], [*labels.scores(np.array(rows)), labels.neutral_score()], strict=True
    ):
        assert score["label"] == expected.label and score.get("rating") == expected.rating
        assert set(score) == {key for key, value in asdict(expected).items() if value is not None or key == "label"}
        np.testing.assert_allclose(score["probabilities"], expected.probabilities, rtol=0, atol=1e-9)
        assert labels.are_ratings is False or abs(score["score"] - expected.score) < 1e-6


SMALL = {"widths": [16, 16], "depths": [0, 1], "ngrams": [3, 5], "buckets": 101, "encoder": {"max_length": 300}}


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        SMALL | {"labels": Labels(("food", "staff", "room")).to_config()},
        {"architecture": "NgramClassifier", "ngrams": [2, 4], "buckets": 101, "encoder": {"max_length": 300}},
        {"architecture": "ZhangCNN", "encoder": {"alphabet": "zhang2015", "max_length": 204, "reverse": True}},
    ],
    ids=["CharCNN", "topics", "NgramClassifier", "ZhangCNN"],
)
def test_what_is_exported_scores_in_the_browser(ask, site, tmp_path, config):
    "Each architecture, with random weights, and contributions where it has them."
    torch.manual_seed(0)
    model, texts = build_model(config), made_texts(200)
    if getattr(model, "votes", None) is not None:
        targets = np.arange(len(texts)) % len(model.labels)
        model.fit_vocabulary(*model.encoder.flat(texts), targets)
        nn.init.normal_(model.votes.table.weight[1:], std=0.1)
    model = round_tables(model).eval()
    calibration = Calibration()
    model.save_pretrained(tmp_path, config={"calibration": asdict(calibration)})
    export_onnx(model, tmp_path / "model.onnx", calibration)
    found = ask(
        """const scorer = await charcnn.load(given[0]);
        return await Promise.all(given[1].map((text) => scorer.score(text)));""",
        publish(site, tmp_path),
        texts,
    )
    scorer = Scorer(tmp_path)
    for text, score in zip(texts, found, strict=True):
        np.testing.assert_allclose(score["probabilities"], scorer(text).probabilities, rtol=0, atol=1e-5)
        assert ("contributions" in score) == scorer.explains
        if scorer.explains:
            expected = [share for _, share in scorer.explain(text)]
            np.testing.assert_allclose([share for _, share in score["contributions"]], expected, rtol=1e-4, atol=1e-5)


# ---- failing


def write_folder(folder: Path, config: dict | str | None = None, graph: bytes | None = None) -> None:
    "A model folder with another config or another graph; what is None is missing."
    if config is not None:
        (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    if graph is not None:
        (folder / "model.onnx").write_bytes(graph)


def refusal(ask, program: str, *arguments) -> str:
    "Why a program fails: a `ModelError` of one line."
    with pytest.raises(AssertionError) as caught:
        ask(program, *arguments)
    answer = json.loads(str(caught.value).split("\nassert ")[0])
    assert answer["known"] and "\n" not in answer["error"], answer
    return answer["error"]


def changed(**changes) -> dict:
    "The bundled config with other values; None removes a key, `encoder` is merged."
    config = json.loads((BUNDLED_MODEL / "config.json").read_text(encoding="utf-8"))
    changes = changes | ({"encoder": config["encoder"] | changes["encoder"]} if changes.get("encoder") else {})
    return {key: value for key, value in (config | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (None, "config.json cannot be loaded: 404"),
        ("{", "config.json cannot be used"),
        ("[]", "encoder"),
        ("null", "config.json cannot be used"),
        (changed(encoder=None), "encoder is missing"),
        (changed(encoder={"steps": ["stem"]}), "preprocessing step stem is not one of lower"),
        (changed(encoder={"tokens": 3}), "a key that this charcnn.js does not know: tokens"),
        (changed(encoder={"max_length": 0}), "max_length is 0"),
        (changed(encoder={"steps": None}), "steps"),
        (changed(labels=["bad", "good"], classes=7), "classes is 7"),
        (changed(labels=None), "labels is missing"),
        (changed(labels={"classes": ["one"], "ratings": False}), "no list of two or more names"),
        (changed(labels={"classes": ["low", "high"], "ratings": True}), "low,high are no ratings"),
        (changed(labels={"classes": ["a", "b"], "ratings": False, "tree": []}), "does not know: tree"),
    ],
    ids=range(14),
)
def test_a_config_that_cannot_be_used_is_refused_with_its_reason(ask, site, tmp_path, config, reason):
    write_folder(tmp_path, config, (BUNDLED_MODEL / "model.onnx").read_bytes())
    name = publish(site, tmp_path)
    assert reason in refusal(ask, "await charcnn.load(given[0])", name)


@pytest.mark.parametrize(
    ("graph", "reason"), [(None, "404"), (b"<!doctype html>", "model.onnx cannot be loaded"), (b"", "model.onnx")]
)
def test_a_graph_that_cannot_be_used_is_refused_with_its_reason(ask, site, tmp_path, graph, reason):
    write_folder(tmp_path, changed(), graph)
    name = publish(site, tmp_path)
    found = refusal(ask, "await charcnn.load(given[0])", name)
    assert reason in found and "model.onnx" in found


def test_a_browser_without_webassembly_says_so(ask):
    assert "runs no WebAssembly" in refusal(ask, 'window.WebAssembly = undefined; await charcnn.load("model")')


def test_a_missing_runtime_is_named(ask):
    assert "nowhere/ort" in refusal(ask, 'await charcnn.load("model", {runtime: "nowhere"})')


@pytest.mark.parametrize("failure", ["instantiate", "validate"])
def test_a_browser_that_refuses_webassembly_says_so(ask, failure):
    "As where a policy forbids it, or the processor lacks what the runtime is compiled for."
    program = f"WebAssembly.{failure} = () => {{ throw new Error('forbidden') }}; await charcnn.load('model')"
    assert "cannot be" in refusal(ask, program)


@pytest.mark.parametrize("text", [None, 3, ["a"]])
def test_what_is_no_text_is_refused(ask, text):
    assert "not a string" in refusal(ask, 'await (await charcnn.load("model")).score(given[0])', text)


# ---- what is carried


def test_the_runtime_is_the_published_one(tmp_path):
    "Byte by byte what the npm package holds; only compressed."
    manifest = json.loads((RUNTIME / "manifest.json").read_text(encoding="utf-8"))
    for name, file in manifest["files"].items():
        content = (RUNTIME / name).read_bytes()
        content = gzip.decompress(content) if name.endswith(".gz") else content
        assert hashlib.sha256(content).hexdigest() == file["sha256"], name
    tarball = npm_pack(f"{manifest['package']}@{manifest['version']}", tmp_path)
    assert hashlib.sha256(tarball.read_bytes()).hexdigest() == manifest["tarball_sha256"]
    with tarfile.open(tarball) as published:
        for name, file in manifest["files"].items():
            content = published.extractfile(f"package/{file['from']}").read()
            assert hashlib.sha256(content).hexdigest() == file["sha256"], name


def test_model_and_runtime_are_at_most_6_5_megabytes():
    files = [*RUNTIME.glob("ort*"), WEB / "charcnn.js", BUNDLED_MODEL / "model.onnx", BUNDLED_MODEL / "config.json"]
    assert sum(file.stat().st_size for file in files) < 6.5e6
