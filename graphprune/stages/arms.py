"""Train the arms: everything, the baselines, the selected subsets, and the same cost spent on something simple."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from graphprune.config import ArmConfig
from graphprune.errors import InputError
from graphprune.files import read_json, sha256, write_json, write_npy
from graphprune.ledger import Cost
from graphprune.registry import create, get
from graphprune.rng import derive_seed
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.static import StaticSampler
from graphprune.select.base import Selection
from graphprune.stages.job import Job
from graphprune.stages.overhead import selection_cost
from graphprune.stages.select import read_selection, selection_path
from graphprune.store import Attempt
from graphprune.table import locate
from graphprune.train.checkpoint import Checkpoint, load_weights, save_weights, shrink_and_perturb
from graphprune.train.divergence import refuse_diverged
from graphprune.train.evaluate import evaluate_model
from graphprune.train.loop import train_model
from graphprune.train.paradigms.adversarial import Adversarial, robust_accuracy

Budget = Literal["epochs", "passes", "seconds"]
BASELINES = ("full", "random", "rs2")
MakeSampler = Callable[[int], EpochSampler]


@dataclass(frozen=True)
class Arm:
    """One way to train, repeated over the random states.

    Args:
        name: Key in ``metrics.json``.
        keep: Fraction of the data that an epoch visits; None where the sampler decides as it goes.
        epochs: Epochs over what is kept; fractions end inside an epoch.
        make_sampler: From a seed to the sampler.
        identity: What the sampler depends on, for the stage key.
        inputs: Files that it depends on.
        budget: What fixed the length.
        overhead: What had to be spent before training (seed run, embedding, graph, fit, selection).
        matches: The arms whose total cost this one spends on something simple.
        warm: Whether it starts from the seed run's weights; ``overhead`` then holds that run.
    """

    name: str
    keep: float | None
    epochs: float
    make_sampler: MakeSampler
    identity: Any
    inputs: tuple[Path, ...] = ()
    budget: Budget = "epochs"
    overhead: Cost = field(default_factory=Cost)
    matches: tuple[str, ...] = ()
    warm: bool = False


@dataclass(frozen=True)
class ArmResult:
    """The trainings of an arm: the metric per random state, and their mean cost without overhead."""

    values: tuple[float, ...]
    cost: Cost

    def total(self, arm: Arm) -> Cost:
        """Mean cost of one training with everything that it needed."""
        return arm.overhead + self.cost


def baseline_arms(job: Job) -> list[Arm]:
    """``full``, ``random`` and ``rs2``."""
    training = job.config.training
    keep = training.baselines_keep or (job.config.arms[0].keep if job.config.arms else 0.5)
    return [
        sampled_arm(job, "full", "random", {"keep": 1.0}, training.epochs),
        sampled_arm(job, "random", "random", {"keep": keep}, training.epochs),
        sampled_arm(job, "rs2", "rs2", {"keep": keep}, training.epochs),
    ]


def sampled_arm(
    job: Job, name: str, sampler: str, options: dict[str, Any], epochs: float, budget: Budget = "epochs"
) -> Arm:
    """An arm that a registered sampler steers."""
    n = len(job.data.train)
    get("sampler", sampler)

    def make(seed: int) -> EpochSampler:
        return create("sampler", sampler, n=n, epochs=epochs, seed=seed, **options)  # type: ignore[no-any-return]

    identity = {"sampler": sampler, "options": options}
    return Arm(name, float(options.get("keep", 1.0)), epochs, make, identity, budget=budget)


def selected_arm(job: Job, config: ArmConfig) -> Arm:
    """An arm that trains on its selection; its overhead is everything that the selection needed."""
    selection = read_selection(job.run, config.name)
    return selection_arm(
        job,
        config.name,
        selection,
        inputs=(selection_path(job.run, config.name),),
        overhead=selection_cost(job, config),
        warm=job.config.starts_warm(config),
    )


def selection_arm(
    job: Job,
    name: str,
    selection: Selection,
    *,
    inputs: tuple[Path, ...],
    overhead: Cost | None = None,
    warm: bool = False,
) -> Arm:
    """An arm that trains on any selection of the job's data."""
    train, epochs = job.data.train, job.config.training.epochs
    rows = torch.from_numpy(locate(train.ids, selection.ids, f"selection '{name}'"))
    weights = torch.from_numpy(selection.weights)

    def make(seed: int) -> EpochSampler:
        return StaticSampler(len(train), rows=rows, loss_weights=weights, epochs=epochs, seed=seed)

    keep = len(rows) / len(train)
    return Arm(name, keep, epochs, make, "selection", inputs, overhead=overhead or Cost(), warm=warm)


