"""The command line. Only this package and `console` print; heavy imports happen inside the commands."""

from __future__ import annotations

from graphprune.cli import about, files, jobs
from graphprune.cli.app import app, main

__all__ = ["about", "app", "files", "jobs", "main"]
