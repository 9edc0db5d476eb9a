"""The command line. Only this package prints; heavy imports happen inside the commands."""

from __future__ import annotations

from graphprune.cli import about, files, jobs
from graphprune.cli.app import app, main

# The help lists the most used commands first.
ORDER = [
    "run",
    "plan",
    "report",
    "train",
    "embed",
    "score",
    "graph",
    "extrapolate",
    "evaluate",
    "select",
    "methods",
    "schema",
    "doctor",
]
app.registered_commands.sort(key=lambda command: ORDER.index(getattr(command.callback, "__name__", "")))

__all__ = ["about", "app", "files", "jobs", "main"]
