"""Imports point one way: each part of the package knows those before it in the list and none after it."""

import ast
from pathlib import Path

import pytest

import graphprune
from graphprune.registry import KINDS, entries

PACKAGE = Path(graphprune.__file__).parent
ORDER = ["errors", "files", "runtime", "options", "registry", "table", "config", "data", "graph", "models", "embed",
         "scores", "extrapolate", "evaluation", "select", "samplers", "train", "interchange", "report", "jobs", "cli",
         "__init__", "__main__"]  # fmt: skip


def module_of(path: Path) -> str:
    parts = ("graphprune", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def unit(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports(path: Path) -> set[str]:
    """Modules of the package that a file names anywhere, also inside functions; not those for type checkers only."""
    found = set[str]()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("graphprune"):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in MODULES else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("graphprune")}
    return found


def test_every_part_of_the_package_has_its_place_in_the_order():
    units = {unit(module) for module in MODULES}
    assert units == set(ORDER)
    assert len(units) <= 25


@pytest.mark.parametrize("name", ORDER)
def test_no_part_imports_one_that_comes_after_it(name):
    later = set(ORDER[ORDER.index(name) + 1 :])
    pointing_up = {
        f"{module} -> {target}"
        for module, path in MODULES.items()
        if unit(module) == name
        for target in imports(path)
        if unit(target) in later
    }
    assert not pointing_up


@pytest.mark.parametrize("kind", KINDS)
def test_a_registered_class_can_be_imported_from_its_package(kind):
    package = __import__(KINDS[kind], fromlist=["_"])
    missing = {
        f"from {entry.cls.__module__} import {entry.cls.__name__} as {entry.cls.__name__}"
        for entry in entries(kind).values()
        if getattr(package, entry.cls.__name__, None) is not entry.cls
    }
    assert not missing, f"add these lines under TYPE_CHECKING in {package.__file__}"
    assert set(dir(package)) >= {entry.cls.__name__ for entry in entries(kind).values()}


def test_a_name_that_does_not_exist_is_an_attribute_error():
    from graphprune import samplers

    with pytest.raises(AttributeError, match=r"graphprune\.samplers.*NoSuchSampler"):
        samplers.NoSuchSampler  # noqa: B018
