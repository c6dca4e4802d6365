"""The documentation site: it is written, leads nowhere wrong, loads nothing from elsewhere, finds words, and scores."""

import ast
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import lxml.html
import pytest
import typer
from conftest import Visit, requests_of, serving_folder
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from charcnn.cli import app
from charcnn.scorer import Scorer

ROOT = Path(__file__).parent.parent
PRAISE = "Best coffee ever, the staff are wonderful and friendly. Highly recommended!"
PLACES = {"a": "href", "img": "src", "link": "href", "script": "src", "iframe": "src"}


@pytest.fixture(scope="module")
def site() -> Path:
    "What `make docs` writes."
    done = subprocess.run([sys.executable, ROOT / "docs" / "build.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return ROOT / "_docs"


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, lxml.html.HtmlElement]:
    files = [file for file in site.rglob("*.html") if "playground" not in file.parts and file.name != "404.html"]
    return {file: lxml.html.fromstring(file.read_bytes()) for file in files}


def sources() -> dict[Path, str]:
    folder = ROOT / "_proc" / "pages"
    return {file.relative_to(folder): file.read_text(encoding="utf-8") for file in folder.rglob("*.md")}


def blocks(markdown: str) -> Iterator[tuple[str, str]]:
    "Language and text of each block of code."
    for found in re.finditer(r"^(`{3,}) *(\S*).*\n((?:.*\n)*?)\1$", markdown, re.M):
        yield found[2], found[3]


def test_every_link_and_picture_leads_somewhere_and_nothing_is_loaded_from_elsewhere(site, pages):
    anchors = {file: set(page.xpath("//@id")) | set(page.xpath("//a/@name")) for file, page in pages.items()}
    wrong = []
    for file, page in pages.items():
        for tag, attribute in PLACES.items():
            for place in page.xpath(f"//{tag}/@{attribute}"):
                if urlsplit(place).scheme or place.startswith("//"):
                    wrong += [f"{file.name} loads {place}"] if tag != "a" and not place.startswith("data:") else []
                    continue
                path, anchor = urldefrag(unquote(place))
                target = (file.parent / path).resolve() if path else file
                if not target.is_file() or (anchor and target in anchors and anchor not in anchors[target]):
                    wrong.append(f"{file.relative_to(site)} names {place}")
    assert not wrong, f"{len(wrong)}: {wrong[:10]}"


def test_every_notebook_is_a_page_with_its_own_title(site, pages):
    for notebook in (ROOT / "nbs").rglob("*.ipynb"):
        place = notebook.relative_to(ROOT / "nbs").with_suffix(".html")
        if place.name != "index.html" and ".ipynb_checkpoints" not in place.parts:
            cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
            title = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown").splitlines()[0]
            (shown,) = pages[site / place].xpath("//h1")
            assert shown.text_content().removesuffix("¶").strip() == title.strip("# ").replace("`", "")


def test_what_is_there_for_tools_is_not_shown(site, pages):
    for file, page in pages.items():
        for code in page.xpath("//article//pre"):
            text = code.text_content()
            assert not re.search(r"^#\||^In \[|# fmt: |2>/dev/null", text, re.M), f"{file}: {text[:200]}"


def test_readers_can_run_what_they_read(site):
    "Each block of Python compiles."
    for file, text in sources().items():
        for language, code in blocks(text):
            if language == "python":
                try:
                    compile(code, str(file), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                except SyntaxError as e:
                    pytest.fail(f"{file}: {e}: {code[:300]}")


def commands(markdown: str) -> Iterator[list[str]]:
    "Commands of charcnn in blocks of the shell and in prose, as words."
    shell = [line for language, code in blocks(markdown) if language in ("sh", "console") for line in code.splitlines()]
    for line in [*shell, *re.findall(r"`((?:[A-Z_]+=\S+ )?charcnn [^`\n]+)`", markdown)]:
        for command in re.split(r" && | \| |; ", line.strip().removeprefix("$ ")):
            found = re.fullmatch(r"(?:[A-Z_]+=\S+ )*charcnn( [a-z].*)", command)
            if found:
                yield shlex.split(found[1].split(" >")[0], comments=True)


def test_every_command_that_is_shown_exists_with_its_options(site):
    root, seen = typer.main.get_command(app), 0
    for file, text in sources().items():
        if str(file) == "changes.md" or "18_log" in str(file):
            continue
        for words in commands(text):
            command, rest = root, list(words)
            while rest and rest[0].islower() and (known := getattr(command, "commands", None)):
                name, *others = rest.pop(0).split("|")
                missing = {name, *others} - set(known)
                assert not missing, f"{file}: charcnn {' '.join(words)}: there is no {missing}"
                command = known[name]
            options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)} | {"--help"}
            given = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
            assert given <= options, f"{file}: charcnn {' '.join(words)}: there is no {given - options}"
            seen += 1
    assert seen > 100


