"""Ratings on every scale, in files of every kind: each to the right labels, or refused with the way out."""

import csv
import gzip
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from charcnn.dataset.prepare import DatasetOptions, prepare
from charcnn.dataset.sources import read_hub

REVIEWS = {f"Review {n}: the soup was {'awful bad plain good lovely'.split()[n % 5]}": n % 5 + 1 for n in range(300)}
WHOLE = {"validation": 0, "test": 0}


def labels(source, folder: Path, **options) -> dict[str, str]:
    "The label of each text, read into a dataset."
    rows = prepare([source], folder / "made", DatasetOptions(**WHOLE | options), progress=False)["train"]
    names = rows.features["label"].names
    return {text: names[label] for text, label in zip(rows["text"], rows["label"], strict=True)}


def report(folder: Path) -> dict:
    return json.loads((folder / "made" / "report.json").read_text())


def named(stars: int) -> str:
    return "bad" if stars < 3 else "good" if stars > 3 else "average"


def separated(ratings: dict[str, object], header=("text", "rating"), **style) -> str:
    lines = io.StringIO(newline="")
    csv.writer(lines, **style).writerows([header, *ratings.items()] if header else ratings.items())
    return lines.getvalue()


WORDS = {1: "negative", 2: "negative", 3: "neutral", 4: "positive", 5: "Positive"}
READ = {
    "stars": str,
    "decimals": lambda stars: f"{stars}.0",
    "comma decimals": lambda stars: f"{stars},0",
    "half stars": lambda stars: stars - 0.5,
    "of five": lambda stars: f"{stars}/5",
    "of ten": lambda stars: f"{2 * stars} / 10",
    "out of": lambda stars: f"Rated {stars} out of 5",
    "German": lambda stars: f"{stars},0 von 5 Sternen",
    "star words": lambda stars: f"{stars} star" + "s" * (stars > 1),
    "glyphs": lambda stars: "★" * stars + "☆" * (5 - stars),
    "emoji": lambda stars: "⭐" * stars,
    "percent": lambda stars: f"{20 * stars} %",
    "0-4": lambda stars: stars - 1,
    "-1, 0, 1": lambda stars: (stars > 3) - (stars < 3),
    "0-100": lambda stars: 20 * stars - (7 * stars) % 10,
    "words": WORDS.get,
    "French": {1: "négatif", 2: "négatif", 3: "neutre", 4: "positif", 5: "positif"}.get,
    "five words": {1: "very bad", 2: "bad", 3: "ok", 4: "good", 5: "excellent"}.get,
    "mixed": lambda stars: {1: "1/5", 2: "40%", 3: "★★★", 4: "4 stars", 5: "10/10"}[stars],
}


@pytest.mark.parametrize("name", READ)
def test_a_recognised_scale_gives_the_right_labels(tmp_path, name):
    (tmp_path / "r.csv").write_text(separated({text: READ[name](stars) for text, stars in REVIEWS.items()}))
    assert labels(tmp_path / "r.csv", tmp_path) == {text: named(stars) for text, stars in REVIEWS.items()}
    if name not in ("stars", "decimals", "comma decimals"):
        examples = report(tmp_path)["sources"][0]["ratings"]["examples"]
        assert {named(star) for _, star in examples} == {"bad", "average", "good"}


STATED = {
    "0-1": (lambda stars: int(stars > 3), lambda stars: "good" if stars > 3 else "bad"),
    "1-0": (lambda stars: int(stars < 3), lambda stars: "bad" if stars < 3 else "good"),
    "1-2": (lambda stars: 1 + (stars > 2), lambda stars: "good" if stars > 2 else "bad"),
    "0-2": (lambda stars: (stars > 2) + (stars > 3), named),
    "1-10": (lambda stars: 2 * stars - stars % 2, named),
    "-1-1": (lambda stars: (stars - 3) / 2, named),
    "-3..3": (lambda stars: 3 if stars > 3 else -3 if stars < 3 else 0, named),
    "6-1": (lambda stars: {1: 6, 2: 5, 3: 3.5, 4: 2, 5: 1}[stars], named),
    "0-20": (lambda stars: 4 * stars, named),
    "pos=5, neg=1, so=3": (lambda stars: {"bad": "neg", "average": "so", "good": "POS"}[named(stars)], named),
    "true=5,false=1": (lambda stars: "true" if stars > 2 else "false", lambda stars: "good" if stars > 2 else "bad"),
}


