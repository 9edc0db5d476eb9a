"""Run every training that the experiment needs and keep its traces, one .npz per training.

    python -m experiments.extrapolation_cifar10.collect --train cifar10_train.parquet \
        --test cifar10_test.parquet --out DIR --at-once 2

Trainings of one random state (`JOBS`): two full runs, seed runs on 10 % and 20 %, seed runs with a background
(``rot10``: 10 % seeds and as many others in turn; ``rot05-r3``: 5 % seeds and three others for each), and short
runs on all the data; on demand both halves of seeds alone (``seed20a``, ``seed20b``) and smaller batches
(``seed10-b32``). Each keeps its scores, its accuracy, the labels, the true-label probability and entropy of every
sample (`trace_*`: un-augmented passes after every epoch, of seed runs after every third; `online_*`: the training
batches; [E, N] float16, NaN where there was none), and of all but full runs the last epoch's embeddings. A training
that has its file is not done again. On a CPU all trainings run in bfloat16, one thread each.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.extrapolation_cifar10.traces import EPOCHS, background_of
from experiments.parallel import run_all
from graphprune.config.training import OptimizationConfig
from graphprune.data.base import Data
from graphprune.data.images import stratified
from graphprune.data.parquet import load_parquet
from graphprune.embed.module import embed_samples
from graphprune.registry import create, get
from graphprune.runtime.rng import derive_seed, isolated_rng
from graphprune.samplers.background import BackgroundSampler
from graphprune.scores.base import Score
from graphprune.scores.recorder import Recorder
from graphprune.scores.signal_log import SignalLog
from graphprune.train.loop import evaluate_model, train_model
from graphprune.train.paradigms.supervised import Supervised

JOBS = ("full0", "full1", "seed20", "seed10", "rot10", "rot05-r3", "short6", "short3")


def load(train: Path, test: Path, limit: int | None) -> Data:
    """Both Parquet files; ``limit``: a class-balanced draw of so many training samples."""
    return load_parquet(
        train,
        test_path=test,
        image=None,
        label=None,
        image_size=None,
        limit=limit,
        test_fraction=0.2,
        faults=("JPEG copy",),
    )


def run_job(job: str, state: int, data: Data, out: Path) -> None:
    """One training; writes ``<job>_<state>.npz``."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    labels = data.train.labels
    assert labels is not None
    n = len(labels)
    rows, epochs = rows_of(job, state, labels), int(job[5:]) if job.startswith("short") else EPOCHS
    shown = ("p_true", "entropy")
    traces = {"trace": SignalLog(names=shown, phase="eval"), "online": SignalLog(names=shown)}
    scores: dict[str, Score] = dict(traces)
    if not job.startswith("short"):
        scores |= {
            "dynamic_uncertainty": create("score", "dynamic_uncertainty", window=10),
            "dynamic_uncertainty_online": create("score", "dynamic_uncertainty_online", window=10),
            "tdds": create("score", "tdds", T=EPOCHS, window=10),
        }
    seed = derive_seed(state, job)
    batch = int(job.split("-b")[1]) if "-b" in job else 128
    settings = OptimizationConfig(
        epochs=epochs,
        batch_size=batch,
        lr=0.1 if batch == 128 else 0.05,
        weight_decay=5e-4,
        augment=("crop", "flip"),
        precision="bf16",
    )
    with isolated_rng(seed, "init"):
        model = get("model", "small_cnn").for_task(data.info, width=16, stages=3)
    recorder = Recorder(
        scores,
        torch.from_numpy(data.train.ids),
        epochs=epochs,
        num_classes=data.info.num_classes,
        device=device,
        eval_epochs=None if job.startswith(("full", "short")) else range(2, EPOCHS, 3),
    )
    seeds = torch.from_numpy(rows)
    sampler = BackgroundSampler(n, seeds=seeds, background=background_of(job), epochs=epochs, seed=seed)
    start, cpu = time.perf_counter(), time.process_time()
    train_model(
        model, data.train, Supervised(), sampler, settings, seed=seed, device=device, recorder=recorder
    )
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    accuracy = evaluate_model(model, data.test, Supervised(), device=device)
    kept: dict[str, Any] = {"rows": rows, "labels": labels, "accuracy": accuracy}
    kept |= {"seconds": seconds, "cpu_seconds": cpu_seconds}
    for name, values in recorder.values().items():
        if name not in traces:
            kept[name] = values.numpy()[rows]
    for name, trace in traces.items():
        kept |= {f"{name}_{signal}": values.numpy() for signal, values in trace.log().items()}
    if not job.startswith("full"):
        embeddings, _ = embed_samples(model, data.train, device=device, keep_outputs=False)
        kept["embeddings"] = embeddings.numpy().astype(np.float16)
    part = out / f"{job}_{state}.part.npz"
    np.savez(part, **kept)
    part.replace(out / f"{job}_{state}.npz")
    print(f"{job} {state}: accuracy {accuracy:.4f}, {seconds:.1f} s", flush=True)


def rows_of(job: str, state: int, labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which samples a job trains on; the halves ``a`` and ``b`` of a seed draw split it by class."""
    if job.startswith(("full", "short")):
        return np.arange(len(labels))
    share = int(job.removeprefix("seed").removeprefix("rot")[:2])
    seeds = stratified(labels, round(share / 100 * len(labels)), purpose="seeds", seed=state)
    if job.endswith(("a", "b")):
        half = seeds[stratified(labels[seeds], len(seeds) // 2, purpose="half", seed=state)]
        seeds = half if job.endswith("a") else np.setdiff1d(seeds, half)
    return seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--states", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", nargs="+", default=list(JOBS))
    parser.add_argument(
        "--limit", type=int, default=None, help="Train on a class-balanced draw of so many samples."
    )
    parser.add_argument("--at-once", type=int, default=1, help="Trainings that share the machine.")
    parser.add_argument(
        "--here", action="store_true", help="Run in this process (used by the script itself)."
    )
    options = parser.parse_args()
    train, test, out = (path.resolve() for path in (options.train, options.test, options.out))
    out.mkdir(parents=True, exist_ok=True)
    waiting = [
        (job, state)
        for state in options.states
        for job in options.jobs
        if not (out / f"{job}_{state}.npz").exists()
    ]
    if options.here:
        data = load(train, test, options.limit)
        for job, state in waiting:
            run_job(job, state, data, out)
        return
    passed = ["--train", str(train), "--test", str(test), "--out", str(out), "--here"]
    passed += [] if options.limit is None else ["--limit", str(options.limit)]
    module = "experiments.extrapolation_cifar10.collect"
    commands = [[module, *passed, "--jobs", job, "--states", str(state)] for job, state in waiting]
    run_all(commands, at_once=options.at_once)


if __name__ == "__main__":
    main()
