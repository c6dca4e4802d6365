"Print README.md of this folder: every notebook, in the order of reading, with its title and what it says of itself."

import json
from pathlib import Path

ROOMS = {
    "": "The base: text, labels, scores, files, settings, command line",
    "collect": "Collect: companies and reviews from pages",
    "dataset": "Dataset: from raw reviews to splits",
    "models": "Models: the networks",
    "train": "Train: from splits to weights",
    "export": "Export: from weights to a model folder",
    "app": "App: page, API and store",
    "pipeline": "Pipeline: stages as notebooks with parameters",
    "tutorials": "Tutorials: from beginning to end",
    "research": "Research: studies and their log",
}


def describe(notebook: Path) -> str:
    "A line for a notebook: its title, linked, and the line below it."
    title = next(
        "".join(c["source"]) for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "markdown"
    )
    name, *lines = [line for line in title.splitlines() if line.strip()]
    said = lines[0].removeprefix(">").strip() if lines and lines[0].startswith(">") else ""
    return f"- [{name.lstrip('# ')}]({notebook})" + (f": {said}" if said else "")


print("# The notebooks\n\nThe source of the package and its explanation. Within a room they build on each other.")
for room, said in ROOMS.items():
    notebooks = sorted(path for path in Path(room).glob("*.ipynb") if path.name != "index.ipynb")
    if notebooks:
        print(f"\n## {said}\n")
        print("\n".join(map(describe, notebooks)))
