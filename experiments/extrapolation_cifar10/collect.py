"""Run every training that the experiment needs and keep its traces, one .npz per training.

    python collect.py --train cifar10_train.parquet --test cifar10_test.parquet --out DIR --state 0

Trainings of one random state (`JOBS`): two full runs, seed runs on 10 % and 20 %, seed runs with a background
(``rot10``: 10 % seeds and as many others in turn; ``rot05-r3``: 5 % seeds and three others for each), and short
runs on all the data; on demand both halves of seeds alone (``seed20a``, ``seed20b``) and smaller batches
(``seed10-b32``). Each keeps its scores, its
accuracy, the true-label probability and entropy of every sample (`trace_*`: un-augmented passes after every epoch,
of seed runs after every third; `online_*`: the training batches; [E, N] float16, NaN where there was none),
and of all but full runs the last epoch's embeddings. On a CPU all trainings run in bfloat16, one thread each.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphprune.config import OptimisationConfig
from graphprune.data.base import Data
from graphprune.data.images import classification_data, stratified
from graphprune.embed.module import embed_samples
from graphprune.registry import create, get
from graphprune.rng import derive_seed, isolated_rng
from graphprune.samplers.background import BackgroundSampler
from graphprune.scores.base import Phase, Score, Signals
from graphprune.scores.recorder import Recorder
from graphprune.train.loop import evaluate_model, train_model
from graphprune.train.paradigms.supervised import Supervised

EPOCHS = 30
JOBS = ("full0", "full1", "seed20", "seed10", "rot10", "rot05-r3", "short6", "short3")


class Trace(Score):
    """Not a score: keeps the true-label probability and the entropy of every visit, [E, n] float16."""

    needs = frozenset({"p_true", "log_probs"})

    def __init__(self, phase: Phase) -> None:
        self.phase = phase  # type: ignore[misc]

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        self.p_true = torch.full((epochs, self.n + 1), float("nan"), dtype=torch.float16, device=self.device)
        self.entropy = self.p_true.clone()

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        assert signals.p_true is not None
        assert signals.log_probs is not None
        self.p_true[epoch, rows] = signals.p_true.half()
        self.entropy[epoch, rows] = -(signals.log_probs.exp() * signals.log_probs).sum(dim=1).half()

    def values(self) -> Tensor:
        return torch.zeros(self.n)


def load(train: Path, test: Path, limit: int | None) -> Data:
    """The Parquet files, decoded without the `datasets` library so that a bare GPU machine can run this."""
    import io

    import pyarrow.parquet as pq
    from PIL import Image

    def read(path: Path) -> tuple[Any, Any]:
        table = pq.read_table(path)
        column = next(name for name in ("img", "image") if name in table.column_names)
        cells = table[column].to_pylist()[:limit]
        images = np.stack([np.asarray(Image.open(io.BytesIO(c["bytes"])).convert("RGB")) for c in cells])
        return images.transpose(0, 3, 1, 2), table["label"].to_numpy()[:limit]

    x, y = read(train)
    return classification_data(train.stem, np.ascontiguousarray(x), y, test=read(test))


def run_job(job: str, state: int, data: Data, out: Path) -> None:
    """One training; writes ``<job>_<state>.npz``."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    labels = data.train.labels
    assert labels is not None
    n = len(labels)
    rows, epochs = rows_of(job, state, labels), int(job[5:]) if job.startswith("short") else EPOCHS
    traces = {"trace": Trace("eval"), "online": Trace("train")}
    scores: dict[str, Score] = dict(traces)
    if not job.startswith("short"):
        scores |= {
            "dynamic_uncertainty": create("score", "dynamic_uncertainty", window=10),
            "dynamic_uncertainty_online": create("score", "dynamic_uncertainty_online", window=10),
            "tdds": create("score", "tdds", T=EPOCHS, window=10),
        }
    seed = derive_seed(state, job)
    batch = int(job.split("-b")[1]) if "-b" in job else 128
    settings = OptimisationConfig(
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
        torch.arange(n),
        epochs=epochs,
        num_classes=data.info.num_classes,
        device=device,
        eval_epochs=None if job.startswith(("full", "short")) else range(2, EPOCHS, 3),
    )
    background = 0.0
    if job.startswith("rot"):
        background = float(job.split("-r")[1]) if "-r" in job else 1.0
    sampler = BackgroundSampler(
        n, seeds=torch.from_numpy(rows), background=background, epochs=epochs, seed=seed
    )
    start = time.perf_counter()
    train_model(
        model, data.train, Supervised(), sampler, settings, seed=seed, device=device, recorder=recorder
    )
    seconds = time.perf_counter() - start
    accuracy = evaluate_model(model, data.test, Supervised(), device=device)
    kept: dict[str, Any] = {"rows": rows, "accuracy": accuracy, "seconds": seconds}
    for name, values in recorder.values().items():
        if name not in traces:
            kept[name] = values.numpy()[rows]
    for name, trace in traces.items():
        kept[f"{name}_p_true"] = trace.p_true[:, :n].cpu().numpy()
        kept[f"{name}_entropy"] = trace.entropy[:, :n].cpu().numpy()
    if not job.startswith("full"):
        embeddings, _ = embed_samples(model, data.train, device=device)
        kept["embeddings"] = embeddings.numpy().astype(np.float16)
    np.savez(out / f"{job}_{state}.npz", **kept)
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
    parser.add_argument("--state", type=int, default=0)
    parser.add_argument("--jobs", nargs="*", default=list(JOBS))
    parser.add_argument(
        "--limit", type=int, default=None, help="Use only so many samples (for a smoke test)."
    )
    parser.add_argument("--at-once", type=int, default=1, help="Trainings that share the machine.")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if len(arguments.jobs) == 1:
        data = load(arguments.train, arguments.test, arguments.limit)
        run_job(arguments.jobs[0], arguments.state, data, arguments.out)
        return
    waiting = list(arguments.jobs)
    running: list[subprocess.Popen[bytes]] = []
    passed = [
        "--train",
        arguments.train,
        "--test",
        arguments.test,
        "--out",
        arguments.out,
        "--state",
        arguments.state,
    ]
    passed += [] if arguments.limit is None else ["--limit", arguments.limit]
    while waiting or running:
        while waiting and len(running) < arguments.at_once:
            command = [sys.executable, __file__, *map(str, passed), "--jobs", waiting.pop(0)]
            running.append(subprocess.Popen(command))
        for process in list(running):
            if process.poll() is not None:
                running.remove(process)
                if process.returncode:
                    sys.exit(f"a training failed with exit code {process.returncode}")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
