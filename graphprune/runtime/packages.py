"""Versions of the packages that graphprune depends on."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from graphprune.runtime.version import __version__

# The dependencies in pyproject.toml; those that influence results come first.
PACKAGES = (
    "torch",
    "torch-geometric",
    "numpy",
    "scipy",
    "scikit-learn",
    "accelerate",
    "pyarrow",
    "networkx",
    "pillow",
    "safetensors",
    "pydantic",
    "pyyaml",
    "plotly",
    "jinja2",
    "filelock",
    "rich",
    "typer",
)


def versions() -> dict[str, str]:
    """Versions of Python, graphprune and every installed package of `PACKAGES`, by distribution name."""
    found = {name: installed(name) for name in PACKAGES}
    here = {name: number for name, number in found.items() if number is not None}
    return {"python": platform.python_version(), "graphprune": __version__, **here}


def installed(distribution: str) -> str | None:
    """Version of a distribution, or None if it is not installed.

    >>> installed("no-such-package") is None
    True
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
