"""Trains three epochs in as many processes as started it; writes their losses, and the seconds of all but the first."""

import json
import sys
import time
from pathlib import Path

import torch

from experiments.speed_trainer.sections import BATCH, CPU, LR, images, network
from graphprune.config.training import OptimizationConfig
from graphprune.samplers.random import Random
from graphprune.train.loop import train_model
from graphprune.train.paradigms.supervised import Supervised
from graphprune.train.process_group import ProcessGroup


def main(out: Path, n: int) -> None:
    ranks = ProcessGroup.join("cpu")
    torch.set_num_threads(2 // ranks.size)
    samples, settings = images(n), OptimizationConfig(epochs=3, batch_size=BATCH, lr=LR, schedule="constant")
    moments: list[float] = []

    def progress(fraction: float, _note: str) -> None:
        # The first epoch warms up; the clock runs over the other two.
        if not moments and fraction >= 1 / 3:
            moments.append(time.perf_counter())

    sampler = Random(n, epochs=3)
    result = train_model(
        network("small_cnn", groups=True),
        samples,
        Supervised(),
        sampler,
        settings,
        seed=0,
        device=CPU,
        progress=progress,
    )
    seconds = time.perf_counter() - moments[0]
    if ranks.writes:
        out.write_text(json.dumps({"seconds": seconds, "losses": result.losses, "processes": ranks.size}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
