"""The order of the stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphprune.config import Config
from graphprune.data.base import Data
from graphprune.errors import InputError
from graphprune.files import must_exist
from graphprune.registry import create, get
from graphprune.stages.job import Job, ModelFactory, Reporter, Silent
from graphprune.store import RunFolder
from graphprune.train.paradigms.base import Paradigm


def run(
    config: Config,
    out: Path | str | None = None,
    *,
    data: Data | None = None,
    model: ModelFactory | None = None,
    paradigm: Paradigm | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Does the whole job, or what is left of it, and returns its metrics.

    Started in several processes (torchrun, ``accelerate launch``) it trains with all of them; everything else is
    done, and everything is written, by the first, while the others wait.

    Args:
        config: What to do.
        out: The run folder (default: ``runs/<name>``); the same call again resumes there.
        data: Your own data in place of ``config.data``.
        model: Makes an untrained model, in place of ``config.model``.
        paradigm: Your own losses and metric. A changed function leaves no trace that a resumed run could
            notice: give it another ``out``.
        reporter: Where progress goes (default: nowhere).

    Raises:
        InputError: anything the user can mend; the folder then holds only whole artifacts.
    """
    from graphprune.train.process_group import ProcessGroup

    check_names(config)
    ranks = ProcessGroup.join(config.device)
    reporter = reporter if reporter and ranks.writes else Silent()
    path = Path(out) if out is not None else Path("runs") / config.name
    folder = RunFolder(path, on_event=reporter.event, team=ranks)
    with folder.locked():
        job = open_job(config, folder, data=data, model=model, paradigm=paradigm, reporter=reporter)
        check_seeds(job)
        return _run(job)


def open_job(
    config: Config,
    folder: RunFolder,
    *,
    data: Data | None = None,
    model: ModelFactory | None = None,
    paradigm: Paradigm | None = None,
    reporter: Reporter | None = None,
) -> Job:
    """Loads the data and makes the job; the folder must be locked, and nothing is written to it."""
    from graphprune.data.load import load_data
    from graphprune.devices import resolve_device
    from graphprune.train.precision import check_precision

    loaded = data if data is not None else load_data(config.data)
    device = resolve_device(config.device)
    job = Job(config, loaded, folder, device, model, paradigm, reporter or Silent())
    # What does not fit the data must fail before anything is trained or written.
    job.make_model("check")
    for training in (config.seed_training, config.training):
        check_precision(device, training.precision)
        if training.augment and not loaded.info.shows_images:
            raise InputError(
                f"augment: {', '.join(training.augment)} is for images, and a sample of {loaded.name} is "
                f"{list(loaded.info.input_shape)}; set augment: []"
            )
    full_runs = config.oracle is not None or config.audit is not None
    lengths = {config.seed_training.epochs, *([config.training.epochs] if full_runs else [])}
    for score in config.scores:
        for epochs in lengths:
            watching = create("score", score.name, **score.options)
            watching.start(1, epochs=int(epochs), num_classes=loaded.info.num_classes)
    for path in (config.embedding.path, config.embedding.weights):
        if path is not None:
            must_exist(path)
    if config.embedding.source == "statistics" and loaded.info.kind != "forecasting":
        raise InputError("embedding.source: statistics is for windows of sensor data; use seed_model")
    if config.graph.k >= len(loaded.train):
        raise InputError(
            f"graph.k is {config.graph.k} but there are {len(loaded.train)} samples; choose a smaller k"
        )
    return job


def check_seeds(job: Job) -> None:
    """Refuses extrapolators that the seeds are too few for, before the seeds are trained on."""
    seeds, n = job.config.seeds, len(job.data.train)
    drawn = round(seeds.fraction * n)
    # Some judge the fit; between blocks of time some more stay out.
    fit = drawn - max(1, round(seeds.heldout * drawn))
    for method in job.config.extrapolators:
        least = create("extrapolator", method.name, **method.options).least_seeds
        if fit < least:
            raise InputError(
                f"extrapolator '{method.name}' needs {least} seeds to fit on, and seeds.fraction {seeds.fraction:g} of "
                f"{n} samples leaves {fit}; raise it, or leave '{method.name}' out of extrapolators"
            )


# How a config gives a sampler what it cannot do without.
NEEDED = {
    "scores": "name a score of the config in its arm (score: NAME)",
    "reference_losses": "set reference_losses: run, or {weights: FILE, model: NAME}",
}


def check_names(config: Config) -> None:
    """Refuses unknown methods and options before any work is done."""
    from graphprune.train.models.build import check_model
    from graphprune.train.tracking import check_trackers

    for kind, methods in (
        ("score", config.scores),
        ("extrapolator", config.extrapolators),
        ("selection", [arm.rule for arm in config.arms]),
    ):
        for method in methods:
            create(kind, method.name, **method.options)
    check_model(config.model)
    if config.paradigm is not None and config.paradigm.name != "forecasting":
        create("paradigm", config.paradigm.name, **config.paradigm.options)
    check_trackers(config.track)
    for sampler, score in (
        (config.training.sampler, None),
        *((arm.sampler, arm.score) for arm in config.arms),
    ):
        if sampler is not None:
            given = {*sampler.options, *(["scores"] if score else [])}
            for needed in get("sampler", sampler.name).requires:
                if needed not in given:
                    raise InputError(
                        f"sampler '{sampler.name}' needs {needed}; {NEEDED.get(needed, 'set it')}"
                    )
            for value in sampler.options.values():
                if isinstance(value, dict) and "weights" in value:
                    must_exist(Path(value["weights"]))
    for method in config.scores:
        if config.data.kind not in ("sensors", "object") and "errors" in getattr(
            get("score", method.name), "needs", ()
        ):
            raise InputError(f"scores: {method.name} needs windows of sensor data (data.kind: sensors)")


def _run(job: Job) -> dict[str, Any]:
    from graphprune.stages.all import stages
    from graphprune.stages.arms import all_arms
    from graphprune.stages.provenance import write_provenance
    from graphprune.stages.references import reference_forecasts
    from graphprune.stages.report import write_page, write_results

    write_provenance(job)
    for stage in stages(job):
        job.run.ensure(stage)
    metrics = write_results(job, all_arms(job), reference_forecasts(job))
    if job.run.team.writes:
        write_page(job)
    return metrics
