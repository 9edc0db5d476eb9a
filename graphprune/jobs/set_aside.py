"""Replace a run: move its files aside, and delete them only after the new run has started."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from graphprune.errors import InputError
from graphprune.jobs.run_files import MARKER, RunFiles

# Folders inside the run folder, so that the lock and files of the user stay where they are.
ASIDE, DELETED = ".graphprune-old", ".graphprune-deleted"


def set_aside(files: RunFiles) -> None:
    """Move all files of a run to `ASIDE`.

    The marker is moved last: while it is still in the folder, the move is incomplete.

    Raises:
        InputError: a file cannot be moved.
    """
    folder, names = files.folder, files.existing()
    for name in names:
        _move(folder / name, folder / ASIDE / name)
    _remove_empty(folder, names)
    files.refresh()


def restore(folder: Path) -> None:
    """Move the files of a former run back; files that the new run has written are deleted first.

    Raises:
        InputError: a file cannot be moved, or another file has its name now.
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


def discard(folder: Path, *, started: bool = False) -> None:
    """Delete the files of the former run.

    Args:
        folder: The run folder.
        started: Only complete an interrupted deletion.
    """
    if not started and (folder / ASIDE).is_dir():
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
    """Remove the folders of these files that are empty now."""
    parents = {
        parent for name in names for parent in (folder / name).parents if parent.is_relative_to(folder)
    }
    for parent in sorted(parents - {folder}, key=lambda path: -len(path.parts)):
        try:
            parent.rmdir()
        except OSError:
            continue  # it contains other files
