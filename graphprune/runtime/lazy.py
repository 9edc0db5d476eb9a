"""Package exports that are imported on first use and still visible to type checkers and editors."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_exports(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Create ``__getattr__``, ``__dir__`` and ``__all__`` of a package from the imports under ``if TYPE_CHECKING:``.

    The block that type checkers read is the only list of public names. At run time a name is imported on first
    access, so ``import graphprune`` imports neither torch nor any method.

    Args:
        package: ``__name__`` of the package.
    """
    source = Path(str(sys.modules[package].__file__)).read_text(encoding="utf-8")
    guarded = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    homes = {
        alias.asname or alias.name: (str(node.module), alias.name)
        for block in guarded
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original = homes[name]
        return getattr(import_module(module), original)

    names = sorted(homes)
    return load, lambda: names, names
