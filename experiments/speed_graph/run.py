"""How fast the graph and its networks are beside their peers, everything in one run on one machine.

    python experiments/speed_graph/run.py [SECTION ...] [--repeats 5] [--scale 1.0] [--threads 2]

Sections: knn ivf aggregate gcn sign curve. Each runs in a process of its own and writes results/SECTION.json.
``--scale`` shrinks the number of samples, to try the script out; it then writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from sections import SECTIONS

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("torch", "torch-geometric", "scikit-learn", "faiss-cpu", "numpy")


def cpu_name() -> str:
    """Model name as Linux gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=" ".join(SECTIONS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--here", action="store_true", help="run in this process (used by the script itself)")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"unknown section {sorted(unknown)[0]}; known are {', '.join(SECTIONS)}")
    for name in options.sections or SECTIONS:
        if not options.here:
            command = [sys.executable, __file__, name, "--here"]
            for key in ("repeats", "scale", "threads"):
                command += [f"--{key}", str(getattr(options, key))]
            subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": str(options.threads)})
            continue
        torch.set_num_threads(options.threads)
        before = os.getloadavg()[0]
        result = SECTIONS[name](options.repeats, options.scale)
        result["conditions"] = {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "threads": options.threads,
            "repeats": options.repeats,
            "load_before": before,
            "load_after": os.getloadavg()[0],
            "peak_resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "versions": {
                p: version(p) for p in ("torch", "torch-geometric", "scikit-learn", "faiss-cpu", "numpy")
            },
        }
        if options.scale == 1.0:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(name, json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
