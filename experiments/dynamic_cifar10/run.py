"""Accuracy against wall-clock of every dynamic sampler on CIFAR-10, beside training shorter on everything.

    python -m experiments.dynamic_cifar10.run --data DIR [--keep 0.5] [--states 0 1 2] [--noisy] [--processes 2]

DIR holds cifar10_train.parquet, cifar10_test.parquet, and for ``--noisy`` cifar10n_labels.npz (``worse_label``).
Each (arm, state) is one line in results/<case>.jsonl; the same command goes on where it stopped.
The baselines and the arms of the first ``--keep`` come first, for all states, then those of the next.
``--limit`` and ``--epochs`` are for trying it out; their lines go to results/trial_<case>.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from experiments.harness import cpu_name
from experiments.parallel import run_all
from experiments.tables import append_lines, read_lines
from graphprune.config.training import OptimizationConfig
from graphprune.data.base import Data
from graphprune.data.images import stratified
from graphprune.data.parquet import load_parquet
from graphprune.data.relabelled import Relabelled
from graphprune.embed.module import embed_samples
from graphprune.registry import create, get
from graphprune.runtime.cost import Cost, measure
from graphprune.runtime.process import prepare_process
from graphprune.runtime.rng import derive_seed, isolated_rng
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.static import StaticSampler
from graphprune.train.evaluate import evaluate_model
from graphprune.train.loop import train_model
from graphprune.train.paradigms.supervised import Supervised

RESULTS = Path(__file__).parent / "results"
EPOCHS, BATCH, LR, WIDTH = 16, 128, 0.1, 16
# The reference model of jest and gstds: trained on a tenth of the data, and its cost is theirs.
REFERENCE_SHARE = 0.1
# What the others are held against, at several lengths: between them accuracy is interpolated to equal cost.
SHARES = (0.3, 0.5, 0.7)
KEEPS = (0.5, 0.3)

Arms = dict[str, dict[str, Any]]


def baselines() -> Arms:
    """Everything, everything for fewer epochs, and RS2."""
    found: Arms = {"full": {"sampler": "random"}}
    found |= {f"full_short@{share}": {"sampler": "random", "share": share} for share in SHARES}
    found |= {f"rs2@{share}": {"sampler": "rs2", "options": {"keep": share}} for share in SHARES}
    return found


def pruned(keep: float) -> Arms:
    """The other samplers, set so that about ``1 - keep`` of the backward passes are saved."""
    found: Arms = {
        "random": {"sampler": "static", "options": {"keep": keep}},
        "infobatch": {"sampler": "infobatch", "options": {"r": {0.3: 0.9, 0.5: 0.7}[keep]}},
        "es": {"sampler": "es", "options": {"keep": keep}},
        "eswp": {"sampler": "eswp", "options": {"keep": keep}},
        "jest": {"sampler": "jest", "options": {"keep": keep}, "reference": "reference_losses"},
        "seta": {"sampler": "seta", "options": {"r": 0.1, "window": keep}},
    }
    for rule in ("extreme", "central", "balanced"):
        options = {"filter": 1 - keep, "rule": rule}
        found[f"gstds_{rule}"] = {"sampler": "gstds", "options": options, "reference": "embeddings"}
    return {f"{name}@{keep}": arm for name, arm in found.items()}


def arms() -> Arms:
    """Every arm by name: sampler, options, epochs as a share of the full length, and whether it needs a reference."""
    found = baselines()
    for keep in KEEPS:
        found |= pruned(keep)
    return found


def load(folder: Path, noisy: bool, limit: int | None) -> Data:
    """CIFAR-10 from the two Parquet files; ``noisy``: with the worst of three human labels for training."""
    data = load_parquet(
        folder / "cifar10_train.parquet",
        test_path=folder / "cifar10_test.parquet",
        image=None,
        label=None,
        image_size=None,
        limit=limit,
        test_fraction=0.2,
        faults=(),
    )
    if not noisy:
        return data
    with np.load(folder / "cifar10n_labels.npz", allow_pickle=False) as arrays:
        labels = arrays["worse_label"].astype(np.int64)[data.train.ids]
    return Data(data.name + "_worse_label", Relabelled(data.train, labels), data.test, data.info, data.faults)


def network(data: Data, *purpose: str | int) -> nn.Module:
    """The small CNN with weights that depend on the purpose alone."""
    with isolated_rng(0, "init", *purpose):
        model: nn.Module = get("model", "small_cnn").for_task(data.info, width=WIDTH, stages=3)
    return model


def settings(epochs: float) -> OptimizationConfig:
    """How everything here is trained."""
    return OptimizationConfig(
        epochs=epochs, batch_size=BATCH, lr=LR, weight_decay=5e-4, augment=("crop", "flip"), precision="bf16"
    )


def reference(data: Data, state: int, epochs: float, device: torch.device) -> tuple[Tensor, Tensor, Cost]:
    """Losses ``[N]`` and features ``[N, H]`` of a model trained on a tenth of the data, and what both cost."""
    labels, n = data.train.labels, len(data.train)
    assert labels is not None
    rows = torch.from_numpy(
        stratified(labels, max(20, round(REFERENCE_SHARE * n)), purpose="reference", seed=state)
    )
    model, seed = network(data, "reference", state), derive_seed(state, "reference")
    sampler = StaticSampler(n, rows=rows, epochs=epochs, seed=seed)
    cost = train_model(
        model, data.train, Supervised(), sampler, settings(epochs), seed=seed, device=device
    ).cost
    with measure(cost):
        features, outputs = embed_samples(model, data.train, device=device, precision="bf16")
        assert outputs is not None
        losses = nn.functional.cross_entropy(outputs, torch.from_numpy(labels), reduction="none")
    cost.forward_samples += n
    return losses, features, cost


def run_once(arm: str, state: int, data: Data, epochs: float, device: torch.device) -> dict[str, Any]:
    """One training with everything that it needs, as one line of results."""
    entry, n = arms()[arm], len(data.train)
    options, length = dict(entry.get("options", {})), epochs * entry.get("share", 1.0)
    overhead, cpu = Cost(), {"overhead": 0.0, "training": 0.0}
    if "reference" in entry:
        with cpu_seconds(cpu, "overhead"):
            losses, features, overhead = reference(data, state, epochs, device)
        options[entry["reference"]] = losses if entry["reference"] == "reference_losses" else features
    seed = derive_seed(state, "sampler", arm)
    sampler: EpochSampler
    if entry["sampler"] == "static":
        labels = data.train.labels
        assert labels is not None
        rows = torch.from_numpy(stratified(labels, round(options["keep"] * n), purpose="random", seed=seed))
        sampler = StaticSampler(n, rows=rows, epochs=length, seed=seed)
    else:
        sampler = create("sampler", entry["sampler"], n=n, epochs=length, seed=seed, **options)
    model = network(data, "arm", state)
    seed = derive_seed(0, "arm", state)
    with cpu_seconds(cpu, "training"):
        result = train_model(
            model, data.train, Supervised(), sampler, settings(length), seed=seed, device=device
        )
    total = overhead + result.cost
    return {
        "arm": arm,
        "state": state,
        "accuracy": evaluate_model(model, data.test, Supervised(), device=device, precision="bf16"),
        "seconds": total.seconds,
        "training_seconds": result.cost.seconds,
        "overhead_seconds": overhead.seconds,
        "cpu_seconds": sum(cpu.values()),
        "cpu_training_seconds": cpu["training"],
        "cpu_overhead_seconds": cpu["overhead"],
        "passes": total.passes(n, epochs),
        "backward": result.cost.trained_samples / (n * epochs),
        "losses": result.losses,
        "epochs": length,
        "n": n,
        "conditions": {
            "cpu": cpu_name(),
            "device": device.type,
            "threads": torch.get_num_threads(),
            "load": os.getloadavg()[0],
            "versions": {name: version(name) for name in ("torch", "accelerate", "numpy")},
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        },
    }


@contextmanager
def cpu_seconds(spent: dict[str, float], name: str) -> Iterator[None]:
    """Adds what the block computed on the CPU, which other processes on the machine hardly change."""
    start = time.process_time()
    try:
        yield
    finally:
        spent[name] += time.process_time() - start


def finished(path: Path) -> set[tuple[str, int]]:
    """Which (arm, state) have a line."""
    return {(line["arm"], line["state"]) for line in read_lines(path)}


def work(chosen: argparse.Namespace, path: Path) -> None:
    """Runs the jobs given, one after the other, and appends their lines."""
    prepare_process()
    torch.set_num_threads(chosen.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = load(chosen.data, chosen.noisy, chosen.limit)
    # What is imported and set up in the very first step must not be booked on a run.
    first = StaticSampler(len(data.train), rows=torch.arange(2), epochs=1)
    train_model(network(data), data.train, Supervised(), first, settings(1), seed=0, device=device)
    for job in chosen.jobs:
        state, _, arm = job.partition(":")
        line = run_once(arm, int(state), data, chosen.epochs, device)
        append_lines(path, [line])
        print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--states", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--keep",
        type=float,
        nargs="+",
        default=KEEPS,
        choices=KEEPS,
        help="Which arms, besides the baselines.",
    )
    parser.add_argument(
        "--arms", nargs="+", default=None, metavar="ARM", help=f"Just these: {' '.join(arms())}"
    )
    parser.add_argument("--noisy", action="store_true")
    parser.add_argument("--epochs", type=float, default=EPOCHS)
    parser.add_argument("--limit", type=int, default=None)
    parser.add_argument("--processes", type=int, default=1, help="Runs that share the machine.")
    parser.add_argument("--threads", type=int, default=1, help="Threads of each run.")
    # Used by the script itself: run just these, in this process.
    parser.add_argument("--jobs", nargs="+", default=None, metavar="STATE:ARM", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if unknown := set(chosen.arms or ()) - set(arms()):
        parser.error(f"unknown arm {sorted(unknown)[0]}; known are {', '.join(arms())}")
    trial = "trial_" if chosen.limit is not None or chosen.epochs != EPOCHS else ""
    path = RESULTS / f"{trial}{'noisy' if chosen.noisy else 'clean'}.jsonl"
    RESULTS.mkdir(exist_ok=True)
    if chosen.jobs:
        work(chosen, path)
        return
    done = finished(path)
    # State by state, so that what stands after an interruption compares all arms.
    groups = [chosen.arms] if chosen.arms else [[*baselines(), *pruned(keep)] for keep in chosen.keep]
    wanted = dict.fromkeys((arm, state) for group in groups for state in chosen.states for arm in group)
    waiting = [each for each in wanted if each not in done]
    passed = ["--data", str(chosen.data.resolve()), "--epochs", str(chosen.epochs)]
    passed += ["--threads", str(chosen.threads)]
    passed += ["--noisy"] if chosen.noisy else []
    passed += [] if chosen.limit is None else ["--limit", str(chosen.limit)]
    # Dealt out in turn, so that the data are read once a process and the order stays that of what a line tells.
    hands = [waiting[first :: chosen.processes] for first in range(chosen.processes)]
    jobs = [[f"{state}:{arm}" for arm, state in hand] for hand in hands if hand]
    module = "experiments.dynamic_cifar10.run"
    run_all(
        [[module, *passed, "--jobs", *own] for own in jobs],
        at_once=chosen.processes,
        threads=chosen.threads,
    )


if __name__ == "__main__":
    main()
