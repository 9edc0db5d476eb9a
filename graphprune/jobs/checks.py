"""Checks of a job that are made before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from graphprune.config.base import Method
from graphprune.config.job import ArmConfig, Config
from graphprune.errors import InputError
from graphprune.files import must_exist
from graphprune.jobs.job import FROM_RUN, Job
from graphprune.jobs.methods import provided
from graphprune.models.build import check_model
from graphprune.options import options_of
from graphprune.registry import check_method, create, get
from graphprune.runtime.facts import JobFacts
from graphprune.samplers.base import EpochSampler

# How a config provides the required inputs of a sampler.
NEEDED = {
    "scores": "name a score of the config in its arm (score: NAME)",
    "reference_losses": "set reference_losses: run, or {weights: FILE, model: NAME}",
}
# Options of samplers that may name a reference model's file, and all that the run may fill in.
_REFERENCES = ("reference_losses", "embeddings")
_FILLED = (*_REFERENCES, "graph")


def check_names(config: Config) -> None:
    """Refuse unknown methods and options, and options out of range; this does not read the data."""
    from graphprune.train.tracking import check_trackers

    for kind, methods in (
        ("score", config.scores),
        ("extrapolator", config.extrapolators),
        ("selection", [arm.rule for arm in config.arms]),
        ("paradigm", [config.paradigm] if config.paradigm else []),
    ):
        for method in methods:
            check_method(kind, method.name, method.options)
    for arm in config.arms:
        check_second_score(arm)
    check_model(config.model)
    if config.embedding.model is not None:
        check_model(config.embedding.model)
    check_trackers(config.track)
    for sampler, steered in _samplers(config):
        check_sampler(sampler, scored=steered is not None and steered.score is not None)
    for method in config.scores:
        if config.data.kind not in ("sensors", "object") and "errors" in getattr(
            get("score", method.name), "needs", ()
        ):
            raise InputError(f"scores: {method.name} needs windows of sensor data (data.kind: sensors)")


def check_sampler(method: Method, *, scored: bool) -> None:
    """Refuse a sampler whose options or inputs do not fit; ``scored`` states whether it receives scores."""
    check_method("sampler", method.name, method.options, later=_filled(method))
    known = options_of(get("sampler", method.name))
    if scored and "scores" not in known:
        raise InputError(f"sampler '{method.name}' takes no scores; remove them or use score_weighted")
    if scored and "scores" in method.options:
        raise InputError(
            f"sampler '{method.name}': its arm's score sets the option scores; remove the option"
        )
    given = {*method.options, *(["scores"] if scored else [])}
    for needed in get("sampler", method.name).requires:
        if needed not in given:
            raise InputError(f"sampler '{method.name}' needs {needed}; {NEEDED.get(needed, 'set it')}")
    for option in _filled(method):
        spec = method.options[option]
        if isinstance(spec, dict):
            if not isinstance(spec.get("weights"), str) or spec.keys() - {"weights", "model"}:
                raise InputError(
                    f"sampler '{method.name}': {option} must be run or {{weights: FILE, model: NAME}} (received {spec})"
                )
            must_exist(Path(spec["weights"]))
            if "model" in spec:
                check_model(_named(spec["model"], f"sampler '{method.name}': {option}.model"))


def check_second_score(arm: ArmConfig) -> None:
    """Refuse a rule without the second score that it needs, or with a second score that it does not use."""
    rule = get("selection", arm.rule.name)
    if arm.second_score is None:
        if arm.sampler is None and "second_scores" in rule.requires:
            raise InputError(
                f"arms: {arm.name}: rule '{arm.rule.name}' needs a second_score; name one of `scores`"
            )
    elif arm.sampler is not None or not rule.reads_second:
        raise InputError(
            f"arms: {arm.name}: rule '{arm.rule.name}' uses one score; remove second_score or use ccs or beta"
        )


def check_methods(job: Job) -> None:
    """Refuse methods that do not fit the data or each other, before anything is trained."""
    config, info = job.config, job.data.info
    facts = JobFacts(
        n=len(job.data.train),
        epochs=config.training.epochs,
        num_classes=info.num_classes,
        task=info.kind,
        input_shape=info.input_shape,
        # Links in time and between sensors are added to the configured number of neighbors.
        neighbors=config.graph.k if info.kind == "classification" else None,
        inputs=provided(job),
    )
    for settings in (config.seed_training, config.training):
        job.paradigm_for(settings).check(facts)
    check_seeds(job)
    for method in config.extrapolators:
        _checked("extrapolator", method, replace(facts, seeds=_seeds_to_fit(job)))
    for selected in config.arms:
        if selected.sampler is None:
            second = {"second_scores"} if selected.second_score else set()
            _checked("selection", selected.rule, replace(facts, inputs=provided(job) | second))
    for sampler, arm in _samplers(config):
        stand_in(
            sampler,
            len(job.data.train),
            config.training.epochs,
            scored=arm is not None and arm.score is not None,
        ).check(facts)


def check_seeds(job: Job) -> None:
    """Refuse extrapolators that need more seed samples than there are, before the seed run."""
    fit = _seeds_to_fit(job)
    for method in job.config.extrapolators:
        least = create("extrapolator", method.name, **method.options).least_seeds
        if fit < least:
            raise InputError(
                f"extrapolator '{method.name}' needs {least} seed samples to fit, and seeds.fraction "
                f"{job.config.seeds.fraction:g} of {len(job.data.train)} samples leaves {fit}; raise it, or remove "
                f"'{method.name}' from extrapolators"
            )


def stand_in(method: Method, n: int, epochs: float, *, scored: bool) -> EpochSampler:
    """Return the sampler with placeholders for what the run will compute; the sample counts do not depend on them."""
    options = {name: value for name, value in method.options.items() if name not in _filled(method)}
    if scored:
        options["scores"] = torch.linspace(0, 1, n)
    if {"graph", "embeddings"} & method.options.keys():
        options["embeddings"] = torch.zeros(n, 1)
    if "reference_losses" in method.options:
        options["reference_losses"] = torch.zeros(n)
    sampler: EpochSampler = create("sampler", method.name, n=n, epochs=epochs, seed=0, **options)
    return sampler


def _checked(kind: str, method: Method, facts: JobFacts) -> None:
    try:
        create(kind, method.name, **method.options).check(facts)
    except InputError as error:
        raise InputError(f"{kind} '{method.name}': {error}") from error


def _seeds_to_fit(job: Job) -> int:
    seeds = job.config.seeds
    drawn = round(seeds.fraction * len(job.data.train))
    # Held-out seeds judge the fit; with blocks of time, the gap between the blocks is left out, too.
    return drawn - max(1, round(seeds.heldout * drawn))


def _samplers(config: Config) -> Iterator[tuple[Method, ArmConfig | None]]:
    if config.training.sampler is not None:
        yield config.training.sampler, None
    for arm in config.arms:
        if arm.sampler is not None:
            yield arm.sampler, arm


def _filled(method: Method) -> list[str]:
    """Return the options that the run fills in: those set to ``run`` or to a reference model."""
    return [
        option
        for option, value in method.options.items()
        if (option in _FILLED and value == FROM_RUN) or (option in _REFERENCES and isinstance(value, dict))
    ]


def _named(model: Any, what: str) -> Method:
    if isinstance(model, str) or (isinstance(model, dict) and isinstance(model.get("name"), str)):
        return Method.model_validate(model)
    raise InputError(f"{what} must be a name or {{name: NAME, ...}} (received {model!r})")
