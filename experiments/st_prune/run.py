"""Prune windows of sensor series by every means, and say what each means costs.

    python -m experiments.st_prune.run --data DIR [--sets ...] [--states 0 1 2] [--processes 2]
    python -m experiments.st_prune.run --data DIR --out /tmp/try --limit 600 --epochs 2 --states 0   # a smoke test

Each (set, job, random state) is one process and one line in OUT/lines.jsonl (several for ``naive`` and ``judge``); the
same command goes on where it stopped. Intermediate arrays go to OUT/work. Then ``experiments.st_prune.tables`` prints
the tables and draws which windows are kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from experiments.parallel import run_all
from experiments.st_prune.jobs import Place, run_job
from experiments.st_prune.settings import SEED_FRACTIONS, SETTINGS, arms
from experiments.tables import append_lines, read_lines

Job = tuple[str, str, int]
HERE = Path(__file__).parent


def phases(sets: list[str], states: list[int], only: list[str] | None) -> list[list[Job]]:
    """Jobs in groups, each of which reads what earlier ones wrote, the most telling comparisons first.

    Full runs, a short run and seed runs come first, then every arm at half the cost, then the other budgets, then
    ST-Prune's parts and the arms that know the truth. Within a group each arm is done for all sets and random
    states before the next one, so that what stands after an interruption has them all.
    """
    seeds = [f"seed{100 * fraction:.0f}" for fraction in SEED_FRACTIONS]
    first = ["naive", "full", "full_short@0.30"]
    rest = [name for name in arms() if name not in first]
    variants = [name for name in rest if name.startswith(("st_prune_without", "truth"))]
    half = [name for name in rest if name.endswith("@0.50") and name not in variants]
    other = [name for name in rest if name not in (*half, *variants)]

    def listed(jobs: list[str]) -> list[Job]:
        chosen = [job for job in jobs if only is None or job in only]
        every = [(s, job, state) for job in chosen for s in sets for state in states]
        every = [each for each in every if each[1] in (SETTINGS[each[0]].only or chosen)]
        # Forecasts without training do not depend on the random state.
        return [each for each in every if each[1] != "naive" or each[2] == states[0]]

    return [listed(first), listed(seeds), listed(["judge", *half]), listed(other), listed(variants)]


def finished(lines: Path) -> set[Job]:
    """What has a line."""
    return {(line["set"], line["job"], line["state"]) for line in read_lines(lines)}


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
    known = {job for group in phases(list(SETTINGS), [0], None) for _, job, _ in group}
    if unknown := set(options.jobs or ()) - known:
        parser.error(f"unknown job {sorted(unknown)[0]}; known are {', '.join(sorted(known))}")
    data, out = options.data.resolve(), options.out.resolve()
    place, lines = Place(data, out / "work", options.limit, options.epochs), out / "lines.jsonl"
    if options.one:
        name, job, state = options.one
        found = run_job(place, name, job, int(state))
        # A run whose parent was killed may end after its successor.
        if (name, job, int(state)) not in finished(lines):
            append_lines(lines, found)
        print(time.strftime("%H:%M:%S"), name, job, state, flush=True)
        return
    out.mkdir(parents=True, exist_ok=True)
    passed = ["--data", str(data), "--out", str(out)]
    for name in ("limit", "epochs"):
        value = getattr(options, name)
        passed += [] if value is None else [f"--{name}", str(value)]
    done = finished(lines)
    for phase in phases(options.sets, options.states, options.jobs):
        waiting = [job for job in phase if job not in done]
        commands = (["experiments.st_prune.run", *passed, "--one", *map(str, job)] for job in waiting)
        run_all(commands, at_once=options.processes)


if __name__ == "__main__":
    main()
