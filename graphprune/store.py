"""The run folder: stages that are done are never done again, and nothing half-written is ever trusted."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from graphprune import __version__
from graphprune.errors import InputError
from graphprune.files import fingerprint, is_temporary, sha256, write_json
from graphprune.ledger import Cost
from graphprune.stages.stage import Attempt, Products, Stage

OnEvent = Callable[[str, str, float], None]


class Team(Protocol):
    """The ``size`` processes that do one run together, see `graphprune.train.process_group.ProcessGroup`."""

    size: int

    @property
    def writes(self) -> bool:
        """Whether this is the first process, which writes the files."""

    def wait(self) -> None:
        """Until all processes are here."""

    def as_first(self, value: bool) -> bool:
        """The first process's value, in all of them."""


class Alone:
    """A single process."""

    size, writes = 1, True

    def wait(self) -> None: ...

    def as_first(self, value: bool) -> bool:
        return value


class RunFolder:
    """Artifacts of one run, each beside the record of what it was made from.

    A stage's record in ``.stages/`` holds a key (a hash of its part of the config and of the content of
    every input), the hash of every file it wrote, and what it cost. A stage whose key and files still match
    is skipped; a changed config, an altered or a missing file makes just the stages that depend on it run again.

    Args:
        path: The folder.
        on_event: Told of every stage that is started, finished or kept.
        team: The processes that share the run; all of them must ask for the same stages in the same order.
    """

    def __init__(self, path: Path, *, on_event: OnEvent | None = None, team: Team | None = None) -> None:
        self.path, self.team = path, team or Alone()
        self._on_event = on_event
        self._visited: list[str] = []
        self._products = Products()
        self._hashes: dict[Path, tuple[tuple[int, ...], str]] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder against a second run; clears what an interrupted one left half-written."""
        if not self.team.writes:
            self.team.wait()
            yield
            return
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
            if (self.path / ".stages").is_dir():
                for leftover in self.path.rglob(".tmp-*"):
                    if is_temporary(leftover):
                        leftover.unlink(missing_ok=True)
            self.team.wait()
            yield
        finally:
            lock.release()

    def __truediv__(self, relative: str) -> Path:
        return self.path / relative

    def ensure(self, stage: Stage) -> bool:
        """Does the stage's work unless its result stands; returns whether it had to be done."""
        self.declare(stage)
        key = self._key(stage)
        self._visited.append(stage.name)
        record_path = self._record_path(stage.name)
        record = self._record(record_path) if self.team.writes else None
        stands = record is not None and record["key"] == key and self._intact(record["outputs"])
        if self.team.as_first(stands):
            self._tell("kept", stage.name)
            return False
        attempt = Attempt(self.path / ".stages" / "unfinished" / f"{key}.pt", writes=self.team.writes)
        if self.team.writes:
            record_path.unlink(missing_ok=True)
            self._tell("started", stage.name)
            self._finish(stage.name, key, attempt, stage.work(attempt))
        elif stage.together:
            stage.work(attempt)
        self.team.wait()
        return True

    def _finish(self, stage: str, key: str, attempt: Attempt, paths: Iterable[Path]) -> None:
        outputs = {self._relative(path): self._hash(path) for path in paths}
        # After the paths: work that is a generator books its costs while they are drawn from it.
        costs = {name: cost.to_dict() for name, cost in attempt.costs.items()}
        record = {"key": key, "outputs": outputs, "costs": costs}
        write_json(self._record_path(stage), {**record, "digest": fingerprint(record)})
        attempt.checkpoint.unlink(missing_ok=True)
        self._tell("finished", stage, sum(c.seconds for c in attempt.costs.values()))

    def declare(self, stage: Stage) -> None:
        """Makes a stage known without doing it, so that others may need what an earlier run made in this folder."""
        self._products.add(stage)

    def _key(self, stage: Stage) -> str:
        return fingerprint(
            {
                "stage": stage.name,
                "version": __version__,
                "settings": stage.settings,
                "needs": {need: self._made(need) for need in stage.needs},
                "inputs": [self._hash(path) for path in stage.inputs],
            }
        )

    def _made(self, need: str) -> dict[str, str]:
        """The files of a product with their hashes, as the record of its stage holds them."""
        stage, product = self._products.maker(need)
        record = self._record(self._record_path(stage.name))
        if record is None:
            raise InputError(
                f"{self.path} has no '{need}', which graphprune run makes; run the whole job there first"
            )
        return {name: digest for name, digest in record["outputs"].items() if product.holds(name)}

    def costs(self, stage: str) -> dict[str, Cost]:
        """What a finished stage cost, by ledger name."""
        record = self._record(self._record_path(stage))
        return {} if record is None else {name: Cost(**cost) for name, cost in record["costs"].items()}

    def cost_of(self, needs: Iterable[str]) -> Cost:
        """What making some products took, with everything that they are made from; each ledger entry counts once."""
        entries = self._products.entries(needs)
        return sum((self.costs(stage).get(entry, Cost()) for entry, stage in entries.items()), Cost())

    def ledger(self) -> dict[str, Cost]:
        """What every stage that this process asked for has cost, by ledger name."""
        return {name: cost for stage in self._visited for name, cost in self.costs(stage).items()}

    def _tell(self, event: str, stage: str, seconds: float = 0.0) -> None:
        self.log(event, stage=stage, seconds=round(seconds, 3))
        if self._on_event is not None:
            self._on_event(event, stage, seconds)

    def log(self, event: str, **fields: Any) -> None:
        """Appends one line to ``log.jsonl`` (the first process of a team does)."""
        if not self.team.writes:
            return
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
            (self.path / name).is_file() and self._hash(self.path / name) == digest
            for name, digest in outputs.items()
        )

    def _hash(self, path: Path) -> str:
        """The content's hash; what this process has read it is not read again while nothing touches the file."""
        facts = path.stat()
        seen = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if self._hashes.get(path, ((), ""))[0] != seen:
            self._hashes[path] = seen, sha256(path)
        return self._hashes[path][1]

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.path)) if path.is_relative_to(self.path) else str(path)


def clear(path: Path) -> None:
    """Deletes a run folder; a folder that is none is refused, so that a slip costs nothing."""
    if not path.exists():
        return
    if not (path / ".stages").is_dir() and not (path / "config.yaml").is_file():
        raise InputError(f"{path} is not a run folder, so it was not deleted; choose another --out")
    shutil.rmtree(path)
