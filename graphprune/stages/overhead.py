"""What had to be spent before an arm could train: nothing is left out because it is small."""

from __future__ import annotations

from graphprune.config import ArmConfig
from graphprune.ledger import Cost
from graphprune.registry import get
from graphprune.stages.job import Job


def selection_cost(job: Job, arm: ArmConfig) -> Cost:
    """A selection by predicted scores: the prediction and the rule."""
    assert arm.score is not None
    stage = f"select/{arm.name}"
    return prediction_cost(job, arm.score, arm.extrapolator) + _cost(job, stage, stage)


def prediction_cost(job: Job, score: str, extrapolator: str) -> Cost:
    """Predicted scores of all samples: what the extrapolator needs, its fit and its prediction."""
    stage = f"extrapolate/{score}/{extrapolator}"
    return (
        inputs_cost(job, score, extrapolator)
        + _cost(job, stage, f"{stage}/fit")
        + _cost(job, stage, f"{stage}/predict")
    )


def inputs_cost(job: Job, score: str, extrapolator: str) -> Cost:
    """What the method's order needs: seed run (paid once, also where its model embeds), graph, short run."""
    parts = {
        "seeds": seed_run_cost(job, score),
        "graph": _cost(job, "embed", "embed") + _cost(job, "graph", "graph"),
        "short_run": _cost(job, "short_run", "short_run"),
    }
    total = Cost()
    for part in get("extrapolator", extrapolator).spends:
        total = total + parts[part]
    return total


def seed_run_cost(job: Job, score: str | None = None) -> Cost:
    """The seed run; for a score that is recorded on evaluation passes, with those."""
    cost = _cost(job, "seeds", "seeds") + _cost(job, "score_seeds", "seed_training")
    if score is not None and get("score", score).phase == "eval":
        cost = cost + _cost(job, "score_seeds", "seed_training_evaluation")
    return cost


def embedding_cost(job: Job) -> Cost:
    """Embeddings of all samples, with the seed run if its model gives them."""
    cost = _cost(job, "embed", "embed")
    return cost + seed_run_cost(job) if job.config.embedding.source == "seed_model" else cost


def graph_cost(job: Job) -> Cost:
    """The graph and its embeddings."""
    return embedding_cost(job) + _cost(job, "graph", "graph")


def _cost(job: Job, stage: str, name: str) -> Cost:
    return job.run.costs(stage).get(name, Cost())
