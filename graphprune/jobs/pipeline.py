"""Run a job: check it, run its stages in order, and write the report."""

from __future__ import annotations

from pathlib import Path

from graphprune.config.job import Config
from graphprune.data.base import Data
from graphprune.errors import InputError
from graphprune.jobs.checks import check_methods, check_names
from graphprune.jobs.job import Job, ModelFactory, Reporter, Silent
from graphprune.jobs.result import RunResult
from graphprune.jobs.run_folder import RunFolder
from graphprune.registry import create
from graphprune.runtime.facts import JobFacts
from graphprune.train.paradigms.base import Paradigm


def run(
    config: Config,
    out: Path | str | None = None,
    *,
    data: Data | None = None,
    model: ModelFactory | None = None,
    paradigm: Paradigm | None = None,
    reporter: Reporter | None = None,
    fresh: bool = False,
) -> RunResult:
    """Run the whole job, or what is left of it, and return its result, a mapping over ``metrics.json``.

    Started in several processes (torchrun, ``accelerate launch``), all of them train; the first process does
    everything else and writes all files while the others wait.

    Args:
        config: The job.
        out: The run folder (default: ``runs/<name>``); the same call again resumes the run.
        data: Your own data instead of ``config.data``.
        model: Function that returns an untrained model, instead of ``config.model``.
        paradigm: Your own losses and metric. A resumed run cannot detect that a function has changed; use another
            ``out`` then.
        reporter: Receives the progress (default: none is reported).
        fresh: Replace the run in the folder. Its files are deleted after the config, the options and the data have
            been checked and the new run has started; files that graphprune did not write stay.

    Raises:
        InputError: anything that the user can fix, such as a folder that holds other files, or another run in a
            thread of this process; the folder then contains complete artifacts only.
    """
    from graphprune.jobs.arms import all_arms
    from graphprune.jobs.provenance import write_provenance
    from graphprune.jobs.report import write_page, write_results
    from graphprune.jobs.stage_list import stages
    from graphprune.jobs.stages.references import reference_forecasts
    from graphprune.train.process_group import ProcessGroup

    check_names(config)
    group = ProcessGroup.join(config.device)
    reporter = reporter if reporter and group.writes else Silent()
    path = Path(out) if out is not None else Path("runs") / config.name
    folder = RunFolder(path, on_event=reporter.event, team=group)
    with folder.locked(fresh=fresh):
        job = open_job(config, folder, data=data, model=model, paradigm=paradigm, reporter=reporter)
        check_methods(job)
        with folder.begin():
            write_provenance(job)
        for stage in stages(job):
            folder.ensure(stage)
        metrics = write_results(job, all_arms(job), reference_forecasts(job))
        if group.writes:
            write_page(job)
    return RunResult(path, metrics)


def open_job(
    config: Config,
    folder: RunFolder,
    *,
    data: Data | None = None,
    model: ModelFactory | None = None,
    paradigm: Paradigm | None = None,
    reporter: Reporter | None = None,
) -> Job:
    """Load the data and make the job; the folder must be locked, and nothing is written to it."""
    from graphprune.data.load import load_data
    from graphprune.embed.precomputed import read_embeddings
    from graphprune.runtime.devices import resolve_device
    from graphprune.runtime.precision import check_precision
    from graphprune.train.checkpoint import load_weights
    from graphprune.train.optimizer import make_optimizers
    from graphprune.train.paradigms.unsupervised import Unsupervised

    loaded = data if data is not None else load_data(config.data)
    device = resolve_device(config.device)
    job = Job(config, loaded, folder, device, model, paradigm, reporter or Silent())
    # Settings that do not fit the data must fail before anything is trained or written.
    untrained = job.make_model("check")
    for training in (config.seed_training, config.training.optimization()):
        check_precision(device, training.precision)
        make_optimizers(untrained, training)
        method = job.paradigm_for(training)
        if isinstance(method, Unsupervised):
            for file in method.embeddings:
                read_embeddings(Path(file), len(loaded.train))
        if training.augment and not loaded.info.shows_images:
            raise InputError(
                f"augment: {', '.join(training.augment)} is for images, and a sample of {loaded.name} is "
                f"{list(loaded.info.input_shape)}; set augment: []"
            )
    full_runs = config.oracle is not None or config.audit is not None
    lengths = {config.seed_training.epochs, *([config.training.epochs] if full_runs else [])}
    for score in config.scores:
        for epochs in lengths:
            facts = JobFacts(epochs=epochs, num_classes=loaded.info.num_classes)
            create("score", score.name, **score.options).check(facts)
    embedding = config.embedding
    if embedding.source == "file" and embedding.path is not None:
        read_embeddings(embedding.path, len(loaded.train))
    if embedding.source == "reference" and embedding.weights is not None:
        load_weights(job.make_model("check", method=embedding.model), embedding.weights)
    if embedding.source == "statistics" and loaded.info.kind != "forecasting":
        raise InputError("embedding.source: statistics is for windows of sensor data; use seed_model")
    if config.graph.k >= len(loaded.train):
        raise InputError(
            f"graph.k is {config.graph.k} but there are {len(loaded.train)} samples; choose a smaller k"
        )
    return job
