"""Write the site into `_docs`: notebooks and docstrings become Markdown in `_proc`, and Markdown becomes pages.

make docs
"""

import base64
import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "nbs"), str(ROOT / "docs")]

import reference  # noqa: E402
from list_chapters import SECTIONS, Chapter, chapters, listing  # noqa: E402

from charcnn.app.brands import load_brands  # noqa: E402
from charcnn.export_page import export_page  # noqa: E402

SOURCES, SITE = ROOT / "_proc" / "pages", ROOT / "_docs"
# Files of the repository that are pages, too.
PAGES = {
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "charcnn/pretrained/README.md": "bundled_model.md",
    "deploy/README.md": "deploy.md",
    "settings.ini": "reference/settings.md",
}
_DIRECTIVE = re.compile(r"^#\|.*\n?", re.M)
_FOR_TOOLS = re.compile(r" +# (?:fmt|noqa|type): ?\S+$| --no-progress\b|(?: >/dev/null)? 2>\S+ *$", re.M)
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_PICTURES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}


def fence(text: str, language: str) -> str:
    "A block of code that no line of the text can end."
    marks = "`" * max([3, *(len(found) + 1 for found in re.findall(r"`{3,}", text))])
    return f"{marks}{language}\n{text.rstrip()}\n{marks}\n"


def code(source: str) -> str:
    "A cell of code without what is there for tools. Commands become blocks of the shell; hidden code is nothing."
    if re.search(r"^#\| *(?:hide|echo: *false)\b", source, re.M):
        return ""
    lines = _FOR_TOOLS.sub("", _DIRECTIVE.sub("", source)).strip().splitlines()
    blocks = []
    for shell, run in itertools.groupby(lines, lambda line: line.startswith("!")):
        text = "\n".join(line.removeprefix("!") for line in run).strip("\n")
        blocks += [fence(text, "sh" if shell else "python")] if text.strip() else []
    return "\n".join(blocks)


def picture(data: str, kind: str, chapter: Chapter) -> str:
    content = data.encode() if kind == "image/svg+xml" else base64.b64decode(data)
    name = f"images/{hashlib.sha256(content).hexdigest()[:12]}.{_PICTURES[kind]}"
    (SOURCES / name).write_bytes(content)
    return f"![A picture of the chapter {chapter.title}]({'../' * len(chapter.path.parent.parts)}{name})\n"


def output(found: dict, chapter: Chapter) -> str:
    "What a cell has shown: text, a table or a picture. Warnings are left out."
    if found["output_type"] == "stream":
        data = {"text/plain": "".join(found["text"])} if found["name"] == "stdout" else {}
    else:
        data = {kind: "".join(each) for kind, each in found.get("data", {}).items() if kind != "application/json"}
    if table := data.get("text/html"):
        line = re.sub(r"<style.*?</style>|\n\s*| border=\"1\"", " ", table, flags=re.S)
        return f"<div class='output'>{line}</div>\n"
    if kind := next((kind for kind in _PICTURES if kind in data), None):
        return picture(data[kind], kind, chapter)
    text = _ESCAPES.sub("", data.get("text/plain", "")).rstrip()
    return fence(text, " {.text .output}") if text.strip() else ""


def linked(prose: str, chapter: Chapter) -> str:
    "Prose in which notebooks and files are the pages made of them; notebooks also where only their names stand."
    up, here = "../" * len(chapter.path.parent.parts), ROOT / "nbs" / chapter.path.parent

    def target(found: re.Match) -> str:
        file = Path(os.path.normpath(here / found[1]))
        known = PAGES.get(str(file.relative_to(ROOT))) if file.is_relative_to(ROOT) else None
        return f"]({up}{known})" if known else f"]({found[1].replace('.ipynb', '.md')}{found[2] or ''})"

    def name(found: re.Match) -> str:
        notebook = found[1].removeprefix("nbs/").removesuffix(".ipynb")
        places = [notebook, str(chapter.path.parent / notebook)]
        place = next((place for place in places if (ROOT / "nbs" / f"{place}.ipynb").is_file()), None)
        return f"[{found[0]}]({up}{place}.md)" if place else found[0]

    prose = re.sub(r"\]\(([^)#:]+)(#[^)]*)?\)", target, prose)
    return re.sub(r"(?<!\[)`((?:nbs/)?(?:\w+/)?\d+_\w+(?:\.ipynb)?)`(?!\])", name, prose)


