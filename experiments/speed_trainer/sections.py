"""One function per claim; each gets (repeats, scale) and returns what it measured."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from experiments.harness import ROOT, medians, ratios
from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.registry import create, get
from graphprune.runtime.process import prepare_process
from graphprune.runtime.rng import isolated_rng
from graphprune.samplers.random import Random
from graphprune.scores.recorder import Recorder
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.loop import train_model
from graphprune.train.optimizer import learning_rate
from graphprune.train.paradigms.supervised import Supervised
from graphprune.train.tracking import JsonlTracker

CPU = torch.device("cpu")
BATCH, LR = 128, 0.05


class Stopped(Exception):
    pass


def images(n: int) -> TensorSamples:
    """Random bytes in the shape of CIFAR-10, standardised as the loaders do."""
    draws = np.random.default_rng(0)
    x = torch.from_numpy(draws.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8))
    return TensorSamples(x, draws.integers(0, 10, n), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def network(name: str, *, groups: bool = False) -> nn.Module:
    """A registered model; ``groups`` puts group norm in place of batch norm, whose statistics would be per process."""
    with isolated_rng(0, "model"):
        model: nn.Module = get("model", name)(in_channels=3, num_classes=10)
    if groups:
        for path, module in list(model.named_modules()):
            if isinstance(module, nn.BatchNorm2d):
                parent, _, leaf = path.rpartition(".")
                setattr(model.get_submodule(parent), leaf, nn.GroupNorm(8, module.num_features))
    return model


def bare(name: str, samples: TensorSamples, precision: str, channels_last: bool = True) -> None:
    """One epoch as one writes it by hand, with nothing beside the training."""
    model = network(name)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), LR, 0.9, weight_decay=5e-4, nesterov=True)
    labels, n = torch.from_numpy(samples.labels), len(samples)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (samples.mean, samples.std))
    factor, shift = 1 / (255 * std), mean / std
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    total = torch.zeros(())
    for step, rows in enumerate(torch.split(order, BATCH)):
        x = samples.x[rows].float() * factor - shift
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        for group in optimizer.param_groups:
            group["lr"] = LR * learning_rate("onecycle", step * BATCH / n)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            outputs = model(x)
        loss = cross_entropy(outputs.float(), labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach()
    float(total)


def ours(name: str, samples: TensorSamples, precision: str, *, watched: bool) -> None:
    """The same epoch by our trainer; ``watched``: with two scores, a sampler that listens, a log and progress."""
    n = len(samples)
    settings = OptimizationConfig(epochs=1, batch_size=BATCH, lr=LR, precision=precision)
    recorder = tracker = None
    log = Path(tempfile.gettempdir()) / f"speed_trainer_{os.getpid()}.jsonl"
    if watched:
        scores = {"aum": create("score", "aum")}
        scores["online"] = create("score", "dynamic_uncertainty_online", window=2, skip=0)
        recorder = Recorder(scores, torch.arange(n), epochs=3, num_classes=10)
        tracker = JsonlTracker(log, "speed")
    sampler = create("sampler", "infobatch", n=n, epochs=3) if watched else Random(n, epochs=1)
    train_model(
        network(name),
        samples,
        Supervised(),
        sampler,
        settings,
        seed=0,
        device=CPU,
        recorder=recorder,
        tracker=tracker,
        progress=(lambda fraction, note: None) if watched else None,
    )
    log.unlink(missing_ok=True)


def loop(repeats: int, scale: float) -> dict[str, Any]:
    """Images per second of our loop over those of the bare one; must reach 0.97 with everything on."""
    found: dict[str, Any] = {}
    for name, n in (("small_cnn", round(20_000 * scale)), ("resnet20", round(4_000 * scale))):
        samples = images(n)
        runs: dict[str, Callable[[], None]] = {
            "bare": lambda name=name, samples=samples: bare(name, samples, "bf16"),
            "ours": lambda name=name, samples=samples: ours(name, samples, "bf16", watched=False),
            "watched": lambda name=name, samples=samples: ours(name, samples, "bf16", watched=True),
        }
        timed = medians(runs, repeats)
        speeds = {run: n / timed[run]["median_s"] for run in runs}
        relative = {run: speeds[run] / speeds["bare"] for run in ("ours", "watched")}
        found[name] = {"images": n, "seconds": timed, "images_per_second": speeds, "speed / bare": relative}
    return found


def precision(repeats: int, scale: float) -> dict[str, Any]:
    """ResNet-20 in bf16 with channels last over float32 with contiguous channels; must reach 1.8."""
    samples = images(round(4_000 * scale))
    runs = {
        "float32": lambda: bare("resnet20", samples, "float32", channels_last=False),
        "bf16": lambda: bare("resnet20", samples, "bf16"),
    }
    found = medians(runs, repeats)
    speeds = {run: len(samples) / found[run]["median_s"] for run in runs}
    return {"seconds": found, "images_per_second": speeds, "speedup": ratios(found, "float32", "bf16")}


def memory(repeats: int, scale: float) -> dict[str, Any]:
    """An epoch in a process that keeps freed memory against one in a process that gives it back."""
    n, spawn = round(20_000 * scale), multiprocessing.get_context("spawn")
    found: dict[str, Any] = {}
    for name in ("small_cnn", "resnet20"):
        runs: dict[str, list[dict[str, float]]] = {"kept": [], "given back": []}
        for _ in range(repeats):
            for kind, own in runs.items():
                with ProcessPoolExecutor(1, spawn) as pool:
                    own.append(pool.submit(_paged_epoch, name, n, prepared=kind == "kept").result())
        median = {kind: statistics.median(run["seconds"] for run in own) for kind, own in runs.items()}
        found[name] = {"images": n, "runs": runs, "median_s": median}
        found[name]["kept / given back"] = median["kept"] / median["given back"]
    return found


def _paged_epoch(name: str, n: int, *, prepared: bool) -> dict[str, float]:
    """Seconds and page faults of an epoch by hand, after a short one."""
    if prepared:
        prepare_process()
    samples = images(n)
    bare(name, images(4 * BATCH), "bf16")
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    bare(name, samples, "bf16")
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "system_seconds": after.ru_stime - before.ru_stime,
        "page_faults": after.ru_minflt - before.ru_minflt,
        "peak_resident_mib": after.ru_maxrss / 1024,
    }


def processes(repeats: int, scale: float) -> dict[str, Any]:
    """Two gloo processes with one thread each over one with two; must reach 0.9, with the same losses."""
    n = round(10_000 * scale)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    losses: dict[int, list[float]] = {}
    for _ in range(repeats):
        for count in seconds:
            report = _in_processes(count, n)
            seconds[count].append(report["seconds"])
            losses[count] = report["losses"]
    median = {count: float(np.median(values)) for count, values in seconds.items()}
    gaps = [abs(a - b) for a, b in zip(losses[1], losses[2], strict=True)]
    return {
        "images": n,
        "seconds": {str(count): values for count, values in seconds.items()},
        "speed of 2 / speed of 1": median[1] / median[2],
        "losses": {str(count): values for count, values in losses.items()},
        "largest difference of losses": max(gaps),
    }


def _in_processes(count: int, n: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        command = [sys.executable, *(torchrun if count > 1 else [])]
        command += ["-m", "experiments.speed_trainer.worker", str(out), str(n)]
        threads = {"OMP_NUM_THREADS": str(2 // count)}
        subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **threads})
        report: dict[str, Any] = json.loads(out.read_text())
    if report["processes"] != count:
        raise RuntimeError(f"{count} processes were started but {report['processes']} trained together")
    return report


def resume(repeats: int, scale: float) -> dict[str, Any]:
    """From the call to the first new step, beyond reading the checkpoint and the step itself; at most 2 s."""
    # However small it is tried out, the steps of all repeats must fit into the training.
    samples = images(max(round(50_000 * scale), BATCH * (2 * repeats + 4)))
    n, found = len(samples), list[dict[str, float]]()
    settings = OptimizationConfig(epochs=2, batch_size=BATCH, lr=LR, precision="bf16")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "c.pt", every_seconds=0)

        def train(stop_at: int) -> list[float]:
            moments = [time.perf_counter()]

            def progress(_fraction: float, _note: str) -> None:
                moments.append(time.perf_counter())
                if len(moments) > stop_at:
                    raise Stopped

            recorder = Recorder({"aum": create("score", "aum")}, torch.arange(n), epochs=2, num_classes=10)
            sampler = create("sampler", "infobatch", n=n, epochs=2)
            with suppress(Stopped):
                train_model(
                    network("resnet20"), samples, Supervised(), sampler, settings, seed=0, device=CPU,
                    recorder=recorder, checkpoint=checkpoint, progress=progress,
                )  # fmt: skip
            return moments

        train(3)
        for _ in range(repeats):
            start = time.perf_counter()
            checkpoint.load()
            load = time.perf_counter() - start
            moments = train(2)
            step = moments[2] - moments[1]
            found.append({"load": load, "to_first_step": moments[1] - moments[0], "step": step})
    beyond = [f["to_first_step"] - f["load"] - f["step"] for f in found]
    return {"runs": found, "seconds beyond loading and the step": float(np.median(beyond))}


SECTIONS = {
    "loop": loop,
    "precision": precision,
    "memory": memory,
    "processes": processes,
    "resume": resume,
}
