"""What a run promises byte by byte, and how to wait for a moment in it."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# A child starts at once, with everything imported.
FORK = multiprocessing.get_context("fork")
TIMED = {"cost", "seconds", "total_seconds", "fit_seconds", "predict_seconds", "wall_clock_ratio"}
# They tell of time, or are written anew by every run.
NOT_BYTES = {"ledger.json", "log.jsonl", "report.html", ".lock", "provenance.json"}


def artifacts(folder: Path) -> dict[str, Any]:
    """Content of every file whose bytes a run promises, by relative name; metrics without times."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.name in NOT_BYTES or name.startswith(".stages"):
            continue
        found[name] = (
            untimed(json.loads(path.read_text())) if path.name == "metrics.json" else path.read_bytes()
        )
    return found


def compare(expected: dict[str, Any], folder: Path) -> None:
    """Refuses a finished run that lacks an artifact, has one too many, or holds other bytes."""
    found = artifacts(folder)
    assert found.keys() == expected.keys(), found.keys() ^ expected.keys()
    differing = [name for name in expected if found[name] != expected[name]]
    assert not differing, differing
    assert not list(folder.rglob(".tmp-*"))
    assert not list(folder.glob(".stages/unfinished/*"))


def untimed(value: Any) -> Any:
    """JSON data without what tells of time."""
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in TIMED}
    return [untimed(v) for v in value] if isinstance(value, list) else value


def started(folder: Path) -> list[str]:
    """Stages that began in this folder, in order, with repetitions."""
    try:
        lines = (folder / "log.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return []
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return [event["stage"] for event in events if event["event"] == "started"]


def wait_for(condition: Callable[[], bool], process: Any, *, seconds: float = 120) -> None:
    """Waits until the condition holds while the process lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.is_alive() or condition(), "the run ended too early"
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.002)