def page(chapter: Chapter) -> str:
    "Markdown of a notebook."
    parts = []
    for cell in json.loads((ROOT / "nbs" / chapter.path).read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(linked(source, chapter) + "\n")
        elif cell["cell_type"] == "code" and not re.search(r"^#\| *hide\b", source, re.M):
            parts += [code(source), *(output(found, chapter) for found in cell["outputs"])]
    return "\n".join(parts)


def write_section(section: str) -> list:
    "The pages of a section of the notebooks; gives back its part of the navigation."
    front = f"{section.lower()}.md"
    entries: list = [front]
    for part, pattern in SECTIONS[section].items():
        found = list(chapters(pattern))
        for chapter in found:
            file = SOURCES / chapter.path.with_suffix(".md")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(page(chapter), encoding="utf-8")
        pages = [{chapter.title: str(chapter.path.with_suffix(".md"))} for chapter in found]
        entries += [{part.partition(":")[0]: pages}] if part else pages
    text = f"# {section}\n\n{listing(section).replace('.ipynb)', '.md)').replace('### ', '## ')}\n"
    (SOURCES / front).write_text(text, encoding="utf-8")
    return entries


def tightened(html: str) -> str:
    "A third of a page is empty lines of the template, and marks of names and punctuation in code, which have no colour."
    parts = re.split(r"(<pre.*?</pre>)", html, flags=re.S)
    html = "".join(part if part.startswith("<pre") else re.sub(r"\s*\n\s*", "\n", part) for part in parts)
    return re.sub(r'<span class="(?:n|p|w)">([^<]*)</span>', r"\1", html)


def shorten_index(folder: Path) -> None:
    "Keep the code of chapters out of the search index, half of which it would be: the reference has the names in it."
    index = json.loads((folder / "search.json").read_text(encoding="utf-8"))
    for item in index["items"]:
        if not item["location"].startswith(("start/", "tutorials/", "howto/", "reference/")):
            item["text"] = re.sub(r"<pre>.*?</pre>", "", item["text"], flags=re.S)
    text = json.dumps(index, ensure_ascii=False)
    (folder / "search.json").write_text(text, encoding="utf-8")
    (folder / "search.js").write_text(f"var __index = {text};", encoding="utf-8")  # for pages that are read from a disk


def main() -> None:
    shutil.rmtree(SOURCES, ignore_errors=True)
    shutil.copytree(ROOT / "docs" / "pages", SOURCES)
    shutil.copytree(ROOT / "nbs" / "images", SOURCES / "images")
    for file, place in PAGES.items():
        if file.endswith(".md"):
            text = (ROOT / file).read_text(encoding="utf-8").replace("](nbs/", "](").replace(".ipynb)", ".md)")
            (SOURCES / place).write_text(re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.S), encoding="utf-8")
    parts = {section: write_section(section) for section in SECTIONS}
    parts["Explanations"].insert(2, {"The bundled model": PAGES["charcnn/pretrained/README.md"]})
    parts["How-to"].append({"The page on the internet": PAGES["deploy/README.md"]})
    research = parts.pop("Research")
    parts = {"Home": "index.md", **parts, "Reference": reference.write(SOURCES), "Research": research}
    navigation = [{title: pages} for title, pages in parts.items()]
    settings = (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8")
    configuration = SOURCES.parent / "mkdocs.yml"
    configuration.write_text(f"{settings}\n{yaml.safe_dump({'nav': navigation}, sort_keys=False)}", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", configuration], check=True)
    made = SOURCES.parent / "site"
    for file in made.rglob("*.html"):
        file.write_text(tightened(file.read_text(encoding="utf-8")), encoding="utf-8")
    shorten_index(made)
    export_page(made / "playground", brands=load_brands(ROOT / "data" / "brands.csv"))
    shutil.rmtree(SITE, ignore_errors=True)
    made.rename(SITE)


if __name__ == "__main__":
    main()
