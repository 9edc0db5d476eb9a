"""The list of files that graphprune wrote to a run folder; it never overwrites or deletes any other file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from graphprune.errors import InputError
from graphprune.files import fingerprint, write_bytes
from graphprune.runtime.version import __version__

MARKER = ".stages/graphprune.jsonl"
SCHEMA = 1
# Names that every run or `report` writes; the stage records do not list them.
FIXED = (
    "config.yaml",
    "provenance.json",
    "ledger.json",
    "metrics.json",
    "report.html",
    "comparison.html",
    "log.jsonl",
)


class RunFiles:
    """The list of the files that graphprune wrote to a folder. A folder with such a list is a run folder.

    ``.stages/graphprune.jsonl`` starts with a line that names the tool and the schema; every further line names one
    file and is written before the file. Each line carries a digest. Where a line is damaged, and in folders of
    version 0.1.0, which have no list, the outputs in the stage records and the `FIXED` names are added.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: set[str] | None = None
        self._complete = False

    @property
    def is_run(self) -> bool:
        """Whether the folder is a run folder.

        Raises:
            InputError: a newer version of graphprune made it.
        """
        self._load()
        return self._names is not None

    def refresh(self) -> None:
        """Discard the cached list; it is read again when it is needed."""
        self._names, self._complete = None, False

    def refuse_foreign(self) -> None:
        """Refuse a folder with files that is not a run folder, and files of the user that have `FIXED` names.

        Raises:
            InputError: there is such a file.
        """
        if not self.is_run:
            # A refused run leaves its lock file in a new folder.
            others = sorted(name for name in os.listdir(self.folder) if name != ".lock")
            if others:
                raise InputError(
                    f"{self.folder} is not a run folder of graphprune and holds other files (such as {others[0]}); "
                    "choose another --out"
                )
            return
        for name in FIXED:
            if name not in (self._names or ()) and os.path.lexists(self.folder / name):
                raise self._in_the_way(self.folder / name)

    def is_locked_once(self) -> bool:
        """Return whether a run was or is in the folder, by its lock file, which is empty.

        Raises:
            InputError: a file of the user has the name of the lock file.
        """
        path = self.folder / ".lock"
        if not os.path.lexists(path):
            return False
        if path.is_symlink() or not path.is_file() or path.stat().st_size:
            raise self._in_the_way(path)
        return True

    def claim(self, path: Path) -> None:
        """List a file before it is written; paths outside the folder or inside ``.stages`` are ignored.

        Raises:
            InputError: the file exists and graphprune did not write it.
        """
        name = self._name(path)
        if name is None or self.owns(path):
            return
        if os.path.lexists(path):
            raise self._in_the_way(path)
        self.add(path)

    def add(self, path: Path) -> None:
        """List a file that graphprune wrote."""
        name = self._name(path)
        if name is None or self.owns(path):
            return
        names = self._names if self._names is not None else set()
        if self._complete:
            try:
                # The line break comes first, so that a truncated line does not damage the next one.
                with (self.folder / MARKER).open("ab") as handle:
                    handle.write(b"\n" + _line({"file": name}))
                    handle.flush()
                    os.fsync(handle.fileno())
            except OSError as error:
                raise InputError(
                    f"{self.folder / MARKER} could not be written ({error.strerror}); "
                    "free some space, or choose another --out"
                ) from error
            names.add(name)
        else:
            self._write(names | {name})

    def mark(self) -> None:
        """Make the folder a run folder; a damaged or missing list is written again."""
        self._load()
        if not self._complete:
            self._write(self._names or set())

    def owns(self, path: Path) -> bool:
        """Return whether graphprune wrote this file."""
        self._load()
        return self._names is not None and self._name(path) in self._names

    def may_hold(self, path: Path) -> bool:
        """Return whether graphprune writes a file of this name: one on the list, or any in ``.stages``."""
        return self.owns(path) or path.is_relative_to(self.folder / ".stages")

    def existing(self) -> list[str]:
        """Return the relative names of all existing files that graphprune wrote, the list itself last.

        Raises:
            InputError: some of them are behind a symbolic link.
        """
        self._load()
        found = {name for name in self._names or () if os.path.lexists(self.folder / name)}
        for pattern in (
            ".stages/**/*.json",
            ".stages/unfinished/*.pt",
            "tensorboard/**/events.out.tfevents.*",
        ):
            found |= {
                str(path.relative_to(self.folder)) for path in self.folder.glob(pattern) if path.is_file()
            }
        for name in found:
            for parent in list(PurePath(name).parents)[:-1]:
                if (self.folder / parent).is_symlink():
                    raise InputError(
                        f"{self.folder / parent} is a symbolic link, which --fresh does not follow; "
                        "choose another --out, or delete the old run yourself"
                    )
        return [*sorted(found - {MARKER}), *([MARKER] if (self.folder / MARKER).exists() else [])]

    def _load(self) -> None:
        if self._names is not None:
            return
        entries = list(_entries(self.folder / MARKER))
        marked = bool(entries) and entries[0] is not None and entries[0].get("tool") == "graphprune"
        if marked and entries[0]["schema"] > SCHEMA:  # type: ignore[index]
            raise InputError(
                f"{self.folder} was made by a newer version of graphprune; update graphprune, or choose another --out"
            )
        listed = {entry["file"] for entry in entries if entry is not None and _is_inside(entry.get("file"))}
        self._complete = marked and None not in entries
        if self._complete:
            self._names = listed
            return
        recorded = {name for name in _recorded(self.folder) if _is_inside(name)}
        if marked or recorded:
            self._names = listed | recorded | {name for name in FIXED if (self.folder / name).is_file()}

    def _write(self, names: set[str]) -> None:
        head = {"tool": "graphprune", "schema": SCHEMA, "version": __version__}
        lines = [_line(head), *(_line({"file": name}) for name in sorted(names))]
        write_bytes(self.folder / MARKER, b"\n".join(lines))
        self._names, self._complete = names, True

    def _name(self, path: Path) -> str | None:
        if not path.is_relative_to(self.folder):
            return None
        name = path.relative_to(self.folder).as_posix()
        return name if name.split("/")[0] not in (".stages", ".lock") and _is_inside(name) else None

    @staticmethod
    def _in_the_way(path: Path) -> InputError:
        return InputError(f"{path} was not written by graphprune; move it, or choose another --out")


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps({**entry, "digest": fingerprint(entry)}).encode()


def _entries(path: Path) -> Iterator[dict[str, Any] | None]:
    """Return the lines of a list; None for a damaged line."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return
    for line in filter(None, lines):
        try:
            entry = json.loads(line)
            digest = entry.pop("digest")
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
            yield None
        else:
            yield entry if digest == fingerprint(entry) else None


def _recorded(folder: Path) -> Iterator[str]:
    """Return the outputs in all intact stage records."""
    for path in folder.glob(".stages/**/*.json"):
        record = read_record(path)
        if record is not None:
            yield from record["outputs"]


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the record of a stage; a missing or damaged record counts as none, since everything else relies on it."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        digest = record.pop("digest")
        if digest != fingerprint(record) or not {"key", "outputs", "costs"} <= record.keys():
            return None
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return None
    return dict(record)


def _is_inside(name: Any) -> bool:
    """Return whether a name stays inside the folder that it is relative to."""
    return (
        isinstance(name, str) and bool(name) and not name.startswith("/") and ".." not in PurePath(name).parts
    )
