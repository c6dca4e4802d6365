"Print README.md of this folder: every notebook, in the order of reading. The site (`docs/build.py`) has the same order."

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

# Sections, their parts, and the notebooks of each; within a part the names of the files are the order.
SECTIONS = {
    "Start": {"": "start/*"},
    "Tutorials": {"": "tutorials/*"},
    "How-to": {"": "howto/*"},
    "Explanations": {
        "": "explanations/*",
        "Base: text, labels, scores, files, settings, command line": "*",
        "Collect: companies and reviews from pages": "collect/*",
        "Dataset: from raw reviews to splits": "dataset/*",
        "Models: the networks": "models/*",
        "Train: from splits to weights": "train/*",
        "Export: from weights to a model folder": "export/*",
        "App: page, API and store": "app/*",
        "Pipeline: stages as notebooks with parameters": "pipeline/*",
    },
    "Research": {
        "": "research/00*",
        "Studies": "research/1[!8]*",
        "Methods": "research/0[1-9]*",
        "Log": "research/18*",
    },
}


@dataclass(frozen=True)
class Chapter:
    "A notebook, by its path in this folder, and what its first cell of prose says."

    path: Path
    title: str
    said: str  # the line below the title; empty: none


def describe(notebook: Path) -> Chapter:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    prose = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    name, *lines = [line for line in prose.splitlines() if line.strip()]
    said = lines[0].removeprefix(">").strip() if lines and lines[0].startswith(">") else ""
    return Chapter(notebook.relative_to(HERE), name.lstrip("# "), said)


def chapters(pattern: str) -> Iterator[Chapter]:
    "The chapters of a part, in the order of reading."
    return map(describe, sorted(path for path in HERE.glob(f"{pattern}.ipynb") if path.name != "index.ipynb"))


def listing(section: str) -> str:
    "Markdown: the chapters of a section, linked, with what they say of themselves."
    lines = []
    for part, pattern in SECTIONS[section].items():
        lines += [f"\n### {part}\n"] if part else [""]
        lines += [f"- [{c.title}]({c.path})" + (f": {c.said}" if c.said else "") for c in chapters(pattern)]
    return "\n".join(lines)


if __name__ == "__main__":
    print("# The notebooks\n\nThe source of the package and its explanation. Within a part they build on each other.")
    for section in SECTIONS:
        print(f"\n## {section}\n{listing(section)}")
