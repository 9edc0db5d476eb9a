"""Short measurements with the job's own model and data, from which stages estimate the whole."""

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

# Each kind of training is measured for about so long; everything else on so many samples.
_TARGET_SECONDS = 0.7
_SAMPLES = 1500


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything that was measured; see `calibrate`.

    Attributes:
        training: ``seed``, ``oracle`` (the audit's, too), ``short_run`` and ``arm``: samples trained, with what
            records them.
        evaluation: The recorder's evaluation passes of these, where a score or looks need any.
        passes: Everything that only goes forward.
        methods: Everything that trains no network of the job's.
        weight_bytes: Of one model.
        seconds: What all this took.
        seeds, labels: What drawing the seeds took, and what finding labels will take, if that is done.
    """

    training: dict[str, Measured]
    evaluation: dict[str, Measured]
    passes: Passes
    methods: Methods
    weight_bytes: int
    seconds: float
    seeds: Cost
    labels: Cost | None = None

    def trained(self, job: Job, kind: str, samples: int, looked: int = 0) -> Cost:
        """Training on so many samples by the job's paradigm, whose attacks pass forward, too."""
        measured = self.training[kind]
        extra = job.paradigm_for(job.config.training.optimization()).extra_trained
        forward = looked + round(samples * extra)
        return Cost(measured.seconds_for(samples), measured.peak_mib, samples, forward)

    def evaluated(self, job: Job, kind: str, samples: int, passes: int) -> Cost:
        """So many of the recorder's evaluation passes over so many samples."""
        measured = self.evaluation.get(kind)
        if measured is None:
            return Cost()
        each = 1 + job.paradigm_for(job.config.seed_training).extra_observed
        forward = passes * round(samples * each)
        return Cost(measured.seconds_for(forward), measured.peak_mib, forward_samples=forward)


def calibrate(job: Job, scratch: Path, *, labels: Cost | None = None) -> Calibration:
    """Measures the job's kinds of work for some seconds each; writes only to the folder ``scratch``.

    Trainings run on as many batches as take about 0.7 s, extrapolators and rules in full on at most 1,500
    samples whose scores are the calibrated model's losses.

    Args:
        job: Its folder holds the drawn seeds.
        scratch: An existing folder.
        labels: What finding labels will cost.
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
