"""Trains every case and saves its weights, losses and scores: run by one process, and by torchrun with two."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from graphprune.config.base import Method
from graphprune.config.load import parse_config
from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.jobs.distributed import train_distributed
from graphprune.registry import create
from graphprune.runtime.rng import isolated_rng
from graphprune.scores.recorder import Recorder
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.evaluate import evaluate_model
from graphprune.train.loop import train_model
from graphprune.train.paradigms.adversarial import Adversarial
from graphprune.train.paradigms.supervised import Supervised
from graphprune.train.process_group import ProcessGroup

CPU = torch.device("cpu")
EPOCHS = 3
# Sizes leave a last batch of 5 rows and of 1, so that a process stays without one.
CASES = {
    "random": ("random", {}, {}, 53),
    "adversarial": ("random", {}, {}, 53),
    "adversarial_es": ("es", {"keep": 0.5}, {}, 53),
    "one_row_left": ("random", {}, {}, 49),
    "augmented": ("random", {}, {"augment": ("crop", "flip", "cutout")}, 53),
    "accumulated": ("random", {}, {"accumulate": 2, "ema": 0.9, "optimizer": "adamw", "lr": 0.01}, 53),
    "infobatch": ("infobatch", {}, {}, 53),
    "es": ("es", {"keep": 0.5}, {}, 53),
    "es_smoothed": ("es", {"keep": 0.5}, {"label_smoothing": 0.2}, 53),
    "score_weighted": ("score_weighted", {"scores": torch.linspace(0, 1, 53)}, {}, 53),
    "st_prune": ("st_prune", {"a": 0.0, "b": 0.0}, {}, 53),
    "eswp": ("eswp", {}, {}, 53),
    "seta": ("seta", {}, {}, 53),
    "rs2": ("rs2", {"keep": 0.5}, {}, 53),
    "jest": ("jest", {"keep": 0.5, "reference_losses": torch.linspace(0, 1, 49)}, {}, 49),
    "gstds": ("gstds", {"filter": 0.5}, {}, 53),
    "gstds_reference": (
        "gstds",
        {"embeddings": torch.randn(53, 4, generator=torch.Generator().manual_seed(1))},
        {},
        53,
    ),
}


class Killed(Exception):
    pass


def train(name: str, out: Path, *, kill_at: int | None = None, checkpoint: Path | None = None) -> None:
    method, options, changes, n = CASES[name]
    labels = np.arange(n) % 3
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(n, 2, 6, 6, generator=draws) + torch.from_numpy(labels)[:, None, None, None]
    samples = TensorSamples(x, labels, ids=np.arange(n) * 3 + 1)
    with isolated_rng(0, "model"):
        model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    scores = {s: create("score", s) for s in ("loss", "forgetting", "grand")}
    scores["tdds"] = create("score", "tdds", T=EPOCHS, window=3)
    paradigm = Adversarial(steps=2) if "adversarial" in name else Supervised()
    recorder = Recorder(scores, torch.from_numpy(samples.ids), epochs=EPOCHS, num_classes=3)
    settings = OptimizationConfig(**{"epochs": EPOCHS, "batch_size": 16, "lr": 0.05, **changes})
    paradigm.label_smoothing = settings.label_smoothing
    sampler = create("sampler", method, n=n, epochs=EPOCHS, seed=2, **options)
    calls = 0

    def progress(_fraction: float, _note: str) -> None:
        nonlocal calls
        calls += 1
        if calls == kill_at:
            raise Killed

    result = train_model(
        model, samples, paradigm, sampler, settings, seed=3, device=CPU, recorder=recorder, progress=progress,
        checkpoint=None if checkpoint is None else Checkpoint(checkpoint, every_seconds=0),
    )  # fmt: skip
    kept = {f"weight {key}": value.numpy() for key, value in model.state_dict().items()}
    kept |= {f"score {key}": value.numpy() for key, value in recorder.values().items()}
    kept |= {"losses": np.array(result.losses), "trained": np.array(result.cost.trained_samples)}
    kept |= {"forward": np.array(result.cost.forward_samples)}
    kept["accuracy"] = np.array(evaluate_model(model, samples, Supervised(), device=CPU))
    kept["processes"] = np.array(ProcessGroup.current().size)
    if ProcessGroup.current().writes:
        np.savez(out, **kept)


def main(out: Path) -> None:
    ProcessGroup.join("cpu")
    torch.set_num_threads(1)
    for name in CASES:
        train(name, out / f"{name}.npz")
    for name in ("infobatch", "es"):
        checkpoint = out / f"{name}.pt"
        try:
            train(name, out / "unused.npz", kill_at=6, checkpoint=checkpoint)
        except Killed:
            ProcessGroup.current().wait()
            train(name, out / f"{name}_resumed.npz", checkpoint=checkpoint)

    few_rows_and_batch_norm()
    whole_entry(out)


def few_rows_and_batch_norm() -> None:
    """A process that is left with less than two rows of a batch."""
    samples = TensorSamples(torch.randn(19, 3), np.arange(19) % 2)
    for method, options in (("random", {}), ("es", {"keep": 0.2, "anneal": 0.0})):
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        sampler = create("sampler", method, n=19, epochs=2, **options)
        settings = OptimizationConfig(epochs=2, batch_size=8, lr=0.05)
        result = train_model(model, samples, Supervised(), sampler, settings, seed=0, device=CPU)
        assert np.isfinite(result.losses).all()


def whole_entry(out: Path) -> None:
    """The documented Python entry, as a user calls it."""
    config = parse_config(
        {
            "name": "two",
            "device": "cpu",
            "data": {"kind": "sklearn", "name": "iris"},
            "model": {"name": "mlp", "width": 8, "depth": 0},
            "training": {"epochs": 2, "batch_size": 20, "lr": 0.05, "random_states": [3]},
        }
    )
    result = train_distributed(config, out / "entry", method=Method(name="infobatch", r=0.5))
    print("entry", result["value"], flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
