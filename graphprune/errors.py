"""Errors that the command line reports in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Invalid usage, configuration or input; the command line prints one sentence and exits with code 2."""


class TrainingDiverged(RuntimeError):
    """A training reached NaN or infinity; the command line prints one sentence and exits with code 1."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Create the error for an unknown name; it suggests the most similar known name.

    >>> str(unknown_name("score", "los", ["loss", "aum"]))
    "unknown score 'los'; did you mean 'loss'?"
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(choices)}"
    return InputError(f"unknown {what} '{name}'; {hint}")
