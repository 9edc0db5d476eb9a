"""How complex windows are by their inputs alone: what the model-free control orders by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from graphprune.data.windows import WindowSamples
from graphprune.files import read_npy, write_npy
from graphprune.ledger import Cost, measure
from graphprune.stages.job import Job
from graphprune.store import Attempt


def load_input_complexity(job: Job) -> Tensor | None:
    """``[N]`` float32 from ``input_complexity.npy``, which it writes where it is missing; None without windows."""
    train, path = job.data.train, job.run / "input_complexity.npy"
    if not isinstance(train, WindowSamples):
        return None
    from graphprune.scores.input_complexity import input_complexity

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["input_complexity"] = Cost()
        with measure(cost):
            write_npy(path, input_complexity(train))
        return [path]

    job.run.ensure("input_complexity", settings={"data": job.data.fingerprint}, inputs=[], work=work)
    return torch.from_numpy(read_npy(path))
