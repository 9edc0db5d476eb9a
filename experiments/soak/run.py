"""What can go wrong around a run, done to it on purpose; afterwards its artifacts must equal an undisturbed run's.

python -m experiments.soak.run [--rounds 50] [--config tests/tiny.yaml] [--only NAME ...]

`tests/test_faults.py` and `tests/test_resume.py` run every part once, in short.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from experiments.soak.faults import Soak
from experiments.soak.same_bytes import lazily, same_bytes, same_bytes_on_threads, with_workers
from experiments.soak.saved import LONG, kills_after_saves
from graphprune.config.data import ObjectData
from graphprune.config.load import load_config
from graphprune.data.load import load_data

ROOT = Path(__file__).parents[2]
Part = Callable[[], dict[str, Any]]


def faults(arguments: argparse.Namespace, folder: Path) -> dict[str, Part]:
    """Every fault by its name in the summary; the undisturbed run they compare with is made for the first one."""
    made: dict[str, Soak] = {}

    def soak(name: str = "job", *more: str) -> Soak:
        if name not in made:
            place = folder / name
            place.mkdir()
            made[name] = Soak(arguments.config, [*arguments.overrides, *more], place, seed=arguments.seed)
            told = f"{made[name].seconds:.1f} s, {len(made[name].expected)} artifacts"
            print(f"undisturbed {name}: {told}", flush=True)
        return made[name]

    return {
        "SIGKILL": lambda: soak().kills(arguments.rounds),
        "SIGTERM": lambda: soak().kills(max(1, arguments.rounds // 5), kind=signal.SIGTERM),
        "Ctrl-C": lambda: soak().interruption(),
        "full disk (limit on file size)": lambda: soak().full_disk(),
        "full disk (tmpfs)": lambda: soak().full_tmpfs(),
        "read-only": lambda: soak().read_only(),
        "two runs": lambda: soak().two_runs(),
        "files from the future": lambda: soak().future(),
        "one byte corrupted": lambda: soak().corruption(arguments.corrupted),
        "kills after saves": lambda: kills_after_saves(soak("long", *LONG), arguments.rounds),
        "--fresh killed": lambda: soak().fresh_kills(max(1, arguments.rounds // 2)),
    }


def demos(arguments: argparse.Namespace, folder: Path) -> dict[str, Part]:
    """Both demo jobs with 1 and 2 workers, killed and not, and on 2 threads; the images are read item by item."""

    def job(name: str, out: Path) -> dict[str, Any]:
        config = load_config(ROOT / f"configs/{name}.yaml", arguments.demo_overrides)
        data = None
        if name == "digits":
            data = lazily(load_data(config.data))
            config = config.model_copy(update={"data": ObjectData(kind="object", name="digits")})
        out.mkdir()
        found = same_bytes(config, out, data=data, kills=max(1, arguments.rounds // 5), seed=arguments.seed)
        threads = same_bytes_on_threads(with_workers(config, 1), out / "whole-1", out / "threads", data=data)
        shutil.rmtree(out)
        return {**found, "redone on 2 threads": threads["stages"]}

    return {
        f"same bytes: {name}": lambda name=name: job(name, folder / name)  # type: ignore[misc]
        for name in ("digits", "traffic")
    }


def main() -> None:
    """Does everything, prints a summary and writes it to ``results/soak.json``."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", type=Path, default=ROOT / "tests/tiny.yaml")
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--demo-set", dest="demo_overrides", action="append", default=[])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--corrupted", type=int, default=None, help="default: every file")
    parser.add_argument("--only", action="append", help="a part by its name in the summary; repeatable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/soak.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # Parts that are done alone leave the results of the others as they are.
    summary: dict[str, Any] = (
        json.loads(arguments.out.read_text()) if arguments.only and arguments.out.exists() else {}
    )
    with tempfile.TemporaryDirectory(prefix="graphprune-soak-") as folder:
        parts = {**faults(arguments, Path(folder)), **demos(arguments, Path(folder))}
        unknown = set(arguments.only or ()) - parts.keys()
        if unknown:
            parser.error(f"--only {sorted(unknown)[0]}: use some of {', '.join(parts)}")
        for name in arguments.only or parts:
            start = time.monotonic()
            try:
                result = {"passed": True, **parts[name]()}
            except AssertionError as error:
                result = {"passed": False, "why": str(error)[:500]}
            summary[name] = {**result, "seconds": round(time.monotonic() - start, 1)}
            print(f"{name}: {summary[name]}", flush=True)
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(summary, indent=1) + "\n")
    sys.exit(not all(result["passed"] for result in summary.values()))


if __name__ == "__main__":
    main()
