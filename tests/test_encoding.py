"""Text is read and written in an encoding that is stated, so that no locale changes what a file says."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "graphprune"


def _is_text(call: ast.Call, position: int) -> bool:
    """Whether the mode of an ``open`` names none or lacks a ``b``; other calls of the name have no such mode."""
    modes = [word.value for word in call.keywords if word.arg == "mode"]
    modes += call.args[position : position + 1]
    if not modes:
        return True
    return (
        isinstance(modes[0], ast.Constant) and isinstance(modes[0].value, str) and "b" not in modes[0].value
    )


def unstated(source: str) -> list[int]:
    """Lines that read or write text without saying in which encoding."""
    lines = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        keywords = {word.arg for word in call.keywords}
        function = call.func
        if isinstance(function, ast.Attribute):
            method = function.attr
            text = method in ("read_text", "write_text")
            # `Image.open(file)` and `archive.open(member)` take what they open; a path's `open` takes the mode first.
            opens = method == "open" and not (call.args and not isinstance(call.args[0], ast.Constant))
            text |= opens and _is_text(call, 0)
            text |= method in ("NamedTemporaryFile", "TemporaryFile", "fdopen") and bool(
                call.args[1:] or "mode" in keywords
            )
            text |= bool({"text", "universal_newlines"} & keywords)
        else:
            text = isinstance(function, ast.Name) and function.id == "open" and _is_text(call, 1)
        if text and "encoding" not in keywords:
            lines.append(call.lineno)
    return lines


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", True),
        ("must_exist(path).read_text(encoding='utf-8')", False),
        ("path.write_text('x')", True),
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("open(path, 'w', encoding='utf-8')", False),
        ("path.open()", True),
        ("path.open('a')", True),
        ("path.open('rb')", False),
        ("archive.open(member)", False),
        ("subprocess.run(command, text=True)", True),
        ("subprocess.run(command, encoding='utf-8')", False),
    ],
)
def test_the_search_finds_what_it_should(source, found):
    assert bool(unstated(source)) == found


def test_no_module_leaves_the_encoding_to_the_locale():
    found = {
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        for line in unstated(path.read_text(encoding="utf-8"))
    }
    assert found == set()
