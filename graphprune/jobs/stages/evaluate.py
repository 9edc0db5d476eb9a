"""Evaluate every extrapolator: against held-out seeds, and against the oracle with its noise ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from graphprune.config.job import Config
from graphprune.data.base import Samples
from graphprune.data.timesplit import clear_of, sharing
from graphprune.data.windows import WindowSamples
from graphprune.evaluation.agreement import evaluate, noise_ceiling
from graphprune.evaluation.audit import audit
from graphprune.files import read_json, write_json
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.methods import methods_of
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.audit import audit_lengths, audit_scores
from graphprune.jobs.stages.seeds import read_seeds
from graphprune.runtime.cost import Cost, measure
from graphprune.table import ScoreTable

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration

Mask = npt.NDArray[np.bool_]
# A correlation over fewer windows that are disjoint from the seed windows means little.
LEAST_CLEAR = 30


def stages(job: Job) -> Iterator[Stage]:
    """Write ``evaluation.json``: ``{score: {"ceiling": ..., "methods": {method: {"heldout", "oracle"}}}}``.

    For windows with an oracle, a method also has ``oracle_clear``, its agreement on the windows that are disjoint
    from all seed windows. A score then has ``clear``: the number of such windows, ``of`` how many that are not
    seeds, the ``least`` number for a result (with fewer, ``oracle_clear`` is None), and the agreement of the full
    runs on them. Intervals for windows come from a block bootstrap (`sharing`).
    """
    job = job.scored
    config, train, path = job.config, job.data.train, job.run / paths.EVALUATION
    scores = [score.name for score in config.scores]
    methods = [method.name for method in methods_of(job)]
    pairs = [f"{score}/{method}" for score in scores for method in methods]
    full = [f"oracle/{number}" for number in range(config.oracle.runs if config.oracle else 0)]
    full += [f"audit/{number}" for number in range(config.audit.runs if config.audit else 0)]

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["evaluate"] = Cost()
        with measure(cost):
            write_json(path, {score: _judge(job, score, methods) for score in scores})
        return [path]

    def estimate(measured: Calibration) -> Estimate:
        seeds = len(read_seeds(job).ids)
        others = len(train) - seeds
        one = measured.methods.judge.cost_for(config.seeds.heldout * seeds + (others if config.oracle else 0))
        if measured.methods.audit is not None:
            one = one + measured.methods.audit.cost_for(others)
        return Estimate({"evaluate": Cost(len(pairs) * one.seconds, one.peak_mib)})

    spans = [train.span, LEAST_CLEAR] if isinstance(train, WindowSamples) else None
    yield Stage(
        "evaluate",
        work,
        estimate,
        makes=(Product("evaluation", (paths.EVALUATION,), ("evaluate",)),),
        needs=(
            *(f"scores/{score}" for score in scores),
            *(f"{kind}/{pair}" for pair in pairs for kind in ("heldout", "predictions")),
            *(f"{run}/{score}" for run in full for score in scores),
        ),
        settings={"seed": config.seed, "clear": spans, "bootstrap": "blocks" if spans else "samples"},
    )


def read_evaluation(job: Job) -> dict[str, Any]:
    """Return the content of ``evaluation.json``."""
    return read_json(job.run / paths.EVALUATION)  # type: ignore[no-any-return]


def oracle_truth(run: RunFolder, config: Config, score: str) -> npt.NDArray[np.float32] | None:
    """Return the true scores ``[N]``: the mean over the oracle's runs."""
    runs = _oracle_runs(run, config, score)
    return None if not runs else np.asarray(np.mean(runs, axis=0, dtype=np.float64), dtype=np.float32)


def clear_windows(train: Samples, seeds: npt.NDArray[np.int64]) -> Mask | None:
    """Return which windows share no time step with the windows ``seeds``, ``[N]``; None for other data."""
    if not isinstance(train, WindowSamples):
        return None
    starts = train.starts
    return clear_of(starts, np.unique(starts[np.isin(train.ids, seeds)]), train.span)


def _oracle_runs(run: RunFolder, config: Config, score: str) -> list[npt.NDArray[np.float32]]:
    runs = config.oracle.runs if config.oracle else 0
    return [ScoreTable.from_parquet(run / paths.oracle(number, score)).values for number in range(runs)]


