"""Parts of a job in a run folder: embed the data, train one arm, write the report."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphprune.config.base import Method
from graphprune.config.job import Config
from graphprune.config.load import load_config
from graphprune.errors import InputError
from graphprune.files import read_npy, write_bytes, write_text
from graphprune.interchange.files import (
    read_scores,
    read_selection,
)
from graphprune.jobs.job import Reporter
from graphprune.jobs.run_files import RunFiles
from graphprune.jobs.run_folder import RunFolder
from graphprune.runtime.paths import check_out, files_named_in
from graphprune.table import require_same_data
from graphprune.train.process_group import ProcessGroup

if TYPE_CHECKING:
    pass


def embed_alone(
    config: Config, out: Path, reporter: Reporter, *, source: Path | None = None
) -> dict[str, Any]:
    """Embed the config's data in a run folder next to ``out`` and copy the embeddings to ``out``.

    Args:
        config: The job.
        out: ``.npy`` file to write; ``source`` (the config file) and the files that the config names are refused.
        reporter: Receives the progress.
    """
    from graphprune.jobs.checks import check_names
    from graphprune.jobs.pipeline import open_job
    from graphprune.jobs.provenance import write_provenance
    from graphprune.jobs.stages import embed, labels, seed_run, seeds

    check_out(out, (".npy",), inputs=[source, *files_named_in(config.model_dump())])
    check_names(config)
    folder = RunFolder(out.with_name(out.name + ".run"), on_event=reporter.event)
    with folder.locked():
        job = open_job(config, folder, reporter=reporter)
        with folder.begin():
            write_provenance(job)
        before = (labels, seeds, seed_run) if config.embedding.source == "seed_model" else ()
        for module in (*before, embed):
            for stage in module.stages(job):
                folder.ensure(stage)
        raw = (folder / "embeddings.npy").read_bytes()
    write_bytes(out, raw)
    n, dimensions = read_npy(out, mmap=True).shape
    return {"n": n, "dimensions": dimensions, "out": str(out), "run": str(folder.path)}


def train_alone(
    config: Config,
    out: Path,
    *,
    selection: Path | None,
    sampler: str | None,
    scores: Path | None,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train one arm, named after the sampler or ``selection``, in its own run folder."""
    from graphprune.jobs import paths
    from graphprune.jobs.arms import selection_arm, training_stages
    from graphprune.jobs.checks import check_names, check_sampler
    from graphprune.jobs.pipeline import open_job
    from graphprune.jobs.provenance import write_provenance
    from graphprune.jobs.report import write_results
    from graphprune.jobs.sampler_arms import sampler_arm
    from graphprune.jobs.stages import (
        complexity,
        embed,
        extrapolate,
        graph,
        labels,
        reference,
        seed_run,
        seeds,
        short_run,
        windows,
    )
    from graphprune.jobs.stages.forecasts import error_stages
    from graphprune.jobs.stages.labels import finds_labels

    if (selection is None) == (sampler is None):
        raise InputError("pass either --selection K.parquet or --sampler NAME")
    check_out(out, ())
    folder = RunFolder(out, on_event=reporter.event, team=ProcessGroup.join(config.device))
    chosen = None if selection is None else read_selection(selection)
    configured = config.training.sampler
    if scores is not None and sampler is None:
        raise InputError("--scores requires --sampler; a selection is made from its scores already")
    check_names(config)
    method = (
        configured if configured is not None and configured.name == sampler else Method(name=sampler or "")
    )
    if sampler is not None:
        check_sampler(method, scored=scores is not None)
    table = None if scores is None else read_scores(scores)
    with folder.locked():
        job = open_job(config, folder, reporter=reporter)
        # Labels found by the paradigm affect the scores, but not the data that is trained on here.
        found = config.paradigm is not None and config.paradigm.name == "unsupervised"
        for source in (chosen, table):
            if source is not None and not found:
                require_same_data(source.metadata, {"fingerprint": job.data.fingerprint})
        if config.starts_warm() and not (folder / paths.SEED_MODEL).is_file():
            raise InputError(
                f"training.init: seed needs {folder / paths.SEED_MODEL}, which graphprune run writes; "
                "set training.init: fresh"
            )
        if chosen is not None and selection is not None:
            arm = selection_arm(job, chosen, selection, warm=config.starts_warm())
        else:
            inputs = () if scores is None else (scores,)
            read = None if table is None else lambda: table
            arm = sampler_arm(job, method.name, method, scores=read, inputs=inputs, warm=config.starts_warm())
        own = config.training.model_copy(update={"sampler": method if sampler else None})
        only = replace(job, config=config.model_copy(update={"arms": (), "training": own}))
        asked = [*reference.stages(only), *windows.stages(only)]
        # Products of a whole job that the arm needs must exist in this folder; otherwise nothing is written to it.
        scored = bool(folder.outputs("seeds"))
        made = (
            labels,
            seeds,
            seed_run,
            embed,
            graph,
            *((short_run, complexity, extrapolate) if scored else ()),
        )
        for module in made if scored or not finds_labels(job) else ():
            for stage in module.stages(job):
                folder.declare(stage)
        computed = {product.name for stage in asked for product in stage.products}
        for need in {*arm.needs, *(need for stage in asked for need in stage.needs)} - computed:
            folder.require(need)
        with folder.begin():
            write_provenance(job)
        for stage in chain(asked, training_stages(job, arm), error_stages(job, arm)):
            folder.ensure(stage)
        return write_results(job, [arm], {})


def report_alone(runs: list[Path], out: Path | None) -> Path:
    """Write the report page of one run, or one that compares several runs."""
    from graphprune.data.load import load_data
    from graphprune.jobs.report import read_report_input, refuse_unfinished
    from graphprune.report.compare import compare
    from graphprune.report.html import render

    for run in runs:
        refuse_unfinished(run)
    if out is not None:
        check_out(out, (".html",))
    if len(runs) == 1:
        config = load_config(runs[0] / "config.yaml")
        data = None if config.data.kind == "object" else load_data(config.data)
        page = render(read_report_input(runs[0], config, data))
    else:
        page = compare([read_report_input(run) for run in runs])
    path = out or runs[0] / ("report.html" if len(runs) == 1 else "comparison.html")
    if out is None:
        RunFiles(runs[0]).claim(path)
    write_text(path, page)
    return path
