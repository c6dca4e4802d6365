"""The rooms of the house: what each may import. A room that reaches into another one cannot be changed, or left out, alone."""

import ast
import re
from pathlib import Path

PACKAGE = Path("charcnn")
# Room: rooms that it may import beside itself. The drawing in CONTRIBUTING.md is this table.
MAY_IMPORT = {
    "base": set(),
    "collect": {"base"},
    "dataset": {"base"},
    "models": {"base"},
    "train": {"base", "models"},
    "export": {"base", "models", "train"},
    "estimator": {"base", "models", "train", "export"},
    "app": {"base"},
    "pipeline": {"base", "collect", "dataset", "models", "train", "export", "app"},
    "research": {"base", "collect", "dataset", "models", "train", "export", "estimator", "app", "pipeline"},
}
LAZY = {"cli.py", "__main__.py"}  # the command line imports a room when a verb of it runs
WITHOUT_TORCH = ("base", "collect", "dataset", "app")


def room_of(module: str) -> str:
    "charcnn.train.loss -> train; charcnn.text -> base; the estimator is one module"
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in MAY_IMPORT else "base"


def imports(file: Path) -> set[str]:
    "Absolute names of all modules that a file imports, wherever in it."
    package, names = [*file.with_suffix("").parts][:-1], set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            names.add(".".join([*above, *([node.module] if node.module else [])]))
    return names


def modules() -> list[Path]:
    return [file for file in PACKAGE.rglob("*.py") if file.name not in {"_modidx.py", *LAZY}]


def test_every_folder_is_a_room():
    assert {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()} == set(MAY_IMPORT) - {
        "base",
        "estimator",
    }


def test_rooms_import_only_what_they_may():
    for file in modules():
        room = room_of(".".join(file.with_suffix("").parts))
        used = {room_of(name) for name in imports(file) if name.split(".")[0] == "charcnn"}
        assert used <= MAY_IMPORT[room] | {room}, f"{file} imports {used - MAY_IMPORT[room] - {room}}"


def test_torch_stays_in_its_rooms():
    for file in modules():
        if room_of(".".join(file.with_suffix("").parts)) in WITHOUT_TORCH:
            heavy = {name.split(".")[0] for name in imports(file)} & {"torch", "accelerate", "torchmetrics", "wandb"}
            assert not heavy, f"{file} imports {heavy}"


def test_no_module_imports_itself_by_way_of_others():
    graph = {".".join(file.with_suffix("").parts): imports(file) for file in modules()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in done:
            for imported in graph.get(name, ()):
                visit(imported, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_the_drawing_shows_the_imports():
    "Arrows of the drawing: room --> room that it imports."
    drawn: dict[str, set[str]] = {room: set() for room in MAY_IMPORT}
    for left, right in re.findall(r"^ +(\w+) --> (.+)$", Path("CONTRIBUTING.md").read_text(encoding="utf-8"), re.M):
        drawn[left] |= set(re.split(r" & ", right))
    assert drawn == MAY_IMPORT


def test_exported_cells_fit_on_a_screen():
    "None above 60 lines, nine in ten of 40 or fewer."
    import json

    lengths = []
    for notebook in Path("nbs").rglob("*.ipynb"):
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and re.search(r"^#\| *export", source, re.M):
                lengths.append((source.count("\n") + 1, f"{notebook}: {source[:60]!r}"))
    assert max(lengths)[0] <= 60, max(lengths)
    assert sum(length > 40 for length, _ in lengths) <= len(lengths) / 10
