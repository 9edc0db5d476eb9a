"""The packages that graphprune is made of, and which versions of them are here."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from graphprune.runtime.version import __version__

# As in pyproject.toml, by what results depend on first.
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
    """Python, graphprune and every package of `PACKAGES` that is installed, by distribution."""
    found = {name: installed(name) for name in PACKAGES}
    here = {name: number for name, number in found.items() if number is not None}
    return {"python": platform.python_version(), "graphprune": __version__, **here}


def installed(distribution: str) -> str | None:
    """Its version, or None.

    >>> installed("no-such-package") is None
    True
    """
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
