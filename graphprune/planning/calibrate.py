"""Short measurements with the job's own model and data, from which `predict` reckons the whole."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from graphprune.planning.measured import Measured, Part, spread
from graphprune.planning.methods import Methods, measure_methods
from graphprune.planning.passes import Passes, measure_passes
from graphprune.planning.training import measure_training, trainings
from graphprune.stages.job import Job

# Each kind of training is measured for about so long; everything else on so many samples.
_TARGET_SECONDS = 0.7
_SAMPLES = 1500


@dataclass(frozen=True)
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
    """

    training: dict[str, Measured]
    evaluation: dict[str, Measured]
    passes: Passes
    methods: Methods
    weight_bytes: int
    seconds: float


def calibrate(job: Job, scored: Job, scratch: Path) -> Calibration:
    """Measures the job's kinds of work for some seconds each; writes only to the folder ``scratch``.

    Trainings run on as many batches as take about 0.7 s, extrapolators and rules in full on at most 1,500
    samples whose scores are the calibrated model's losses.

    Args:
        job: As the final trainings see it.
        scored: As the scoring stages do (the same, unless labels are found first).
        scratch: An existing folder.
    """
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
    )
