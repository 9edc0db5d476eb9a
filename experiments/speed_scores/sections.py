"""The measurements of speed_scores, one function each: they return plain numbers for JSON."""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from experiments.harness import PeakAnonymous
from graphprune.models.resnet import ResNet20
from graphprune.registry import create
from graphprune.scores.recorder import Recorder

ONLINE = {
    "dynamic_uncertainty_online": {"window": 10},
    "tdds": {"T": 30, "window": 10},
    "el2n": {},
    "aum": {},
}


def recorder(repeats: int, scale: float) -> dict[str, Any]:
    """A ResNet-20 training loop, batch 128, with and without a recorder of online scores, epochs alternating."""
    steps, batch, epochs = max(2, int(60 * scale)), 128, 2 * repeats
    n = steps * batch
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, 32, 32, generator=draws)
    y = torch.randint(10, (n,), generator=draws)
    result: dict[str, Any] = {"n": n, "steps": steps, "batch": batch}
    for precision in ("float32", "bf16"):
        model = ResNet20(in_channels=3, num_classes=10).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        scores = {name: create("score", name, **options) for name, options in ONLINE.items()}
        watching = Recorder(scores, torch.arange(n), epochs=30, num_classes=10)
        seconds: dict[str, list[float]] = {"plain": [], "recorded": []}
        share = []
        for epoch in range(epochs + 1):
            order = torch.randperm(n, generator=draws)
            spent, recording = time.perf_counter(), 0.0
            for rows in order.split(batch):
                images = x[rows].contiguous(memory_format=torch.channels_last)
                with torch.autocast("cpu", torch.bfloat16, precision == "bf16"):
                    logits = model(images)
                loss = cross_entropy(logits.float(), y[rows], reduction="none")
                optimizer.zero_grad(set_to_none=True)
                loss.mean().backward()
                optimizer.step()
                if epoch % 2:
                    start = time.perf_counter()
                    logits, loss = logits.detach(), loss.detach()
                    for phase in watching.phases:
                        watching.observe(phase, rows, epoch, logits=logits, targets=y[rows], loss=loss)
                    recording += time.perf_counter() - start
            spent = time.perf_counter() - spent
            if epoch:
                seconds["recorded" if epoch % 2 else "plain"].append(spent)
            if epoch % 2:
                share.append(recording / (spent - recording))
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        result[precision] = {
            "scores": list(ONLINE),
            "seconds": seconds,
            "recorded / plain": medians["recorded"] / medians["plain"],
            "observe / rest of the same epoch": statistics.median(share),
        }
    return result


def tdds_imagenet(repeats: int, scale: float) -> dict[str, Any]:
    """TDDS over 10 epochs of 1,281,167 samples and 1,000 classes, rows in a file: memory and seconds per batch."""
    n, classes, batch, epochs = int(1_281_167 * scale), 1000, 1024, 10
    draws = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(64 * batch, classes, generator=draws).half()
    before = PeakAnonymous._now()
    with tempfile.TemporaryDirectory() as folder, PeakAnonymous() as peak:
        score = create("score", "tdds", T=epochs, window=10, rows_folder=folder)
        watching = Recorder({"tdds": score}, torch.arange(n), epochs=epochs, num_classes=classes)
        start = time.perf_counter()
        for epoch in range(epochs):
            order = torch.randperm(n, generator=draws)
            for i, rows in enumerate(order.split(batch)):
                at = (i % 63) * batch + epoch
                watching.observe("train", rows, epoch, logits=logits[at : at + len(rows)].float())
        seconds = time.perf_counter() - start
        values = watching.values()["tdds"]
    return {
        "n": n,
        "classes": classes,
        "epochs": epochs,
        "seconds": seconds,
        "milliseconds_a_batch_of_1024": 1000 * seconds / (epochs * -(-n // batch)),
        "peak_anonymous_mib": peak.mib,
        "of_which_before_mib": before,
        "finite": bool(values.isfinite().all()),
        "mean_score": float(values.mean()),
    }


SECTIONS = {"recorder": recorder, "tdds_imagenet": tdds_imagenet}
