"""Checks of the paths that users name, before anything is read or written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphprune.errors import InputError


def refuse_unusable(path: Path | str) -> None:
    """Refuses a path that is not valid UTF-8 (JSON, Parquet and reports cannot hold it) or has a null character.

    Raises:
        InputError: so it is.
    """
    try:
        str(path).encode()
        valid = "\0" not in str(path)
    except UnicodeEncodeError:
        valid = False
    if not valid:
        raise InputError(
            f"{str(path)!a} is not valid UTF-8 text; rename the file or folder, or give another one"
        )


def refuse_overwriting(out: Path, inputs: Iterable[Path | None]) -> None:
    """Refuses an output file that is a folder, or that is one of the inputs.

    Raises:
        InputError: so it is.
    """
    if out.is_dir():
        raise InputError(f"{out} is a folder; give the name of a file as --out")
    for path in inputs:
        if path is not None and out.exists() and path.exists() and out.samefile(path):
            raise InputError(f"--out {out} would overwrite its own input; choose another file")


def files_named_in(settings: Any) -> list[Path]:
    """Existing files among the values of nested settings."""
    if isinstance(settings, dict | list | tuple):
        values = settings.values() if isinstance(settings, dict) else settings
        return [path for value in values for path in files_named_in(value)]
    return [Path(settings)] if isinstance(settings, str | Path) and os.path.isfile(settings) else []
