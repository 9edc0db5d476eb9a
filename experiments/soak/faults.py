"""What can go wrong around a run, done to it on purpose; afterwards its artifacts must equal an undisturbed run's."""

from __future__ import annotations

import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from experiments.soak.artifacts import FORK, NOT_BYTES, artifacts, compare, wait_for
from graphprune.config.load import load_config
from graphprune.jobs.pipeline import run


class Soak:
    """One config and the artifacts that an undisturbed run of it leaves.

    Args:
        config: A small job.
        overrides: As with ``--set``.
        folder: Where everything is written.
        seed: Of the moments and places of faults.
    """

    def __init__(self, config: Path, overrides: list[str], folder: Path, *, seed: int = 0) -> None:
        self.config, self.overrides, self.folder = config, overrides, folder
        self.draws = random.Random(seed)
        self.whole = folder / "whole"
        # In this process, so that children find everything imported.
        run(load_config(config, overrides), self.whole)
        start = time.monotonic()
        code, said = self.finish(folder / "timed")
        assert code == 0, said
        self.seconds = time.monotonic() - start
        self.expected = artifacts(self.whole)

    def start(self, out: Path, *more: str, before: Callable[[], None] | None = None) -> Any:
        """Starts ``graphprune run`` in a child whose stderr goes to a file."""
        arguments = ["run", str(self.config), "--out", str(out), "--json", *more]
        arguments += [part for override in self.overrides for part in ("--set", override)]
        process = FORK.Process(target=_main, args=(arguments, self.err(out), before))
        process.start()
        return process

    def err(self, out: Path) -> Path:
        """Where the run's stderr goes; never to a disk that is to be full."""
        return self.folder / f"{out.parent.name}-{out.name}.err"

    def finish(self, out: Path, *, before: Callable[[], None] | None = None) -> tuple[int, str]:
        """Runs to the end; returns exit code and stderr."""
        process = self.start(out, before=before)
        process.join()
        return process.exitcode, self.err(out).read_text()

    def check(self, out: Path) -> None:
        """Resumes the run and compares every artifact."""
        code, said = self.finish(out)
        assert code == 0, said
        compare(self.expected, out)

    def copy(self, name: str) -> Path:
        """A finished run to damage."""
        out = self.folder / name
        shutil.copytree(self.whole, out)
        return out

    def kills(self, rounds: int, *, kind: signal.Signals = signal.SIGKILL) -> dict[str, Any]:
        """Kill the run at random moments, ``rounds`` times in total; a run that finishes is started again elsewhere."""
        done = finished = 0
        while done < rounds:
            out = self.folder / f"{kind.name}-{finished}"
            while done < rounds:
                process = self.start(out)
                process.join(timeout=self.draws.uniform(0.05, self.seconds))
                if process.exitcode is not None:
                    assert process.exitcode == 0, self.err(out).read_text()
                    break
                os.kill(process.pid, kind)
                process.join()
                # A signal that arrives in the last moment finds nothing left to stop.
                expected = {-9, 0} if kind == signal.SIGKILL else {130, 0}
                assert process.exitcode in expected, process.exitcode
                done += 1
            self.check(out)
            finished += 1
            shutil.rmtree(out)
        return {"signals": done, "runs checked": finished}

    def interruption(self) -> dict[str, Any]:
        """Ctrl-C in the middle of a training: one sentence, exit code 130, nothing half-written, resumable."""
        out = self.folder / "interrupted"
        for _ in range(10):
            process = self.start(out)
            wait_for(lambda: "started" in last_event(out, "train/"), process)
            os.kill(process.pid, signal.SIGINT)
            process.join()
            if process.exitcode != 0:
                break
            # On busy cores the last training may end before the signal is there; then nothing was shown.
            shutil.rmtree(out)
        said = self.err(out).read_text()
        assert process.exitcode == 130, said
        assert said.count("\n") == 1, said
        assert "the same command resumes" in said
        assert not list(out.rglob(".tmp-*"))
        self.check(out)
        return {"exit code": 130}

    def full_disk(self, *, limits: tuple[int, ...] = (500, 4_000, 20_000)) -> dict[str, Any]:
        """No file may grow beyond some bytes, as on a full disk: one sentence, exit code 2, then it goes on."""
        for limit in limits:
            out = self.folder / f"full-{limit}"
            code, said = self.finish(out, before=lambda limit=limit: _limit_files(limit))
            assert code == 2, (limit, code, said)
            assert said.count("\n") == 1, said
            assert "written" in said, said
            assert not list(out.rglob(".tmp-*"))
            self.check(out)
        return {"limits": len(limits)}

    def full_tmpfs(self, *, kib: int = 32, factor: float = 1.5) -> dict[str, Any]:
        """The same on a small file system that is really full, and a bit larger each time, where one may be mounted.

        Args:
            kib: Its size at first.
            factor: By which it grows whenever it was full, until the run comes to its end.
        """
        with mounted(self.folder / "small", f"size={kib}k") as small:
            if small is None:
                return {"skipped": "no right to mount a tmpfs"}
            out, fills = small / "run", 0
            while (done := self.finish(out))[0] != 0:
                code, said = done
                assert code == 2, (kib, code, said)
                assert said.count("\n") == 1, said
                assert "written" in said, said
                assert not list(out.rglob(".tmp-*"))
                fills, kib = fills + 1, round(kib * factor)
                subprocess.run(["mount", "-o", f"remount,size={kib}k", str(small)], check=True)
            assert fills, f"{kib} KiB were enough"
            compare(self.expected, out)
        return {"times full": fills, "enough": f"{kib} KiB"}

    def read_only(self) -> dict[str, Any]:
        """A place that cannot be written: one sentence, exit code 2."""
        with mounted(self.folder / "ro", "ro") as place:
            out = Path("/proc/graphprune") if place is None else place / "run"
            err = self.folder / "ro.err"
            process = FORK.Process(
                target=_main, args=(["run", str(self.config), "--out", str(out)], err, None)
            )
            process.start()
            process.join()
        said = err.read_text()
        assert process.exitcode == 2, said
        assert said.count("\n") == 1, said
        assert "cannot be written" in said, said
        return {"place": "procfs" if place is None else "tmpfs, read-only"}

    def two_runs(self) -> dict[str, Any]:
        """A second run on a folder is refused with a clear word, and the first one does not notice."""
        # A busy machine may end the first before the second has begun.
        for attempt in range(5):
            out, err = self.folder / f"shared-{attempt}", self.folder / "second.err"
            first = self.start(out)
            wait_for(lambda out=out: (out / "log.jsonl").exists(), first)  # type: ignore[misc]
            arguments = ["run", str(self.config), "--out", str(out)]
            second = FORK.Process(target=_main, args=(arguments, err, None))
            second.start()
            second.join()
            if second.exitcode == 2:
                break
        assert second.exitcode == 2, err.read_text()
        assert "in use by another run" in err.read_text()
        first.join()
        assert first.exitcode == 0
        self.check(out)
        return {"refused": 1}

    def fresh_kills(self, rounds: int) -> dict[str, Any]:
        """Kills ``--fresh`` early on: the same command without it ends with a whole run, of which nothing is left over.

        A file of the user's in the folder survives.
        """
        old = new = 0
        for number in range(rounds):
            out = self.copy(f"fresh-{number}")
            (out / "notes.txt").write_text("mine")
            process = self.start(out, "--fresh")
            # The former run is replaced in the first moments, after the job has been checked.
            process.join(timeout=self.draws.uniform(0, 0.3 if number % 2 else self.seconds / 4))
            process.kill()
            process.join()
            kept = (out / "metrics.json").exists() or (out / ".graphprune-old/metrics.json").exists()
            old, new = old + kept, new + (not kept)
            code, said = self.finish(out)
            assert code == 0, said
            assert (out / "notes.txt").read_text() == "mine"
            (out / "notes.txt").unlink()
            compare(self.expected, out)
            assert not list(out.glob(".graphprune-*"))
            shutil.rmtree(out)
        return {"old run kept": old, "new run kept": new}

    def future(self) -> dict[str, Any]:
        """All files come from the future, as after a clock was set back: nothing is redone or lost."""
        out = self.copy("future")
        for path in out.rglob("*"):
            os.utime(path, (2**32, 2**32))
        (out / "log.jsonl").unlink()
        self.check(out)
        assert "started" not in (out / "log.jsonl").read_text()
        return {"redone": 0}

    def corruption(self, count: int | None = None) -> dict[str, Any]:
        """One byte of an artifact, or of the record beside it, changes: it is noticed and made good.

        Args:
            count: So many files, drawn at random (default: all).
        """
        out = self.copy("corrupted")
        files = sorted(
            path
            for path in out.rglob("*")
            if path.is_file() and path.name not in NOT_BYTES and path.stat().st_size
        )
        chosen = files if count is None else self.draws.sample(files, count)
        for path in chosen:
            content = bytearray(path.read_bytes())
            content[self.draws.randrange(len(content))] ^= 1 << self.draws.randrange(8)
            path.write_bytes(bytes(content))
            self.check(out)
        return {"files": len(chosen)}


def last_event(out: Path, stage: str) -> str:
    """The latest line of the log about stages that begin so."""
    try:
        lines = (out / "log.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return next((line for line in reversed(lines) if f'"{stage}' in line), "")


@contextmanager
def mounted(place: Path, options: str) -> Any:
    """A tmpfs mounted at ``place``, or None where that is not allowed."""
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _main(arguments: list[str], err: Path, before: Callable[[], None] | None) -> None:
    from graphprune.cli import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdout = io.StringIO()
    sys.stderr = err.open("w", buffering=1)
    sys.argv = ["graphprune", *arguments]
    if before is not None:
        before()
    main()


def _limit_files(size: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
