"""What had to be spent before an arm could train: nothing is left out because it is small."""

from __future__ import annotations

from collections.abc import Iterable

from graphprune.config import ArmConfig
from graphprune.ledger import Cost
from graphprune.registry import get
from graphprune.stages.complexity import wants_seed_errors
from graphprune.stages.job import Job
from graphprune.stages.looks import wants_looks


def selection_cost(job: Job, arm: ArmConfig) -> Cost:
    """A selection by predicted scores: the prediction, the rule, and what the rule reads besides."""
    stage, reads = f"select/{arm.name}", get("selection", arm.rule.name).requires
    uses = {part for name, part in (("graph", "graph"), ("embeddings", "embedding")) if name in reads}
    cost = sampler_cost(
        job,
        score=arm.score,
        extrapolator=arm.extrapolator,
        uses=uses,
        warm=job.config.starts_warm(arm),
    )
    if arm.second_score is not None:
        cost = cost + _prediction_cost(job, arm.second_score, arm.extrapolator)
        phases = [get("score", score).phase for score in (arm.score, arm.second_score) if score is not None]
        if phases == ["train", "eval"]:
            cost = cost + _cost(job, "score_seeds", "seed_training_evaluation")
    return cost + _cost(job, stage, stage)


def sampler_cost(
    job: Job,
    *,
    score: str | None = None,
    extrapolator: str = "",
    uses: Iterable[str] = (),
    warm: bool = False,
) -> Cost:
    """What an arm needs before it trains; what several of its needs share is counted once.

    Args:
        job: The job; all stages must have run.
        score: The predicted score that it reads, with its fit and prediction; and with the seed run, whose
            measured scores stand in every such table.
        extrapolator: Who predicted it.
        uses: Of ``embedding``, ``graph`` and ``seeds``.
        warm: Whether training starts from the seed run's weights.
    """
    parts = set(uses) | ({"seeds"} if warm else set())
    if score is not None:
        parts |= _spends(job, extrapolator) | {"seeds"}
    cost = _parts_cost(job, parts, score)
    return cost if score is None else cost + _prediction_cost(job, score, extrapolator)


def inputs_cost(job: Job, score: str, extrapolator: str) -> Cost:
    """What the method's order needs: seed run (paid once, also where its model embeds), graph, short run."""
    return _parts_cost(job, _spends(job, extrapolator), score)


def seed_run_cost(job: Job, score: str | None = None) -> Cost:
    """The seed run and labels found for it; for a score that is recorded on evaluation passes, with those."""
    cost = _cost(job, "labels", "labels") + _cost(job, "seeds", "seeds")
    cost = cost + _cost(job, "score_seeds", "seed_training")
    if score is not None and get("score", score).phase == "eval":
        cost = cost + _cost(job, "score_seeds", "seed_training_evaluation")
    return cost


def _spends(job: Job, extrapolator: str) -> set[str]:
    method = get("extrapolator", extrapolator)
    blind = not (wants_looks(job) or wants_seed_errors(job))
    return set(method.spends_blind if blind and method.spends_blind else method.spends)


def _parts_cost(job: Job, parts: set[str], score: str | None) -> Cost:
    """The parts that extrapolators and samplers name, each with what it is made from."""
    if "graph" in parts:
        parts = parts | {"embedding"}
    if "embedding" in parts and job.config.embedding.source == "seed_model":
        parts = parts | {"seeds"}
    total = seed_run_cost(job, score) if "seeds" in parts else Cost()
    if "looks" in parts:
        total = total + _cost(job, "score_seeds", "seed_looks")
    own = ("graph", "short_run", "input_complexity", "seed_errors")
    stages = {"embedding": "embed", **{name: name for name in own}}
    for part, stage in stages.items():
        total = total + (_cost(job, stage, stage) if part in parts else Cost())
    return total


def _prediction_cost(job: Job, score: str, extrapolator: str) -> Cost:
    stage = f"extrapolate/{score}/{extrapolator}"
    return _cost(job, stage, f"{stage}/fit") + _cost(job, stage, f"{stage}/predict")


def _cost(job: Job, stage: str, name: str) -> Cost:
    return job.run.costs(stage).get(name, Cost())