@pytest.mark.parametrize("scale", STATED)
def test_a_stated_scale_gives_the_right_labels(tmp_path, scale):
    given, expected = STATED[scale]
    (tmp_path / "r.csv").write_text(separated({text: given(stars) for text, stars in REVIEWS.items()}))
    assert labels(tmp_path / "r.csv", tmp_path, scale=scale) == {
        text: expected(stars) for text, stars in REVIEWS.items()
    }


AMBIGUOUS = {
    "0 and 1": (lambda stars: int(stars > 3), "--scale 0-1"),
    "1 and 2": (lambda stars: 1 + (stars > 3), "--scale 1-2"),
    "0 to 2": (lambda stars: stars // 2, "--scale 0-2"),
    "1 to 10": (lambda stars: 2 * stars - stars % 2, "--scale 1-10"),
    "probabilities": (lambda stars: stars / 5.5, "--scale 0-1"),
    "0 to 5": (lambda stars: (stars - 1) * 5 // 4, "--scale 0-5"),
    "booleans": (lambda stars: stars > 3, "--scale 'False=STARS,True=STARS'"),
    "topics": (lambda stars: "shop hotel film bank zoo".split()[stars - 1], "--label-column"),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_ambiguous_scale_is_refused_with_the_option_to_give(tmp_path, name):
    given, way_out = AMBIGUOUS[name]
    (tmp_path / "r.csv").write_text(separated({text: given(stars) for text, stars in REVIEWS.items()}))
    with pytest.raises(ValueError, match="ratings") as refused:
        labels(tmp_path / "r.csv", tmp_path)
    assert way_out in str(refused.value) and not (tmp_path / "made").exists()


def test_a_few_ratings_off_the_scale_are_left_out_and_counted(tmp_path):
    odd = {"Off the scale": 17, "No number": "xx", "Not rated": "n/a", "Neither": ""}
    (tmp_path / "r.csv").write_text(separated(REVIEWS | odd))
    assert not set(labels(tmp_path / "r.csv", tmp_path)) & set(odd)
    assert report(tmp_path)["dropped"] == {"rating is not on the scale 1-5": 2, "missing rating": 2}
    (tmp_path / "r.csv").write_text(separated(REVIEWS | {f"Off {n}": 17 for n in range(30)}))
    with pytest.raises(ValueError, match="--scale"):
        labels(tmp_path / "r.csv", tmp_path)


def test_two_sources_keep_their_own_scales(tmp_path):
    (tmp_path / "ten.csv").write_text(separated({f"Ten {text}": f"{2 * stars}/10" for text, stars in REVIEWS.items()}))
    (tmp_path / "two.csv").write_text(separated({f"Two {text}": int(stars > 3) for text, stars in REVIEWS.items()}))
    (tmp_path / "five.csv").write_text(separated(REVIEWS))
    files = [tmp_path / name for name in ("ten.csv", "two.csv", "five.csv")]
    made = prepare(files, tmp_path / "made", DatasetOptions(**WHOLE, scale={"two": "0-1"}), progress=False)["train"]
    found = dict(zip(made["text"], made["rating"], strict=True))
    for text, stars in REVIEWS.items():
        assert (found[text], found[f"Ten {text}"], found[f"Two {text}"]) == (stars, stars, 5 if stars > 3 else 1)
    with pytest.raises(ValueError, match=r"stated for tow; the sources: ten, two, five"):
        prepare(files, tmp_path / "made", DatasetOptions(scale={"tow": "0-1"}), progress=False)


ROWS = [{"text": text, "rating": stars} for text, stars in REVIEWS.items()]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
FRENCH = {f"Très déçu, le café est {text}": stars for text, stars in REVIEWS.items()}
QUOTED = {f'{text}, he said "no"': stars for text, stars in REVIEWS.items()}
PLAIN = {text.replace(":", ""): stars for text, stars in REVIEWS.items()}


def zipped(name: str, content: str) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(name, content)
    return archive.getvalue()


def workbook(rows: list[tuple]) -> bytes:
    "The least that is an .xlsx: one sheet, texts in the cells."
    office, package = (
        "http://schemas.openxmlformats.org/officeDocument/2006",
        "http://schemas.openxmlformats.org/package/2006",
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = [
        [
            f"<c><v>{value}</v></c>" if isinstance(value, int) else f'<c t="inlineStr"><is><t>{value}</t></is></c>'
            for value in row
        ]
        for row in rows
    ]
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}/relationships"><sheets><sheet name="Reviews" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" Type="{office}/relationships/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join("<row>" + "".join(row) + "</row>" for row in cells)}</sheetData></worksheet>',
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return archive.getvalue()


BY_NUMBER = {"no_header": True, "text_column": "1", "rating_column": "2"}
FORMS = {
    "array.json": (json.dumps(ROWS), REVIEWS, {}),
    "lines.json": (LINES, REVIEWS, {}),
    "pretty.json": (json.dumps(ROWS, indent=2), REVIEWS, {}),
    "within.json": (json.dumps({"count": 300, "data": ROWS}), REVIEWS, {}),
    "columns.json": (json.dumps({"text": list(REVIEWS), "rating": list(REVIEWS.values())}), REVIEWS, {}),
    "mixed.jsonl": ("".join(json.dumps({"text": t, "rating": r if r % 2 else str(r)}) + "\n" for t, r in REVIEWS.items()), REVIEWS, {}),
    "nested.jsonl": ("".join(json.dumps({"review": {"text": t, "stars": r}}) + "\n" for t, r in REVIEWS.items()), REVIEWS, {"text_column": "review.text", "rating_column": "review.stars"}),
    "half.jsonl": ('{"text": "half\n' + LINES, REVIEWS, {}),
    "lines.jsonl.gz": (gzip.compress(LINES.encode()), REVIEWS, {}),
    "reviews.zip": (zipped("in/reviews.csv", separated(REVIEWS)), REVIEWS, {}),
    "reviews.csv.zip": (zipped("reviews.csv", separated(REVIEWS)), REVIEWS, {}),
    "book.xlsx": (workbook([("text", "rating"), *REVIEWS.items()]), REVIEWS, {}),
    "no_header.csv": (separated(REVIEWS, header=None), REVIEWS, BY_NUMBER),
    "no_header.xlsx": (workbook(list(REVIEWS.items())), REVIEWS, BY_NUMBER),
    "fasttext.txt": ("".join(f"__label__{r} {t}\n" for t, r in REVIEWS.items()), REVIEWS, {}),
    "semicolon.csv": (separated(REVIEWS, delimiter=";"), REVIEWS, {}),
    "pipe.csv": (separated(REVIEWS, delimiter="|"), REVIEWS, {}),
    "tabs.csv": (separated(REVIEWS, delimiter="\t"), REVIEWS, {}),
    "spaces.csv": (separated(REVIEWS, header=(" text ", " rating")), REVIEWS, {}),
    "mac.csv": (separated(REVIEWS, lineterminator="\r"), REVIEWS, {}),
    "backslash.csv": (separated(QUOTED, quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\"), QUOTED, {}),
    "doubled.csv": (separated(QUOTED, quoting=csv.QUOTE_ALL), QUOTED, {}),
    "literal.tsv": ("text\trating\n" + "".join(f'"{t}, really\t{r}\n' for t, r in REVIEWS.items()), {f'"{t}, really': r for t, r in REVIEWS.items()}, {}),
    "marked.csv": (b"\xef\xbb\xbf" + separated(FRENCH).encode(), FRENCH, {}),
    "utf16.csv": (separated(FRENCH).encode("utf-16"), FRENCH, {}),
    "utf16.tsv": (separated(FRENCH, delimiter="\t").encode("utf-16"), FRENCH, {}),
    "latin1.csv": (separated(FRENCH).encode("latin-1"), FRENCH, {}),
    "cp1252.csv": (separated({f"{t} – 5 € “vraiment”": r for t, r in FRENCH.items()}).encode("cp1252"), {f"{t} – 5 € “vraiment”": r for t, r in FRENCH.items()}, {}),
    "latin1.jsonl": ("".join(json.dumps({"text": t, "rating": r}, ensure_ascii=False) + "\n" for t, r in FRENCH.items()).encode("latin-1"), FRENCH, {}),
    "twice.csv": (separated(REVIEWS, header=("text", "text")), REVIEWS, {"text_column": "1", "rating_column": "2"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_file_as_people_have_it_gives_the_right_labels(tmp_path, name):
    content, expected, options = FORMS[name]
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    assert labels(tmp_path / name, tmp_path, **options) == {text: named(stars) for text, stars in expected.items()}


@pytest.mark.parametrize("name", ["latin1.csv", "cp1252.csv"])
def test_an_encoding_that_was_found_out_is_said(tmp_path, name):
    (tmp_path / name).write_bytes(FORMS[name][0])
    labels(tmp_path / name, tmp_path)
    (note,) = report(tmp_path)["sources"][0]["notes"]
    assert "read as cp1252" in note and "Très déçu" in note


def test_title_and_text_are_joined(tmp_path):
    rows = [("title", "text", "rating"), *((f"Number {stars}", text, stars) for text, stars in REVIEWS.items())]
    (tmp_path / "r.csv").write_text("".join(f"{title},{text},{stars}\n" for title, text, stars in rows))
    found = labels(tmp_path / "r.csv", tmp_path, text_column="title,text")
    assert found == {f"Number {stars}\n{text}": named(stars) for text, stars in REVIEWS.items()}


def test_one_stray_quote_costs_two_reviews(tmp_path):
    lines = [f'"{text}",{stars}\n' for text, stars in REVIEWS.items()]
    lines[100] = lines[100].replace('",', ",")
    (tmp_path / "r.csv").write_text("text,rating\n" + "".join(lines))
    found = labels(tmp_path / "r.csv", tmp_path)
    assert set(REVIEWS) - set(found) == {list(REVIEWS)[100], list(REVIEWS)[101]} and set(found) <= set(REVIEWS)
    assert report(tmp_path)["dropped"] == {"unreadable line: unquoted value": 2} and report(tmp_path)["read"] == 300


REFUSED = {
    "other_names.csv": (separated(REVIEWS, header=("reviewText", "overall")), "--text-column reviewText --rating-column overall"),
    "capitals.csv": (separated(REVIEWS, header=("Text", "Rating")), "--text-column Text --rating-column Rating"),
    "unnamed.csv": (separated(REVIEWS, header=None), "--no-header --text-column 1 --rating-column 2"),
    "nested.jsonl": (FORMS["nested.jsonl"][0], "--text-column review.text --rating-column review.stars"),
    "twice.csv": (separated(REVIEWS, header=("text", "text")), "2 columns are called 'text'; name one by its number, 1 or 2"),
    "unquoted.csv": ("text,rating\n" + "".join(f"{text}, really,{stars}\n" for text, stars in REVIEWS.items()), "put texts with separators or line breaks in quotes"),
    "two.zip": (b"", "unpack it and name the files: a.csv, b.csv"),
    "prose.txt": ("What a lovely soup.\n", "__label__"),
    "turkish.csv": (separated({f"Çok güzel, çalışanlar ilgili {n}": 5 for n in range(50)}).encode("cp1254"), "name it with --encoding"),
    "object.json": ('{"text": "one", "rating": 5}', "as JSON Lines"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_is_refused_with_the_way_out(tmp_path, name):
    content, way_out = REFUSED[name]
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    if name == "two.zip":
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("a.csv", "x")
            archive.writestr("b.csv", "x")
    with pytest.raises(ValueError, match=name) as refused:
        labels(tmp_path / name, tmp_path)
    assert way_out in str(refused.value) and not (tmp_path / "made").exists()


STARS = [
    ["1 star", "2 star", "3 stars", "4 stars", "5 stars"],
    ["0", "1", "2", "3", "4"],
    ["very bad", "bad", "ok", "good", "very good"],
]


@pytest.mark.parametrize("names", STARS, ids=" ".join)
@pytest.mark.parametrize("where", ["memory", "parquet", "hub"])
def test_a_dataset_is_read_by_the_names_of_its_labels(tmp_path, names, where):
    features = Features({"text": Value("string"), "label": ClassLabel(names=sorted(names))})
    places = [sorted(names).index(names[stars - 1]) for stars in REVIEWS.values()]
    given = Dataset.from_dict({"text": list(REVIEWS), "label": places}, features)
    if where != "memory":
        (tmp_path / "hub").mkdir()
        given.to_parquet(tmp_path / "hub" / "train.parquet")
        given = tmp_path / "hub" / "train.parquet" if where == "parquet" else read_hub(str(tmp_path / "hub"))
    assert labels(given, tmp_path, rating_column="label") == {text: named(stars) for text, stars in REVIEWS.items()}


def test_a_dataset_keeps_the_names_of_other_labels(tmp_path):
    features = Features({"text": Value("string"), "topic": ClassLabel(names=["zoo", "bank", "film"])})
    given = Dataset.from_dict({"text": list(REVIEWS), "topic": [stars % 3 for stars in REVIEWS.values()]}, features)
    found = labels(given, tmp_path, label_column="topic")
    assert found == {text: ["zoo", "bank", "film"][stars % 3] for text, stars in REVIEWS.items()}


def test_a_language_selects_its_reviews(tmp_path):
    rows = [
        {"text": text, "rating": stars, "language": ["fr", "en", None, "fr-CA"][n % 4]}
        for n, (text, stars) in enumerate(REVIEWS.items())
    ]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert set(labels(tmp_path / "r.jsonl", tmp_path, language="fr")) == {
        row["text"] for row in rows if row["language"] != "en"
    }
    assert report(tmp_path)["dropped"] == {"language is not fr": 75}


def charcnn(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from charcnn.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_line_says_how_ratings_were_read(tmp_path):
    (tmp_path / "r.csv").write_text(
        separated({text: f"{2 * stars}/10" for text, stars in REVIEWS.items()}, delimiter=";")
    )
    done = charcnn("dataset", tmp_path / "r.csv", "--output", tmp_path / "made", "--no-progress")
    assert done.returncode == 0, done.stderr
    assert "'8/10' read as 4" in done.stdout and "separated by ';'" in done.stdout
    assert "'8/10' read as 4" in (tmp_path / "made/README.md").read_text()


def test_the_command_line_takes_scales(tmp_path):
    (tmp_path / "r.csv").write_text(
        separated({text: (stars > 3) * 2 - 1 for text, stars in REVIEWS.items()}, header=None)
    )
    (tmp_path / "s.csv").write_text(
        separated({f"S {text}": int(stars > 3) for text, stars in REVIEWS.items()}, header=None)
    )
    files = ("dataset", tmp_path / "r.csv", tmp_path / "s.csv", "--output", tmp_path / "made", "--no-progress")
    columns = ("--no-header", "--text-column", 1, "--rating-column", 2, "--validation", 0, "--test", 0)
    done = charcnn(*files, *columns)
    assert (
        done.returncode == 2
        and "s.csv" in done.stderr
        and "--scale 0-1" in done.stderr
        and len(done.stderr.splitlines()) == 1
    )
    done = charcnn(*files, *columns, "--scale", "-1-1", "--scale", "s:0-1")
    assert done.returncode == 0, done.stderr
    assert "240 bad, 0 average, 360 good" not in done.stdout and "360 bad, 0 average, 240 good" in done.stdout
