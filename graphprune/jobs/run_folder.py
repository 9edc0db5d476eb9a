"""The run folder: finished stages are never repeated, and incomplete files are never used."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from graphprune.errors import InputError
from graphprune.files import fingerprint, guarded, sha256, target_of_temporary, write_json
from graphprune.jobs.run_files import MARKER, RunFiles, read_record
from graphprune.jobs.set_aside import ASIDE, discard, restore, set_aside
from graphprune.jobs.stage import Attempt, Products, Stage
from graphprune.runtime.cost import Cost
from graphprune.runtime.paths import refuse_unusable
from graphprune.runtime.version import __version__

# One run at a time per process: trainings seed torch's global generator, which threads share.
_RUNNING = threading.Lock()


OnEvent = Callable[[str, str, float], None]


class Team(Protocol):
    """The ``size`` processes of one run, see `graphprune.train.process_group.ProcessGroup`."""

    size: int

    @property
    def writes(self) -> bool:
        """Whether this is the first process, which writes all files."""

    def wait(self) -> None:
        """Wait until all processes have arrived."""

    def as_first(self, value: bool) -> bool:
        """Return the value of the first process in every process."""


class Alone:
    """A single process."""

    size, writes = 1, True

    def wait(self) -> None: ...

    def as_first(self, value: bool) -> bool:
        return value


class RunFolder:
    """The artifacts of one run, with a record of what each was made from.

    The record of a stage in ``.stages/`` contains a key (a hash of its part of the config and of the content of
    every input), the hash of every file that it wrote, and its cost. A stage whose key and files still match is
    skipped. A changed config, or an altered or missing file, reruns exactly the stages that depend on it.

    Args:
        path: The folder.
        on_event: Called for every stage that is started, finished or kept.
        team: The processes of the run; all of them must request the same stages in the same order.
    """

    def __init__(self, path: Path, *, on_event: OnEvent | None = None, team: Team | None = None) -> None:
        self.path, self.team = path, team or Alone()
        self._on_event = on_event
        self.files = RunFiles(path)
        self._fresh = False
        self._visited: list[str] = []
        self._products = Products()
        self._hashes: dict[Path, tuple[tuple[int, ...], str]] = {}

    @contextmanager
    def locked(self, *, fresh: bool = False) -> Iterator[None]:
        """Lock the folder against a second run and delete the incomplete files of an interrupted one.

        Inside the block `write_atomic` refuses to overwrite a file in the folder that graphprune did not write.

        Args:
            fresh: The run will `begin` again in this folder.

        Raises:
            InputError: the folder holds files that are not part of a run, is in use, or cannot be written; another
                run is under way in this process; with ``fresh``, it is a link, or contains the current or the home
                folder.
        """
        refuse_unusable(self.path)
        self._fresh = fresh
        if not self.team.writes:
            self.team.wait()
            yield
            return
        if fresh:
            self._refuse_fresh()
        with self._lock(), guarded(self.files.claim):
            self.team.wait()
            yield

    @contextmanager
    def _lock(self) -> Iterator[None]:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file, not a folder; choose another --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            # If there is a lock file, another run may be about to mark the folder, so the lock is taken first.
            if not self.files.is_locked_once() and not (self.path / ASIDE / MARKER).is_file():
                self.files.refuse_foreign()
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
            if not _RUNNING.acquire(blocking=False):
                raise InputError(
                    "another run is under way in this process, and both would use torch's global random "
                    "generator; start one after the other, or each in its own process"
                )
            try:
                self._recover()
                yield
            finally:
                _RUNNING.release()
        finally:
            lock.release()

    def _recover(self) -> None:
        """Delete or undo what an interrupted run left."""
        discard(self.path, started=True)
        restore(self.path)
        self.files.refresh()
        self.files.refuse_foreign()
        if self.files.is_run:
            for leftover in self.path.rglob(".tmp-*"):
                target = target_of_temporary(leftover)
                if target is not None and self.files.may_hold(target):
                    leftover.unlink(missing_ok=True)

    @contextmanager
    def begin(self) -> Iterator[None]:
        """Start a run whose input has been checked; the block writes its first files.

        With ``fresh`` the former run is moved aside before the block and deleted after it. If the block fails, the
        former run is restored, now or by the next run in this folder.
        """
        self.team.wait()
        if not self.team.writes:
            yield
            return
        if not (self._fresh and self.files.is_run):
            yield
            return
        self.files.mark()
        try:
            set_aside(self.files)
            yield
        except BaseException:
            restore(self.path)
            self.files.refresh()
            raise
        discard(self.path)

    def _refuse_fresh(self) -> None:
        if self.path.is_symlink():
            raise InputError(
                f"{self.path} is a symbolic link, which --fresh does not follow; pass {self.path.resolve()} itself"
            )
        # An account without a passwd entry and without HOME has no home folder, and "~" is not expanded.
        home = Path(os.path.expanduser("~"))
        for place, what in ((Path.cwd(), "the current folder"), (home, "the home folder")):
            if place.resolve().is_relative_to(self.path.resolve()):
                raise InputError(
                    f"--fresh does not delete {self.path}, which is or contains {what}; choose another --out"
                )

    def __truediv__(self, relative: str) -> Path:
        return self.path / relative

    def ensure(self, stage: Stage) -> bool:
        """Do the work of a stage unless its result is complete; return whether it was done."""
        self.declare(stage)
        key = self._key(stage)
        self._visited.append(stage.name)
        record_path = self._record_path(stage.name)
        record = read_record(record_path) if self.team.writes else None
        complete = record is not None and record["key"] == key and self._intact(record["outputs"])
        if self.team.as_first(complete):
            self._report("kept", stage.name)
            return False
        attempt = Attempt(self.path / ".stages" / "unfinished" / f"{key}.pt", writes=self.team.writes)
        if self.team.writes:
            self.files.mark()
            record_path.unlink(missing_ok=True)
            self._report("started", stage.name)
            self._finish(stage.name, key, attempt, stage.work(attempt))
        elif stage.together:
            stage.work(attempt)
        self.team.wait()
        return True

    def _finish(self, stage: str, key: str, attempt: Attempt, paths: Iterable[Path]) -> None:
        outputs = {}
        for path in paths:
            outputs[self._relative(path)] = self._hash(path)
            self.files.add(path)
        # Read after the paths: work that is a generator records its costs while it yields them.
        costs = {name: cost.to_dict() for name, cost in attempt.costs.items()}
        record = {"key": key, "outputs": outputs, "costs": costs}
        write_json(self._record_path(stage), {**record, "digest": fingerprint(record)})
        if not attempt.checkpoint.is_dir():
            attempt.checkpoint.unlink(missing_ok=True)
        self._report("finished", stage, sum(c.seconds for c in attempt.costs.values()))

    def declare(self, stage: Stage) -> None:
        """Register a stage without running it, so that others can use its products from an earlier run."""
        self._products.add(stage)

    def require(self, need: str) -> None:
        """Reject a folder without a product that a whole job makes; `InputError` says how to make it."""
        if not self._products.knows(need):
            raise self._lacks(need)
        self._made(need)

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
        """Return the files of a product with their hashes, from the record of its stage."""
        stage, product = self._products.maker(need)
        record = read_record(self._record_path(stage.name))
        if record is None:
            raise self._lacks(need)
        return {name: digest for name, digest in record["outputs"].items() if product.holds(name)}

    def _lacks(self, need: str) -> InputError:
        return InputError(
            f"{self.path} has no '{need}', which graphprune run writes; run the whole job there first"
        )

    def costs(self, stage: str) -> dict[str, Cost]:
        """Return the costs of a finished stage, by ledger entry."""
        record = read_record(self._record_path(stage))
        return {} if record is None else {name: Cost(**cost) for name, cost in record["costs"].items()}

    def outputs(self, stage: str) -> list[Path]:
        """Return the files that a finished stage wrote, sorted; none if one of them is missing or altered.

        Stages read these files and no other files in the folder.
        """
        record = read_record(self._record_path(stage))
        if record is None or not self._intact(record["outputs"]):
            return []
        return [self.path / name for name in sorted(record["outputs"])]

    def remove(self, path: Path) -> None:
        """Delete an artifact of an earlier attempt, if there is one; `InputError` if graphprune did not write it."""
        self.files.claim(path)
        path.unlink(missing_ok=True)

    def cost_of(self, needs: Iterable[str]) -> Cost:
        """Return the cost of some products and of everything that they are made from; each ledger entry counts once."""
        entries = self._products.entries(needs)
        return sum((self.costs(stage).get(entry, Cost()) for entry, stage in entries.items()), Cost())

    def ledger(self) -> dict[str, Cost]:
        """Return the costs of every stage that this process requested, by ledger entry."""
        return {name: cost for stage in self._visited for name, cost in self.costs(stage).items()}

    def _report(self, event: str, stage: str, seconds: float = 0.0) -> None:
        self.log(event, stage=stage, seconds=round(seconds, 3))
        if self._on_event is not None:
            self._on_event(event, stage, seconds)

    def log(self, event: str, **fields: Any) -> None:
        """Append one line to ``log.jsonl`` (first process only)."""
        if not self.team.writes:
            return
        self.files.claim(self.path / "log.jsonl")
        line = json.dumps({"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "event": event, **fields})
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")

    def _record_path(self, stage: str) -> Path:
        return self.path / ".stages" / f"{stage}.json"

    def _intact(self, outputs: dict[str, str]) -> bool:
        return all(
            (self.path / name).is_file() and self._hash(self.path / name) == digest
            for name, digest in outputs.items()
        )

    def _hash(self, path: Path) -> str:
        """Return the hash of the content; it is cached in this process until the file changes."""
        facts = path.stat()
        seen = (facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if self._hashes.get(path, ((), ""))[0] != seen:
            self._hashes[path] = seen, sha256(path)
        return self._hashes[path][1]

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.path)) if path.is_relative_to(self.path) else str(path)