def _judge(job: Job, score: str, methods: list[str]) -> dict[str, Any]:
    measured = ScoreTable.from_parquet(job.run / paths.score(score))
    is_seed = np.isin(job.data.train.ids, measured.ids)
    truth = oracle_truth(job.run, job.config, score)
    clear = None if truth is None else clear_windows(job.data.train, measured.ids)
    judged: dict[str, Any] = {}
    for method in methods:
        heldout = ScoreTable.from_parquet(job.run / paths.heldout(score, method))
        reference = measured.values[measured.rows_of(heldout.ids, "held-out seeds")]
        against_seed_run = evaluate(
            heldout.values,
            reference,
            std=heldout.std,
            block=_block(job, np.isin(job.data.train.ids, heldout.ids)),
            seed=job.config.seed,
        )
        judged[method] = {
            "heldout": against_seed_run.to_dict(),
            "oracle": _against(job, score, method, truth, ~is_seed),
            "audit": _audit(job, score, method),
        }
        if clear is not None:
            enough = clear.sum() >= LEAST_CLEAR
            judged[method]["oracle_clear"] = _against(job, score, method, truth, clear) if enough else None
    found = {"ceiling": _ceiling(job, score, measured, is_seed), "methods": judged}
    return found if clear is None else {**found, "clear": _clear(job, score, clear, ~is_seed)}


def _against(
    job: Job, score: str, method: str, truth: npt.NDArray[np.float32] | None, rows: Mask
) -> dict[str, Any] | None:
    """Return the agreement of a method's predictions with the oracle on some rows."""
    if truth is None:
        return None
    predicted, labels = (
        ScoreTable.from_parquet(job.run / paths.prediction(score, method)),
        job.data.train.labels,
    )
    return evaluate(
        predicted.values[rows],
        truth[rows],
        std=None if predicted.std is None else predicted.std[rows],
        labels=None if labels is None else labels[rows],
        block=_block(job, rows),
        seed=job.config.seed,
    ).to_dict()


def _block(job: Job, rows: Mask) -> int:
    """Return how many rows the bootstrap draws together: for windows, the number that share readings."""
    train = job.data.train
    return sharing(train.starts[rows], train.span) if isinstance(train, WindowSamples) else 1


def _clear(job: Job, score: str, clear: Mask, unseen: Mask) -> dict[str, Any]:
    runs = [run[clear] for run in _oracle_runs(job.run, job.config, score)]
    full = noise_ceiling(runs) if len(runs) > 1 else None
    counts = {"n": int(clear.sum()), "of": int(unseen.sum()), "least": LEAST_CLEAR}
    agreement = {"full_vs_full": full and full["spearman"], "perfect": full and full["perfect"]}
    return {**counts, **agreement}


def _audit(job: Job, score: str, method: str) -> dict[str, Any] | None:
    config, truncated = job.config, audit_scores(job.run, job.config, score)
    if not truncated:
        return None
    predicted = ScoreTable.from_parquet(job.run / paths.prediction(score, method))
    unseen, lengths = ~predicted.measured, audit_lengths(config)
    measured = [[scores[unseen] for scores in run] for run in truncated]
    found = audit(
        predicted.values[unseen],
        measured,
        lengths,
        config.training.epochs,
        block=_block(job, unseen),
        seed=config.seed,
    )
    return found.to_dict()


def _ceiling(
    job: Job, score: str, measured: ScoreTable, is_seed: npt.NDArray[np.bool_]
) -> dict[str, Any] | None:
    runs, truth = _oracle_runs(job.run, job.config, score), oracle_truth(job.run, job.config, score)
    if truth is None:
        return None
    seeds = evaluate(measured.values, truth[is_seed], n_bootstrap=0)
    full = noise_ceiling([run[~is_seed] for run in runs]) if len(runs) > 1 else None
    return {
        "runs": len(runs),
        "seed_vs_full": seeds.spearman,
        "full_vs_full": None if full is None else full["spearman"],
        "further_run_vs_mean": None if full is None else full["further_run_vs_mean"],
        "perfect": None if full is None else full["perfect"],
    }
