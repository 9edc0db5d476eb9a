"""Prune windows of sensor series by every means, and say what each means costs.

    python experiments/st_prune/run.py --data DIR [--sets ...] [--states 0 1 2] [--processes 2]
    python experiments/st_prune/run.py --data DIR --out /tmp/try --limit 600 --epochs 2 --states 0   # a smoke test

Writes one JSON line for each (set, job, random state) to OUT/lines.jsonl and skips what stands there; intermediate
arrays go to OUT/work. Then ``tables.py OUT`` prints the tables and draws which windows are kept.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from jobs import Place, run_job
from settings import SEED_FRACTIONS, SETTINGS, arms

Job = tuple[str, str, int]
HERE = Path(__file__).parent


def phases(sets: list[str], states: list[int], only: list[str] | None) -> list[list[Job]]:
    """Jobs in the order of what they read: full runs, a short run and the seed runs before the arms, judges last."""
    seeds = [f"seed{100 * fraction:.0f}" for fraction in SEED_FRACTIONS]
    first = ["naive", "full", "full_short@0.30"]
    rest = [name for name in arms() if name not in first]

    def listed(jobs: list[str]) -> list[Job]:
        chosen = [job for job in jobs if only is None or job in only]
        every = [(s, job, state) for state in states for s in sets for job in chosen]
        every = [each for each in every if each[1] in (SETTINGS[each[0]].only or chosen)]
        # Forecasts without training do not depend on the random state.
        return [each for each in every if each[1] != "naive" or each[2] == states[0]]

    return [listed(first), listed(seeds), listed(rest), listed(["judge"])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="Folder of the .npz files.")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--sets", nargs="*", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--states", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--jobs", nargs="*", default=None, help="Only these jobs, such as full or st_prune@0.50."
    )
    parser.add_argument("--limit", type=int, default=None, help="Use the first so many time steps.")
    parser.add_argument("--epochs", type=int, default=None, help="Of a full run.")
    parser.add_argument("--processes", type=int, default=2, help="Trainings at once, one thread each.")
    parser.add_argument("--one", nargs=3, metavar=("SET", "JOB", "STATE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    place = Place(options.data, options.out / "work", options.limit, options.epochs)
    if options.one:
        name, job, state = options.one
        for line in run_job(place, name, job, int(state)):
            print(json.dumps(line))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    lines = options.out / "lines.jsonl"
    done = _done(lines)
    for phase in phases(options.sets, options.states, options.jobs):
        _work_off([job for job in phase if job not in done], options, lines)


def _done(lines: Path) -> set[Job]:
    if not lines.exists():
        return set()
    known = [json.loads(line) for line in lines.read_text().splitlines() if line.endswith("}")]
    return {(line["set"], line["job"], line["state"]) for line in known}


def _work_off(waiting: list[Job], options: argparse.Namespace, lines: Path) -> None:
    passed = ["--data", str(options.data), "--out", str(options.out)]
    for name in ("limit", "epochs"):
        value = getattr(options, name)
        passed += [] if value is None else [f"--{name}", str(value)]
    running: dict[subprocess.Popen[str], Job] = {}
    waiting = list(waiting)
    while waiting or running:
        while waiting and len(running) < options.processes:
            name, job, state = waiting.pop(0)
            command = [sys.executable, str(HERE / "run.py"), *passed, "--one", name, job, str(state)]
            running[subprocess.Popen(command, stdout=subprocess.PIPE, text=True)] = (name, job, state)
        for process in [process for process in running if process.poll() is not None]:
            job_done = running.pop(process)
            output = process.stdout.read() if process.stdout else ""
            if process.returncode:
                for other in running:
                    other.terminate()
                sys.exit(f"{job_done} failed with exit code {process.returncode}")
            with lines.open("a") as handle:
                handle.write(output)
            print(time.strftime("%H:%M:%S"), *job_done, flush=True)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
