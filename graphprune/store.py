"""The run folder: stages that are done are never done again, and nothing half-written is ever trusted."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from graphprune import __version__
from graphprune.errors import InputError
from graphprune.files import fingerprint, sha256, write_json
from graphprune.ledger import Cost


@dataclass
class Attempt:
    """One try at a stage.

    Attributes:
        checkpoint: Where long work may save its state; a try with the same key finds it, others never do.
        costs: What the stage cost, by ledger name; the work fills it.
    """

    checkpoint: Path
    costs: dict[str, Cost] = field(default_factory=dict)


OnEvent = Callable[[str, str, float], None]
Work = Callable[[Attempt], Iterable[Path]]


class RunFolder:
    """Artifacts of one run, each beside the record of what it was made from.

    A stage's record in ``.stages/`` holds a key (a hash of its part of the config and of the content of
    every input), the hash of every file it wrote, and what it cost. A stage whose key and files still match
    is skipped; a changed config, an altered or a missing file makes just the stages that depend on it run again.
    """

    def __init__(self, path: Path, *, on_event: OnEvent | None = None) -> None:
        self.path = path
        self._on_event = on_event
        self._visited: list[str] = []

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder against a second process; clears what an interrupted one left half-written."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file, not a folder; choose another --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock")
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"{self.path} is in use by another run; wait for it or choose another --out"
            ) from error
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror}); choose another --out"
            ) from error
        try:
            for leftover in self.path.rglob(".tmp-*"):
                leftover.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def __truediv__(self, relative: str) -> Path:
        return self.path / relative

    def ensure(self, stage: str, *, settings: Any, inputs: Iterable[Path], work: Work) -> bool:
        """Does ``work`` unless its result stands; returns whether it had to be done.

        Args:
            stage: Name of the stage; ``/`` makes sub-folders.
            settings: JSON-like data that the result depends on.
            inputs: Files that the result depends on, inside this folder or outside; their content counts.
            work: Writes the artifacts, books its costs, returns the artifacts' paths.
        """
        key = fingerprint(
            {
                "stage": stage,
                "version": __version__,
                "settings": settings,
                "inputs": {self._relative(path): sha256(path) for path in inputs},
            }
        )
        self._visited.append(stage)
        record_path = self._record_path(stage)
        record = self._record(record_path)
        if record is not None and record["key"] == key and self._intact(record["outputs"]):
            self._tell("kept", stage)
            return False
        record_path.unlink(missing_ok=True)
        self._tell("started", stage)
        attempt = Attempt(self.path / ".stages" / "unfinished" / f"{key}.pt")
        outputs = {self._relative(path): sha256(path) for path in work(attempt)}
        costs = {name: cost.to_dict() for name, cost in attempt.costs.items()}
        record = {"key": key, "outputs": outputs, "costs": costs}
        write_json(record_path, {**record, "digest": fingerprint(record)})
        attempt.checkpoint.unlink(missing_ok=True)
        self._tell("finished", stage, sum(c.seconds for c in attempt.costs.values()))
        return True

    def costs(self, stage: str) -> dict[str, Cost]:
        """What a finished stage cost, by ledger name."""
        record = self._record(self._record_path(stage))
        return {} if record is None else {name: Cost(**cost) for name, cost in record["costs"].items()}

    def ledger(self) -> dict[str, Cost]:
        """What every stage that this process asked for has cost, by ledger name."""
        return {name: cost for stage in self._visited for name, cost in self.costs(stage).items()}

    def _tell(self, event: str, stage: str, seconds: float = 0.0) -> None:
        self.log(event, stage=stage, seconds=round(seconds, 3))
        if self._on_event is not None:
            self._on_event(event, stage, seconds)

    def log(self, event: str, **fields: Any) -> None:
        """Appends one line to ``log.jsonl``."""
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **fields})
        with (self.path / "log.jsonl").open("a") as handle:
            handle.write(line + "\n")

    def _record_path(self, stage: str) -> Path:
        return self.path / ".stages" / f"{stage}.json"

    @staticmethod
    def _record(path: Path) -> dict[str, Any] | None:
        try:
            record = json.loads(path.read_text())
            # A record vouches for all else, so a damaged one counts as none.
            if record.pop("digest", None) not in (None, fingerprint(record)):
                return None
            return record if {"key", "outputs", "costs"} <= record.keys() else None
        except (OSError, ValueError, AttributeError, TypeError):
            return None

    def _intact(self, outputs: dict[str, str]) -> bool:
        return all(
            (self.path / name).is_file() and sha256(self.path / name) == digest
            for name, digest in outputs.items()
        )

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.path)) if path.is_relative_to(self.path) else str(path)


def clear(path: Path) -> None:
    """Deletes a run folder; a folder that is none is refused, so that a slip costs nothing."""
    if not path.exists():
        return
    if not (path / ".stages").is_dir() and not (path / "config.yaml").is_file():
        raise InputError(f"{path} is not a run folder, so it was not deleted; choose another --out")
    shutil.rmtree(path)
