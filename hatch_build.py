"""What a build adds: types for checkers, and where the project lives. fastcore's `@patch` adds methods that no type checker sees, so the wheel carries stubs that have them.

`merge` moves patched functions into their classes, which is what `tests/check_types.py` checks; `stub` leaves signatures.
"""

import ast
import os
import tempfile
from pathlib import Path

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    from hatchling.metadata.plugin.interface import MetadataHookInterface
except ImportError:  # only a build needs it
    BuildHookInterface = MetadataHookInterface = object

KINDS = {"as_prop": "@property", "cls_method": "@classmethod", "static_method": "@staticmethod"}


def _patch_of(node: ast.stmt) -> tuple[ast.expr, dict] | None:
    for each in getattr(node, "decorator_list", ()):
        if getattr(getattr(each, "func", each), "id", "") in ("patch", "overload"):
            return each, {one.arg: one.value.value for one in getattr(each, "keywords", ())}
    return None


def merge(
    source: str,  # of a module
) -> list[tuple[int, str]]:  # its lines, as they are numbered in the module
    "Move each `@patch`ed function, and its overloads, into its class, where the module has it."
    lines, tree = source.splitlines(), ast.parse(source)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    moved, gone = {name: [] for name in classes}, set()
    for node in tree.body:
        if not (found := _patch_of(node)):
            continue
        decorator, options = found
        first = (node.args.posonlyargs + node.args.args)[0]
        name = ast.unparse(first.annotation).strip("'\"") if first.annotation else ""
        if name not in classes:
            continue
        start = min(each.lineno for each in node.decorator_list)
        text = dict(enumerate(lines[start - 1 : node.end_lineno], start))
        row = text[first.lineno]
        text[first.lineno] = row[: first.col_offset + len(first.arg)] + row[first.annotation.end_col_offset :]
        kind = next((KINDS[key] for key in KINDS if options.get(key)), "")
        if getattr(decorator, "id", "") != "overload":
            text[decorator.lineno] = kind
        if options.get("nm"):
            text[node.lineno] = text[node.lineno].replace(f"def {node.name}", f"def {options['nm']}", 1)
        moved[name] += [(number, f"    {line}" if line else "") for number, line in text.items()]
        gone |= set(text)
    ends = {classes[name].end_lineno: block for name, block in moved.items()}
    head = tree.body[0].end_lineno if ast.get_docstring(tree) else 0
    found = [] if head else [(0, "from __future__ import annotations")]  # names of later classes, in their annotations
    for number, line in enumerate(lines, 1):
        if number not in gone:
            found.append((number, line))
        found += ends.get(number, [])
        if number == head:
            found.append((number, "from __future__ import annotations"))
    return found


def _attributes(node: ast.ClassDef) -> dict[str, str]:
    "What methods give `self`: their types where the source says them."
    found = {}
    for method in (each for each in node.body if isinstance(each, ast.FunctionDef)):
        known = {each.arg: ast.unparse(each.annotation) for each in method.args.args if each.annotation}
        for each in ast.walk(method):
            if isinstance(each, ast.AnnAssign):
                pairs = [(each.target, ast.unparse(each.annotation))]
            elif isinstance(each, ast.Assign):
                targets = [one for target in each.targets for one in getattr(target, "elts", [target])]
                plain = len(targets) == 1 and isinstance(each.value, ast.Name)
                pairs = [(one, known.get(each.value.id, "Any") if plain else "Any") for one in targets]
            else:
                continue
            for target, kind in pairs:
                if isinstance(target, ast.Attribute) and getattr(target.value, "id", "") == "self":
                    found.setdefault(target.attr, kind)
    return found


def stub(
    source: str,  # of a module
) -> str:  # of its .pyi
    "Keep what a type checker needs of a module: imports, names, signatures and docstrings."
    tree = ast.parse("\n".join(line for _, line in merge(source)))
    tree.body = [node for node in tree.body if not isinstance(node, ast.If) or "__name__" not in ast.unparse(node.test)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names = {getattr(each, "name", None) for each in node.body}
            names |= {each.target.id for each in node.body if isinstance(each, ast.AnnAssign)}
            said = [f"{name}: {kind}" for name, kind in _attributes(node).items() if name not in names]
            node.body[int(ast.get_docstring(node) is not None) : 0] = ast.parse("\n".join(said)).body
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [*node.body[: int(ast.get_docstring(node) is not None)], ast.Expr(ast.Constant(...))]
    place = 1 + int(ast.get_docstring(tree) is not None)
    tree.body[place:place] = ast.parse("from typing import Any").body
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def patched(package: Path) -> list[Path]:
    "The modules that have `@patch`ed functions."
    files = (file for file in sorted(package.rglob("*.py")) if file.name != "_modidx.py")
    return [file for file in files if any(map(_patch_of, ast.parse(file.read_text(encoding="utf-8")).body))]


class CustomBuildHook(BuildHookInterface):
    "Puts the stubs into the wheel, beside their modules."

    def initialize(self, version: str, build_data: dict) -> None:
        root = Path(self.root)
        if version == "editable":
            return
        self._made = tempfile.TemporaryDirectory()
        for file in patched(root / "charcnn"):
            name = file.relative_to(root).with_suffix(".pyi")
            if name.parts[1] == "research":  # which is not in the wheel
                continue
            made = Path(self._made.name, "-".join(name.parts))
            made.write_text(stub(file.read_text(encoding="utf-8")), encoding="utf-8")
            build_data["force_include"][str(made)] = str(name)


class CustomMetadataHook(MetadataHookInterface):
    "Names the repository that the release is built in; a fork names its own."

    def update(self, metadata: dict) -> None:
        server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
        if server and name:
            home = f"{server}/{name}"
            metadata["urls"] = {
                "Source": home, "Issues": f"{home}/issues", "Changelog": f"{home}/blob/main/CHANGELOG.md",
                "Documentation": "https://{}.github.io/{}/".format(*name.split("/")),
            }  # fmt: skip
