"""The command line. Only this package and `console` print; heavy imports happen inside the commands."""

from __future__ import annotations

from graphprune.cli import about, files, jobs
from graphprune.cli.app import app, main

# What most people come for stands first in the help.
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
