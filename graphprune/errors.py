"""Errors that end a command with one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad usage, configuration or input; the command line prints it as one sentence and exits with code 2."""


class TrainingDiverged(RuntimeError):
    """A training ended in NaN or infinity; the command line prints it as one sentence and exits with code 1."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Error for a name that does not exist, suggesting the nearest known one."""
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(choices)}"
    return InputError(f"unknown {what} '{name}'; {hint}")
