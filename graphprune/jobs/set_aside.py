"""Replacing a run: its files are moved aside, and deleted only once the new run has started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from graphprune.errors import InputError
from graphprune.jobs.run_files import MARKER, RunFiles

# Folders inside the run folder, so that the lock, and whatever else lies there, stay where they are.
ASIDE, DELETED = ".graphprune-old", ".graphprune-deleted"


def set_aside(files: RunFiles) -> None:
    """Moves all files of a run to `ASIDE`.

    The marker goes last, so that its place tells an interrupted move (still in the folder) from a complete one.

    Raises:
        InputError: a file cannot be moved.
    """
    folder, names = files.folder, files.existing()
    for name in names:
        _move(folder / name, folder / ASIDE / name)
    _remove_empty(folder, names)
    files.refresh()


def restore(folder: Path) -> None:
    """Moves the files of a run that was set aside back; files that the new run has written are deleted before.

    Raises:
        InputError: a file cannot be moved, or another one took its place.
    """
    aside = folder / ASIDE
    if not aside.is_dir():
        return
    if (aside / MARKER).is_file():
        written = RunFiles(folder)
        if written.is_run:
            names = written.existing()
            for name in names:
                (folder / name).unlink(missing_ok=True)
            _remove_empty(folder, names)
        _move(aside / MARKER, folder / MARKER)
    for path in sorted(path for path in aside.rglob("*") if path.is_symlink() or not path.is_dir()):
        _move(path, folder / path.relative_to(aside))
    shutil.rmtree(aside)


def discard(folder: Path, *, begun: bool = False) -> None:
    """Deletes what was set aside.

    Args:
        folder: The run folder.
        begun: Only completes a deletion that was interrupted.
    """
    if not begun and (folder / ASIDE).is_dir():
        os.rename(folder / ASIDE, folder / DELETED)
    if (folder / DELETED).is_dir():
        shutil.rmtree(folder / DELETED)


def _move(source: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise InputError(f"{target} is in the way of {source}, a file of the old run; move one of them")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
    except OSError as error:
        raise InputError(
            f"{source} cannot be moved to {target} ({error.strerror}); choose another --out"
        ) from error


def _remove_empty(folder: Path, names: Iterable[str]) -> None:
    """Removes the folders of these files that are empty now."""
    parents = {
        parent for name in names for parent in (folder / name).parents if parent.is_relative_to(folder)
    }
    for parent in sorted(parents - {folder}, key=lambda path: -len(path.parts)):
        try:
            parent.rmdir()
        except OSError:
            continue  # it holds other files
