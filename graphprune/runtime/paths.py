"""Checks of user-given paths before anything is read or written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graphprune.errors import InputError

# A folder with such a suffix is a mistake: the user meant a file.
_FILES = (".parquet", ".csv", ".jsonl", ".json", ".txt", ".npy", ".npz", ".safetensors", ".html")


def refuse_unusable(path: Path | str) -> None:
    """Refuse a path that JSON, Parquet and reports cannot store.

    Raises:
        InputError: the path is not valid UTF-8 or contains a null character.
    """
    try:
        str(path).encode()
        valid = "\0" not in str(path)
    except UnicodeEncodeError:
        valid = False
    if not valid:
        raise InputError(
            f"{str(path)!a} is not valid UTF-8 text; rename the file or folder, or choose another path"
        )


def check_out(out: Path, suffixes: tuple[str, ...], *, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse an unsuitable output path before anything is computed.

    Args:
        out: Output file, or output folder if ``suffixes`` is empty.
        suffixes: Suffixes of the formats that can be written.
        inputs: Files that the command reads and must not overwrite.

    Raises:
        InputError: the suffix is not supported, the path is a folder instead of a file (or the reverse), or it is
            one of the inputs.
    """
    for path in inputs:
        if path is not None and out.exists() and path.exists() and out.samefile(path):
            raise InputError(f"--out {out} would overwrite this command's input; choose another path")
    if suffixes:
        check_suffix(out, suffixes, "writes")
        if out.is_dir():
            raise InputError(f"--out {out} is a folder; give the path of a file")
    elif out.suffix.lower() in _FILES or (out.exists() and not out.is_dir()):
        raise InputError(
            f"--out {out} names a file, but this command writes a folder; give the path of a folder"
        )


def files_named_in(settings: Any) -> list[Path]:
    """Existing files among the values of nested settings."""
    if isinstance(settings, dict | list | tuple):
        values = settings.values() if isinstance(settings, dict) else settings
        return [path for value in values for path in files_named_in(value)]
    return [Path(settings)] if isinstance(settings, str | Path) and os.path.isfile(settings) else []


def check_suffix(path: Path, suffixes: tuple[str, ...], does: str) -> str:
    """Return the suffix in lower case; ``does`` says in the message what the command does with such a file.

    Raises:
        InputError: the suffix is not one of ``suffixes``.

    >>> check_suffix(Path("P.CSV"), (".parquet", ".csv"), "reads")
    '.csv'
    """
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        known = " or ".join([", ".join(suffixes[:-1]), suffixes[-1]] if len(suffixes) > 1 else suffixes)
        raise InputError(
            f"{path} has the suffix '{path.suffix}'; the suffix decides the format, and this command {does} {known}"
        )
    return suffix
