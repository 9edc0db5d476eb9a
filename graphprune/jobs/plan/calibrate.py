"""Short measurements with the job's own model and data, on which the estimates of the stages are based."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from graphprune.jobs.job import Job
from graphprune.jobs.plan.measured import Measured, Part, spread
from graphprune.jobs.plan.methods import Methods, measure_methods
from graphprune.jobs.plan.passes import Passes, measure_passes
from graphprune.jobs.plan.training import measure_training, trainings
from graphprune.runtime.cost import Cost

# Each kind of training is measured for about this time, everything else on this number of samples.
_TARGET_SECONDS = 0.7
_SAMPLES = 1500


@dataclass(frozen=True, eq=False)
class Calibration:
    """The measurements of `calibrate`.

    Attributes:
        training: Training with its recorder, by kind: ``seed``, ``oracle`` (also for audits), ``short_run``, ``arm``.
        evaluation: The evaluation passes of these trainings, if scores or epoch signals need any.
        passes: Everything that only needs forward passes.
        methods: Everything that trains no network of the job.
        weight_bytes: Size of the weights of one model.
        seconds: Duration of the calibration.
        seeds, labels: Cost of drawing the seeds (measured) and of finding labels (estimated; None if not needed).
    """

    training: dict[str, Measured]
    evaluation: dict[str, Measured]
    passes: Passes
    methods: Methods
    weight_bytes: int
    seconds: float
    seeds: Cost
    labels: Cost | None = None

    def trained(self, job: Job, kind: str, samples: int, scored: int = 0) -> Cost:
        """Return the cost of training on a number of samples, including the forward passes of attacks."""
        measured = self.training[kind]
        extra = job.paradigm_for(job.config.training.optimization()).extra_trained
        forward = scored + round(samples * extra)
        return Cost(measured.seconds_for(samples), measured.peak_mib, samples, forward)

    def evaluated(self, job: Job, kind: str, samples: int, passes: int) -> Cost:
        """Return the cost of a number of evaluation passes over a number of samples."""
        measured = self.evaluation.get(kind)
        if measured is None:
            return Cost()
        each = 1 + job.paradigm_for(job.config.seed_training).extra_observed
        forward = passes * round(samples * each)
        return Cost(measured.seconds_for(forward), measured.peak_mib, forward_samples=forward)


def calibrate(job: Job, scratch: Path, *, labels: Cost | None = None) -> Calibration:
    """Measure the job's kinds of work for a few seconds each; writes only to the folder ``scratch``.

    Each training is measured on as many batches as take about 0.7 s, extrapolators and rules in full on at most
    1,500 samples whose scores are the losses of the calibrated model.

    Args:
        job: The job; its folder must contain the drawn seeds.
        scratch: An existing folder.
        labels: Estimated cost of finding labels.
    """
    scored = job.scored
    start = time.perf_counter()
    model = scored.make_model("calibration")
    final = model if scored is job else job.make_model("calibration")
    training, evaluation = {}, {}
    for kind, (settings, scores) in trainings(scored).items():
        owner, network = (job, final) if kind == "arm" else (scored, model)
        training[kind], passes = measure_training(owner, network, settings, scores, seconds=_TARGET_SECONDS)
        if passes is not None:
            evaluation[kind] = passes
    part = Part(scored.data.train, spread(len(scored.data.train), _SAMPLES))
    shown = measure_passes(job, scored, part, model=model, final=final)
    return Calibration(
        training=training,
        evaluation=evaluation,
        passes=shown,
        methods=measure_methods(scored, part, shown, scratch),
        weight_bytes=sum(value.numel() * value.element_size() for value in final.state_dict().values()),
        seconds=time.perf_counter() - start,
        seeds=job.run.costs("seeds")["seeds"],
        labels=labels,
    )