def test_the_reference_has_comments_of_parameters_and_patched_methods(pages, site):
    page = pages[site / "reference" / "charcnn.html"]
    (method,) = page.xpath("//*[@id='charcnn.scorer.Scorer.explain']/..")
    assert "any string" in method.text_content()
    assert not page.xpath("//*[@id='charcnn.scorer.explain']")
    (made,) = page.xpath("//*[@id='charcnn.scorer.Scorer']/..")
    assert "by default the bundled one" in made.text_content()
    (column,) = page.xpath("//*[@id='charcnn.labels.Labels.column']")
    assert "property" in column.text_content()
    settings = pages[site / "reference" / "settings.html"].text_content()
    assert "CHARCNN_PAGE_PORT" in settings and "number of reverse proxies" in settings
    assert "PATCH /api/v1/reviews/{id}" in pages[site / "reference" / "rest.html"].text_content()
    assert pages[site / "reference" / "cli.html"].xpath("//h2[@id='charcnn-export-page']")


def test_what_is_to_be_run_is_run():
    "Notebooks that readers follow are not kept from `nbdev-test`."
    for folder in ("start", "tutorials", "howto", "explanations"):
        for notebook in (ROOT / "nbs" / folder).glob("*.ipynb"):
            assert "skip_exec" not in notebook.read_text(encoding="utf-8"), notebook


def test_it_stays_small(site):
    size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file() and "playground" not in file.parts)
    assert size < 16e6


@pytest.fixture(params=["from a server", "from a disk"])
def address(request, site) -> Iterator[str]:
    if request.param == "from a disk":
        yield site.as_uri()
    else:
        with serving_folder(site) as (url, _):
            yield url


def hosts(browser) -> set[str | None]:
    return {urlsplit(request.split(" ")[1]).hostname for request in requests_of(browser)}


def test_the_front_page_scores_what_is_typed(browser, address):
    page = Visit(browser, f"{address}/index.html")
    browser.switch_to.frame(page.find("iframe.playground"))
    page.until(lambda: page.script("document.querySelector('#review textarea') !== null"))
    page.find("#review textarea").send_keys(PRAISE)
    expected = f"{round(100 * Scorer()(PRAISE).score)} %"
    page.until(lambda: page.find("#reading .percent").text == expected)
    assert hosts(browser) <= {"127.0.0.1", None}


def test_search_finds_a_word(browser, address):
    page = Visit(browser, f"{address}/start.html")
    page.find("body").send_keys(Keys.CONTROL, "k")
    page.until(lambda: page.script("document.activeElement.shadowRoot?.activeElement?.tagName") == "INPUT")
    ActionChains(browser).send_keys("distillation").perform()
    links = "[...document.activeElement.shadowRoot.querySelectorAll('a')].map(each => each.href)"
    page.until(lambda: f"{address}/train/10_distill.html?h=distillation" in page.script(links))
    assert hosts(browser) <= {"127.0.0.1", None}
