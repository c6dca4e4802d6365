"""For Griffe: comments beside parameters and fields document them, and patched methods belong to their classes."""

import ast
import textwrap
import tokenize
from io import StringIO

import griffe


def comments(source: str) -> dict[int, str]:
    "Comments by their lines."
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}


def document(function: griffe.Function) -> None:
    "Add what stands beside parameters and the result to the docstring."
    source = textwrap.dedent(function.source) + "\n"
    node, said = ast.parse(source).body[0], comments(source)
    a = node.args
    given = [*a.posonlyargs, *a.args, *filter(None, [a.vararg]), *a.kwonlyargs, *filter(None, [a.kwarg])]
    result = node.returns.lineno if node.returns else node.body[0].lineno
    starts = [*(each.lineno for each in given), result]
    lines = []
    for each, start, end in zip(given, starts, starts[1:], strict=False):
        found = " ".join(said[line] for line in range(start, end) if line in said)
        if each.arg not in ("self", "cls"):
            lines.append((each.arg, found))
    answer = " ".join(said[line] for line in range(result, node.body[0].lineno) if line in said)
    text = function.docstring.value if function.docstring else ""
    if any(found for _, found in lines):
        text += "\n\nArgs:\n" + "\n".join(f"    {name}: {found}" for name, found in lines)
    if answer:
        text += f"\n\nReturns:\n    {answer}"
    function.docstring = griffe.Docstring(
        text, parent=function, lineno=function.lineno, parser="google", parser_options={"warn_missing_types": False}
    )


def document_field(field: griffe.Attribute) -> None:
    "A field is documented by the comment at its end."
    said = " ".join(comments("\n".join(line.strip() for line in field.source.splitlines()) + "\n").values())
    if said and not field.docstring:
        field.docstring = griffe.Docstring(said, parent=field, lineno=field.lineno)


def give_back(function: griffe.Function, module: griffe.Module, decorator: str) -> None:
    "A function that `@patch` adds to a class becomes its method, or its property."
    owner = module.members.get(str(next(iter(function.parameters)).annotation))
    if owner is None:
        return
    owner = owner.final_target if owner.is_alias else owner
    call = ast.parse(decorator, mode="eval").body
    given = {each.arg: each.value.value for each in getattr(call, "keywords", [])}
    name = given.get("nm", function.name)
    module.del_member(function.name)
    if given.get("as_prop"):
        shown = griffe.Attribute(
            name, annotation=function.returns, docstring=function.docstring, lineno=function.lineno
        )
        shown.labels.add("property")
        owner.set_member(name, shown)
        return
    function.name = name
    if given.get("cls_method"):
        function.labels.add("classmethod")
    owner.set_member(name, function)


class Docments(griffe.Extension):
    "Reads fastcore's docments and `@patch` from the source; nothing is imported."

    def on_package(self, *, pkg: griffe.Module, **_) -> None:
        modules = [found for room in [pkg, *pkg.modules.values()] for found in room.modules.values()]
        classes = [owner for module in modules for owner in module.classes.values()]
        for scope in [*modules, *classes]:
            for function in scope.functions.values():
                document(function)
        for owner in classes:
            for field in owner.attributes.values():
                document_field(field)
        for module in modules:
            for function in [*module.functions.values()]:
                for decorator in function.decorators:
                    if str(decorator.value).split("(")[0] == "patch":
                        give_back(function, module, str(decorator.value))
