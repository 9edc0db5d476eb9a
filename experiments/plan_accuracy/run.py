"""`graphprune plan` beside the ledger of the run that it predicts.

python experiments/plan_accuracy/run.py configs/digits.yaml configs/traffic.yaml
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from graphprune.runtime.cost import folded

HERE = Path(__file__).parent
# Shorter stages are noise: what they take is added up under "the rest".
LEAST_SECONDS = 0.5


def graphprune(*arguments: str) -> str:
    """Standard output of one command in a process of its own."""
    command = [sys.executable, "-c", "from graphprune.cli import main; main()", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def compare(config: Path, overrides: list[str]) -> dict[str, Any]:
    """Predicts the job, runs it, and puts both side by side."""
    options = [part for override in overrides for part in ("--set", override)]
    predicted = json.loads(graphprune("plan", str(config), *options, "--json"))
    out = Path(tempfile.mkdtemp(prefix="plan-accuracy-")) / "run"
    start = time.perf_counter()
    graphprune("run", str(config), *options, "--out", str(out), "--json")
    wall = time.perf_counter() - start
    ledger = json.loads((out / "ledger.json").read_text())
    disk = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 2**20
    shutil.rmtree(out.parent)
    took: dict[str, float] = {}
    for name, cost in ledger.items():
        took[shown(name)] = took.get(shown(name), 0.0) + cost["seconds"]
    took["other"] = wall - sum(took.values())
    expected = {shown(stage["name"]): 0.0 for stage in predicted["stages"]}
    for stage in predicted["stages"]:
        expected[shown(stage["name"])] += stage["seconds"]
    rows = {
        name: {"plan": round(expected.get(name, 0.0), 2), "run": round(took.get(name, 0.0), 2)}
        for name in sorted(expected.keys() | took.keys())
    }
    total = predicted["total"]
    return {
        "config": config.name,
        "overrides": overrides,
        "calibration_seconds": round(predicted["calibration_seconds"], 1),
        "seconds": {
            "plan": round(total["seconds"], 1),
            "run": round(wall, 1),
            "ratio": round(total["seconds"] / wall, 3),
        },
        "peak_mib": {
            "plan": round(total["peak_mib"]),
            "run": round(max(cost["peak_mib"] for cost in ledger.values())),
        },
        "disk_mib": {"plan": round(total["disk_mib"], 1), "run": round(disk, 1)},
        "stages": rows,
    }


def shown(name: str) -> str:
    """The stage without the budget in an equal-cost arm's name, which is a prediction, too."""
    return folded(name).partition("@")[0]


def main() -> None:
    """Compares each config and writes ``results/plan.json``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--set", dest="overrides", action="append", default=[])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "plan.json")
    arguments = parser.parse_args()
    found = [compare(config, arguments.overrides) for config in arguments.configs]
    for job in found:
        print(
            f"{job['config']}: plan {job['seconds']['plan']} s, run {job['seconds']['run']} s, "
            f"ratio {job['seconds']['ratio']}; peak {job['peak_mib']}; disk {job['disk_mib']}"
        )
        for name, row in job["stages"].items():
            if max(row.values()) >= LEAST_SECONDS:
                print(f"  {name:<32} plan {row['plan']:>8.2f} s   run {row['run']:>8.2f} s")
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps({"machine": platform.platform(), "jobs": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
