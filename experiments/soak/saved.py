"""Kills shortly after a checkpoint was saved, and damage to what was saved."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

from experiments.soak.artifacts import compare, wait_for
from experiments.soak.faults import Soak
from graphprune.train.checkpoint import CADENCE

# Trainings of a second and more, which save themselves all the time.
LONG = ["data.limit=200", "oracle=null", "short_run=null", "controls=false", "extrapolators=[{name: knn, k: 5}]",
        "arms.0.extrapolator=knn", "training.random_states=[0]", "training.epochs=20",
        "seed_training.epochs=20"]  # fmt: skip
DAMAGES = ("none", "bit", "none", "byte", "cut", "bit", "empty", "foreign")


def kills_after_saves(soak: Soak, rounds: int, *, cadence: float = 0.02) -> dict[str, Any]:
    """Kills a run within a second after it saved a checkpoint, mostly damages the checkpoint, and resumes.

    A damaged checkpoint must cost one line on stderr that names it, an intact one none; the artifacts must equal
    those of an undisturbed run.

    Args:
        soak: Of a job whose trainings last long enough, such as with `LONG`.
        rounds: Kills.
        cadence: Seconds between two saves.
    """
    resumed, damaged = 0, {kind: 0 for kind in DAMAGES if kind != "none"}
    for number in range(rounds):
        out, wanted = soak.folder / f"saved-{number}", DAMAGES[number % len(DAMAGES)]
        while True:
            process = soak.start(out, before=lambda: _often(cadence))
            # A stage drawn by chance: the first checkpoint after a random moment.
            time.sleep(soak.draws.uniform(0, soak.seconds / 2))
            wait_for(lambda process=process, out=out: bool(_saved(out)) or not process.is_alive(), process)  # type: ignore[misc]
            time.sleep(soak.draws.uniform(0, 1))
            process.kill()
            process.join()
            assert process.exitcode in (-9, 0), process.exitcode
            if saved := _saved(out):
                break
            shutil.rmtree(out)
        for path in saved:
            damage(path, wanted, soak)
        code, said = soak.finish(out, before=lambda: _often(cadence))
        assert code == 0, said
        told = [line for line in said.splitlines() if "restarts from its beginning" in line]
        assert len(told) == said.count("\n"), said
        assert len(told) == (0 if wanted == "none" else len(saved)), (wanted, said)
        assert all(any(str(path) in line for line in told) for path in saved if wanted != "none"), said
        compare(soak.expected, out)
        shutil.rmtree(out)
        if wanted == "none":
            resumed += 1
        else:
            damaged[wanted] += 1
    return {"resumed": resumed, "damaged": damaged}


def damage(path: Path, kind: str, soak: Soak) -> None:
    """Changes a checkpoint as ``kind`` says, at a place drawn by chance."""
    content = bytearray(path.read_bytes())
    place = soak.draws.randrange(len(content))
    if kind == "bit":
        content[place] ^= 1 << soak.draws.randrange(8)
    elif kind == "byte":
        content[place] ^= soak.draws.randrange(1, 256)
    elif kind == "cut":
        del content[place:]
    elif kind == "empty":
        content.clear()
    elif kind == "foreign":
        content[:] = soak.draws.randbytes(1000)
    path.write_bytes(bytes(content))


def _saved(out: Path) -> list[Path]:
    return sorted(out.glob(".stages/unfinished/[!.]*.pt"))


def _often(cadence: float) -> None:
    os.environ[CADENCE] = str(cadence)