def equal_cost_arms(job: Job, done: list[tuple[Arm, ArmResult]]) -> list[Arm]:
    """For every budget that a pruned arm spent in all: the same spent on all the data, on random and on RS2."""
    training, n = job.config.training, len(job.data.train)
    full = next(result for arm, result in done if arm.name == "full")
    baseline_keep = next(arm.keep for arm, _ in done if arm.name == "random") or 1.0
    # What a sample costs beside a plain forward and backward pass (attacks) is no reason to train longer.
    per_sample = 1 + full.cost.forward_samples / (3 * full.cost.trained_samples)
    budgets: dict[str, list[tuple[Arm, float]]] = {}
    for arm, result in done:
        if arm.name in BASELINES:
            continue
        total = result.total(arm)
        # Full runs may have stopped early; what is planned is a share of their planned length.
        share = total.seconds / full.cost.seconds * full.cost.trained_samples / (n * training.epochs)
        if training.budget == "passes":
            share = total.passes(n, training.epochs) / per_sample
        # Budgets within some two percent of each other share their arms.
        label = f"{share:.2f}" if share >= 0.2 else f"{share:.3g}"
        budgets.setdefault(label, []).append((arm, share))
    arms = []
    for label, spenders in budgets.items():
        first, share = spenders[0]
        suffix = f"@{label}" if len(budgets) > 1 else ""
        keep = first.keep or baseline_keep
        matches = tuple(arm.name for arm, _ in spenders)
        for name, sampler, kept in (
            ("full_short", "random", 1.0),
            ("random_equal_cost", "random", keep),
            ("rs2_equal_cost", "rs2", keep),
        ):
            epochs = share * training.epochs / kept
            arm = sampled_arm(job, name + suffix, sampler, {"keep": kept}, epochs, training.budget)
            arms.append(replace(arm, matches=matches))
    return arms


def train_arm(job: Job, arm: Arm) -> ArmResult:
    """Trains the arm once per random state; writes ``arms/<arm>/<state>.json``, its weights and its visits.

    ``<state>.visits.npy [N]`` int32 says how often each sample was trained on.
    """
    states = job.config.training.random_states
    results = []
    for position, state in enumerate(states):
        _train_once(job, arm, state, position, len(states))
        results.append(read_json(job.run / f"arms/{arm.name}/{state}.json"))
    costs = [job.run.costs(_stage(arm, state))[_stage(arm, state)] for state in states]
    mean = Cost(
        seconds=float(np.mean([c.seconds for c in costs])),
        peak_mib=max(c.peak_mib for c in costs),
        trained_samples=round(float(np.mean([c.trained_samples for c in costs]))),
        forward_samples=round(float(np.mean([c.forward_samples for c in costs]))),
    )
    return ArmResult(tuple(result["value"] for result in results), mean)


def _stage(arm: Arm, state: int) -> str:
    return f"train/{arm.name}/{state}"


def _train_once(job: Job, arm: Arm, state: int, position: int, states: int) -> None:
    settings = job.config.training.optimisation(epochs=arm.epochs)
    loosened = job.config.training.shrink_and_perturb if arm.warm else None
    seed_weights = job.run / "checkpoints/seed.safetensors"
    if arm.warm and not seed_weights.is_file():
        raise InputError(
            f"training.init: seed needs {seed_weights}, which graphprune run makes; use init: fresh here"
        )
    folder = job.run / f"arms/{arm.name}"

    def work(attempt: Attempt) -> Iterable[Path]:
        # All arms of a random state start from the same weights, so that their differences are paired.
        model, tracker = job.make_model("arm", state), job.tracker(_stage(arm, state))
        if arm.warm:
            load_weights(model, seed_weights)
        if loosened is not None:
            shrink_and_perturb(model, loosened.shrink, loosened.noise, seed=state)
        paradigm = job.paradigm_for(settings)
        result = train_model(
            model,
            job.data.train,
            paradigm,
            arm.make_sampler(derive_seed(state, "sampler", arm.name)),
            settings,
            seed=derive_seed(job.config.seed, "arm", state),
            device=job.device,
            checkpoint=Checkpoint(attempt.checkpoint),
            progress=lambda fraction, note: job.reporter.progress((position + fraction) / states, note),
            tracker=tracker,
        )
        value = evaluate_model(
            model,
            job.data.test,
            paradigm,
            device=job.device,
            precision=settings.precision,
            workers=settings.workers,
        )
        refuse_diverged(model, f"arm '{arm.name}', random state {state}", value)
        if not attempt.writes:
            return []
        report = {
            "value": value,
            "metric": paradigm.metric,
            "epochs": arm.epochs,
            "trained_samples": result.cost.trained_samples,
            # A half-precision step that overflowed is left out and the training goes on.
            "losses": [loss if math.isfinite(loss) else None for loss in result.losses],
        }
        if isinstance(paradigm, Adversarial):
            report["robust"] = robust_accuracy(model, job.data.test, paradigm, seed=state, device=job.device)
        write_json(folder / f"{state}.json", report)
        save_weights(model, folder / f"{state}.safetensors")
        write_npy(folder / f"{state}.visits.npy", result.visits.cpu().numpy())
        attempt.costs[_stage(arm, state)] = result.cost
        tracker.summary({paradigm.metric: value, **result.cost.to_dict()})
        tracker.close()
        return [folder / f"{state}.{ending}" for ending in ("json", "safetensors", "visits.npy")]

    job.run.ensure(
        _stage(arm, state),
        settings={
            "data": job.data.fingerprint,
            "seed": job.config.seed,
            "model": job.model_settings,
            "training": settings.key(),
            "state": state,
            "arm": arm.identity,
            "contents": [sha256(path) for path in arm.inputs],
            "init": [sha256(seed_weights), loosened and loosened.model_dump(mode="json")]
            if arm.warm
            else None,
            "device": job.device.type,
        },
        inputs=[],
        work=work,
        together=True,
    )
