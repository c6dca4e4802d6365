"The reference: the package from its docstrings, commands from their help, settings from settings.ini, the API from OpenAPI."

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from charcnn.app.api import create_api
from charcnn.app.brands import Brand, draw_tile
from charcnn.app.docs import operations
from charcnn.app.door import AdminDoor
from charcnn.app.service import ReviewService
from charcnn.app.store import ReviewStore
from charcnn.scorer import Scorer
from charcnn.settings import AdminSettings, Settings

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("collect", "dataset", "models", "train", "export", "app", "pipeline")


def write_modules(folder: Path) -> list[dict]:
    "A page for each room, with its modules in the order of the chapters; gives back the navigation."
    navigation = []
    for room in ("", *ROOMS):
        name, found = f"charcnn.{room}".rstrip("."), {}
        for file in (ROOT / "charcnn" / room).glob("*.py"):
            chapter = re.search(r"File to edit: [./]*nbs/(\S+)\.ipynb", file.read_text(encoding="utf-8"))
            if chapter:
                found[chapter[1]] = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        parts = [
            f"## {found[each]}\n\n[Code and examples](../{each}.md)\n\n::: {found[each]}\n" for each in sorted(found)
        ]
        (folder / f"{name}.md").write_text("\n".join([f"# {name}\n", *parts]), encoding="utf-8")
        navigation.append({name: f"reference/{name}.md"})
    return navigation


def example(lines: str) -> str:
    "Examples of a command's help as code."
    return "```sh\n" + re.sub(r"\n+", "\n", lines) + "```\n\n"


def commands() -> str:
    "The command line, as its help describes it."
    asked = [sys.executable, "-m", "typer", "charcnn.cli", "utils", "docs", "--name", "charcnn"]
    text = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    text = re.sub(r"^((?:(?:[A-Z_]+=\S+ )?charcnn .*\n+)+)", lambda found: example(found[1]), text, flags=re.M)
    return text.replace("# `charcnn`", "# Command line", 1)


def settings() -> str:
    "Each section of settings.ini as a table: key, default and the comment above it."
    text = (ROOT / "settings.ini").read_text(encoding="utf-8")
    head, *sections = re.split(r"^\[(\w+)\]\n", text, flags=re.M)
    parts = ["# Settings\n", re.sub(r"(CHARCNN_[^\s,.]+)", r"`\1`", re.sub(r"^# ?", "", head, flags=re.M))]
    for name, body in zip(sections[::2], sections[1::2], strict=True):
        parts += [f"## {name}\n", "| key | default | |", "|---|---|---|"]
        for said, key, value in re.findall(r"((?:^#.*\n)*)^(\w+) *=[ ]*(.*)$", body, flags=re.M):
            about = re.sub(r"^# ?", "", said, flags=re.M).replace("\n", " ").strip()
            shown = f"`{value}`" if value else ""
            parts.append(f"| `{key}` | {shown} | {about} |")
        parts.append("")
    return "\n".join(parts)


def rest() -> str:
    "The REST API, from its OpenAPI description, with an example of every body."
    with tempfile.TemporaryDirectory() as folder:
        store = ReviewStore(Path(folder) / "reviews.duckdb")
        brands = [Brand("Acme", "https://acme.example", draw_tile("Acme", "336699"), "acme.svg")]
        door = AdminDoor(AdminSettings("admin", "secret"), 0)
        description = create_api(ReviewService(Scorer(), store, brands), Settings(), door).openapi()
        store.close()
    parts = [f"# REST API\n\n{description['info']['description']}\n"]
    for tag, found in operations(description).items():
        parts.append(f"## {tag}\n")
        for o in found:
            parts.append(f"### {o['method']} {o['path']}\n\n{o['summary']}\n")
            parts.append("With the admin's password.\n" if o["secured"] else "")
            if o["parameters"]:
                rows = [f"| `{p['name']}` | {p['in']} | {p['kind']} | {p['description']} |" for p in o["parameters"]]
                parts.append("\n".join(["| parameter | in | kind | |", "|---|---|---|---|", *rows, ""]))
            parts += [f"```json\n{body}\n```\n" for body in o["bodies"]]
            parts.append(f"Answers {o['success']}" + (f":\n\n```json\n{o['answer']}\n```\n" if o["answer"] else ".\n"))
            parts.append("; ".join(f"{status}: {said}" for status, said in o["problems"].items()) + "\n")
    return "\n".join(parts)


def write(sources: Path) -> list:
    "All pages of the reference; gives back its navigation."
    folder = sources / "reference"
    folder.mkdir()
    modules = write_modules(folder)
    pages = {"Command line": ("cli", commands), "Settings": ("settings", settings), "REST API": ("rest", rest)}
    for name, make in pages.values():
        (folder / f"{name}.md").write_text(make(), encoding="utf-8")
    navigation = [{title: f"reference/{name}.md"} for title, (name, _) in pages.items()]
    return [
        *navigation,
        {"Python": modules},
        {"Changes": "changes.md"},
        {"Contributing": "contributing.md"},
        {"How this site is made": "about.md"},
    ]
