"""Train the arms: all data, the baselines, the selected subsets, and simple arms of equal total cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from graphprune.config.job import ArmConfig
from graphprune.config.training import OptimizationConfig
from graphprune.files import write_json, write_npy
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.plan.account import sampled, visits
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.select import read_selection
from graphprune.registry import create, get
from graphprune.runtime.cost import Cost
from graphprune.runtime.rng import derive_seed
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.static import StaticSampler
from graphprune.select.base import Selection, count_kept
from graphprune.table import locate
from graphprune.train.checkpoint import Checkpoint, load_weights, save_weights, shrink_and_perturb
from graphprune.train.divergence import refuse_diverged
from graphprune.train.evaluate import evaluate_model
from graphprune.train.loop import train_model
from graphprune.train.paradigms.adversarial import Adversarial, robust_accuracy

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration

Budget = Literal["epochs", "passes", "seconds"]
BASELINES = ("full", "random", "rs2")
_ENDINGS = ("json", "safetensors", "visits.npy")
MakeSampler = Callable[[int], EpochSampler]


@dataclass(frozen=True)
class Arm:
    """One way to train, repeated for every random seed of the config.

    Args:
        name: Key of the arm in ``metrics.json``.
        keep: Fraction of the data that an epoch visits; None if the sampler decides during training.
        epochs: Number of epochs over the kept samples; a fraction ends inside an epoch.
        make_sampler: Function from a random seed to the sampler; reads the sampler's inputs.
        identity: Everything that the sampler depends on, for the stage key.
        needs: Products that the arm uses; it pays for each of them and for all their ancestors.
        inputs: Files of the user that the arm uses.
        budget: The quantity that determines the length of the training.
        matches: The arms whose total cost this simple arm spends.
        warm: Whether training starts from the weights of the seed run.
        stand_in: Makes a sampler that visits as many samples, for plans (default: computed from ``keep``).
    """

    name: str
    keep: float | None
    epochs: float
    make_sampler: MakeSampler
    identity: Any
    needs: tuple[str, ...] = ()
    inputs: tuple[Path, ...] = ()
    budget: Budget = "epochs"
    matches: tuple[str, ...] = ()
    warm: bool = False
    stand_in: Callable[[], EpochSampler] | None = None


@dataclass(frozen=True)
class Spent:
    """Cost of an arm: the mean of its trainings, and the total with everything that it needed."""

    training: Cost
    total: Cost


def stages(job: Job) -> Iterator[Stage]:
    """Yield the trainings of the baselines and of all arms of the config."""
    for arm in configured_arms(job):
        yield from training_stages(job, arm)


def equal_cost_stages(job: Job) -> Iterator[Stage]:
    """Yield the trainings of the equal-cost arms; the configured arms must be finished."""
    for arm in equal_cost_arms(job, [(arm, spent(job, arm)) for arm in configured_arms(job)]):
        yield from training_stages(job, arm)


def all_arms(job: Job) -> list[Arm]:
    """Return every arm of a finished job, in the order of the tables."""
    arms = configured_arms(job)
    return arms + equal_cost_arms(job, [(arm, spent(job, arm)) for arm in arms])


def configured_arms(job: Job) -> list[Arm]:
    """Return the baselines, the arms of the config, and the arm of ``training.sampler``."""
    from graphprune.jobs.sampler_arms import dynamic_arm, sampler_arm

    arms = baseline_arms(job)
    arms += [
        selected_arm(job, arm) if arm.sampler is None else dynamic_arm(job, arm) for arm in job.config.arms
    ]
    own = job.config.training.sampler
    return arms if own is None else [*arms, sampler_arm(job, own.name, own, warm=job.config.starts_warm())]


def spent(job: Job, arm: Arm) -> Spent:
    """Return the cost of a trained arm from the records of the run."""
    costs = [job.run.costs(_stage(arm, s))[_stage(arm, s)] for s in job.config.training.random_states]
    mean = Cost(
        seconds=float(np.mean([c.seconds for c in costs])),
        peak_mib=max(c.peak_mib for c in costs),
        trained_samples=round(float(np.mean([c.trained_samples for c in costs]))),
        forward_samples=round(float(np.mean([c.forward_samples for c in costs]))),
    )
    return Spent(mean, job.run.cost_of(arm.needs) + mean)


def baseline_arms(job: Job) -> list[Arm]:
    """Return the arms ``full``, ``random`` and ``rs2``."""
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
    """Return an arm that trains with a registered sampler."""
    n = len(job.data.train)
    get("sampler", sampler)

    def make(seed: int) -> EpochSampler:
        return create("sampler", sampler, n=n, epochs=epochs, seed=seed, **options)  # type: ignore[no-any-return]

    identity = {"sampler": sampler, "options": options}
    return Arm(name, float(options.get("keep", 1.0)), epochs, make, identity, budget=budget)


def selected_arm(job: Job, config: ArmConfig) -> Arm:
    """Return an arm that trains on its selection."""
    keep = count_kept(len(job.data.train), config.keep) / len(job.data.train)
    warm = job.config.starts_warm(config)
    return _static_arm(
        job,
        config.name,
        lambda: read_selection(job.run, config.name),
        keep,
        needs=(f"select/{config.name}", *(("seed_model",) if warm else ())),
        warm=warm,
    )


def selection_arm(job: Job, selection: Selection, source: Path, *, warm: bool = False) -> Arm:
    """Return the arm ``selection``, which trains on a selection read from a file."""
    # A selection of other data is rejected before anything is written.
    locate(job.data.train.ids, selection.ids, "selection 'selection'")
    keep = len(selection) / len(job.data.train)
    needs = ("seed_model",) if warm else ()
    return _static_arm(job, "selection", lambda: selection, keep, needs=needs, inputs=(source,), warm=warm)


def _static_arm(job: Job, name: str, read: Callable[[], Selection], keep: float, **given: Any) -> Arm:
    train, epochs = job.data.train, job.config.training.epochs

    def make(seed: int) -> EpochSampler:
        selection = read()
        rows = torch.from_numpy(locate(train.ids, selection.ids, f"selection '{name}'"))
        weights = torch.from_numpy(selection.weights)
        return StaticSampler(len(train), rows=rows, loss_weights=weights, epochs=epochs, seed=seed)

    return Arm(name, keep, epochs, make, "selection", **given)


def equal_cost_arms(job: Job, done: list[tuple[Arm, Spent]]) -> list[Arm]:
    """Return arms that spend the total cost of each pruned arm on all the data, on a random subset, and on RS2."""
    training, n = job.config.training, len(job.data.train)
    full = next(cost.training for arm, cost in done if arm.name == "full")
    baseline_keep = next(arm.keep for arm, _ in done if arm.name == "random") or 1.0
    # Work beyond a plain forward and backward pass (attacks) must not lengthen the training.
    per_sample = 1 + full.forward_samples / (3 * full.trained_samples)
    budgets: dict[str, list[tuple[Arm, float]]] = {}
    for arm, cost in done:
        if arm.name in BASELINES:
            continue
        # Full runs may have stopped early; the budget is a fraction of their planned length.
        share = cost.total.seconds / full.seconds * full.trained_samples / (n * training.epochs)
        if training.budget == "passes":
            share = cost.total.passes(n, training.epochs) / per_sample
        # Budgets within about two percent of each other share their arms.
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


def training_stages(job: Job, arm: Arm) -> Iterator[Stage]:
    """Yield one training per random seed: ``arms/<arm>/<seed>.json``, the weights and the visits.

    ``<seed>.visits.npy [N]`` int32 counts how often each sample was trained on.
    """
    settings = job.config.training.optimization(epochs=arm.epochs)
    loosened = job.config.training.shrink_and_perturb if arm.warm else None
    planned = cache(lambda measured: _estimate(job, arm, measured))
    for position, state in enumerate(job.config.training.random_states):
        name = _stage(arm, state)
        yield Stage(
            name,
            partial(_train, job, arm, settings, position, state),
            lambda measured, name=name: replace(
                planned(measured), costs={name: planned(measured).costs[arm.name]}
            ),  # type: ignore[misc]
            makes=(Product(name, tuple(paths.arm(arm.name, state, ending) for ending in _ENDINGS)),),
            needs=arm.needs,
            settings={
                "data": job.data.fingerprint,
                "seed": job.config.seed,
                "model": job.model_settings,
                "training": settings.key(),
                "state": state,
                "arm": arm.identity,
                "init": [arm.warm, loosened and loosened.model_dump(mode="json")],
                "device": job.device.type,
            },
            inputs=arm.inputs,
            together=True,
        )


def _stage(arm: Arm, state: int) -> str:
    return f"train/{arm.name}/{state}"


def _train(
    job: Job, arm: Arm, settings: OptimizationConfig, position: int, state: int, attempt: Attempt
) -> Iterable[Path]:
    # All arms start from the same weights for the same random seed, so that their differences are paired.
    model, tracker = job.make_model("arm", state), job.tracker(_stage(arm, state))
    if arm.warm:
        load_weights(model, job.run / paths.SEED_MODEL)
        if loosened := job.config.training.shrink_and_perturb:
            shrink_and_perturb(model, loosened.shrink, loosened.noise, seed=state)
    paradigm, states = job.paradigm_for(settings), len(job.config.training.random_states)
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
    refuse_diverged(model, f"arm '{arm.name}', random seed {state}", value)
    if not attempt.writes:
        return []
    report = {
        "value": value,
        "metric": paradigm.metric,
        "epochs": arm.epochs,
        "trained_samples": result.cost.trained_samples,
        # A half-precision step that overflows is skipped; the training continues.
        "losses": [loss if math.isfinite(loss) else None for loss in result.losses],
    }
    if isinstance(paradigm, Adversarial):
        report["robust"] = robust_accuracy(model, job.data.test, paradigm, seed=state, device=job.device)
    files = {ending: job.run / paths.arm(arm.name, state, ending) for ending in _ENDINGS}
    write_json(files["json"], report)
    save_weights(model, files["safetensors"])
    write_npy(files["visits.npy"], result.visits.cpu().numpy())
    attempt.costs[_stage(arm, state)] = result.cost
    tracker.summary({paradigm.metric: value, **result.cost.to_dict()})
    tracker.close()
    return files.values()


def _estimate(job: Job, arm: Arm, measured: Calibration) -> Estimate:
    """Estimate one training; the cost is recorded under the name of the arm."""
    training, n, scored = job.config.training, len(job.data.train), 0
    notes: tuple[str, ...] = ()
    if arm.stand_in is None:
        assert arm.keep is not None
        trained = visits(count_kept(n, arm.keep), arm.epochs)
    else:
        sampler = arm.stand_in()
        if sampler.needs_errors:
            trained = visits(n, arm.epochs)
            notes = (f"arm '{arm.name}': its sampler selects by errors; estimated as visiting every sample",)
        else:
            losses = torch.from_numpy(measured.passes.losses)
            trained, scored = sampled(sampler, arm.epochs, training.batch_size, losses)
            if sampler.needs_losses:
                notes = (
                    f"arm '{arm.name}': its sampler selects by losses; estimated with calibration losses",
                )
    if training.patience is not None:
        notes = (*notes, "training.patience may stop arms early; the estimate assumes their full length")
    cost = measured.trained(job, "arm", trained, scored)
    cost.seconds += measured.passes.forward.seconds_for(scored)
    return Estimate({arm.name: cost}, disk_bytes=measured.weight_bytes + 1000 + 4 * n, notes=notes)
