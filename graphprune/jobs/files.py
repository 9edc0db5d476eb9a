"""Single stages on files: the work of the commands other than `run`."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config.base import Method
from graphprune.config.job import Config
from graphprune.config.load import load_config, parse_values
from graphprune.embed.precomputed import read_embeddings, stored_ids
from graphprune.errors import InputError
from graphprune.files import read_json, read_npy, read_npz, write_bytes, write_text
from graphprune.graph.knn import KNNGraph, refuse_other_files
from graphprune.interchange.files import (
    SCORES,
    SELECTIONS,
    read_scores,
    read_selection,
    write_scores,
    write_selection,
)
from graphprune.jobs.job import Reporter
from graphprune.jobs.run_files import RunFiles
from graphprune.jobs.run_folder import RunFolder
from graphprune.options import check_options
from graphprune.registry import check_method, create
from graphprune.runtime.devices import resolve_device
from graphprune.runtime.paths import check_out, files_named_in
from graphprune.runtime.version import __version__
from graphprune.table import ScoreTable, locate, require_ids, require_same_data
from graphprune.train.process_group import ProcessGroup

if TYPE_CHECKING:
    from graphprune.extrapolate.base import EpochSignals

Ids = npt.NDArray[np.int64]


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


def score_alone(trajectories: Path, name: str, out: Path, options: list[str]) -> dict[str, Any]:
    """Compute scores from the user's own training logs."""
    from graphprune.scores.trajectories import scores_from_trajectories

    check_out(out, SCORES, inputs=[trajectories])
    score = create("score", name, **parse_options("score", name, options))
    arrays = read_npz(trajectories)
    try:
        ids = _integers(arrays["ids"], "ids") if "ids" in arrays else None
        if ids is not None and len(np.unique(ids)) != len(ids):
            raise InputError("duplicate ids; ids must be unique")
        values = scores_from_trajectories(
            score, arrays.get("labels"), probs=arrays.get("probs"), p_true=arrays.get("p_true"), ids=ids
        )
        ids = np.arange(len(values), dtype=np.int64) if ids is None else ids
        measured = np.ones(len(values), dtype=bool)
        table = ScoreTable(ids, np.asarray(values), measured, None, {"score": name, "versions": __version__})
    except InputError as error:
        raise InputError(f"{trajectories}: {error}") from error
    write_scores(table, out)
    return {"n": len(table), "score": name, "out": str(out)}


def graph_alone(
    embeddings: Path,
    out: Path,
    *,
    k: int,
    metric: Any,
    backend: Any,
    device: str,
    seed: int,
    options: list[str],
) -> dict[str, Any]:
    """Build the kNN graph of an embedding file."""
    check_out(out, ())
    if options:
        raise InputError("graph has no --set options; use --k, --metric and --backend")
    where = resolve_device(device)
    refuse_other_files(out)
    points = read_embeddings(embeddings)
    graph = KNNGraph.build(points, k=k, metric=metric, backend=backend, device=where, seed=seed)
    graph.save(out)
    return read_json(out / "graph.json")  # type: ignore[no-any-return]


def extrapolate_alone(
    graph: Path,
    embeddings: Path,
    seeds: Path,
    method: str,
    out: Path,
    *,
    labels: Path | None,
    probes: Path | None,
    short_run: Path | None,
    ids: Path | None,
    options: list[str],
    seed: int,
) -> dict[str, Any]:
    """Predict the scores of all samples from a file of seed scores."""
    from graphprune.extrapolate.base import Inputs
    from graphprune.jobs.stages.extrapolate import fit_extrapolator

    check_out(out, SCORES, inputs=[embeddings, seeds, labels, probes, short_run, ids])
    chosen = parse_options("extrapolator", method, options)
    points = torch.from_numpy(np.array(read_embeddings(embeddings)))
    n = len(points)
    sample_ids, order = _sample_ids(ids, n)
    if ids is not None and (np.diff(order) < 0).any():
        raise InputError(
            f"{ids}: ids must be ascending; sort them, and the rows of --embeddings and --graph with them"
        )
    own = stored_ids(embeddings)
    if own is not None and ids is not None and (own != sample_ids).any():
        raise InputError(
            f"{ids} and {embeddings} hold different ids; remove --ids to use the ids of {embeddings}"
        )
    sample_ids = sample_ids if own is None else own
    table = read_scores(seeds)
    inputs = Inputs(
        graph=KNNGraph.load(graph, embeddings=points),
        embeddings=points,
        ids=sample_ids,
        labels=None if labels is None else torch.from_numpy(_integers(read_npy(labels), str(labels))),
        probes=None if probes is None else _probabilities(probes),
        short_run=None if short_run is None else _short_run(short_run),
    )
    fitted = fit_extrapolator(Method(name=method, **chosen), inputs, table.ids, table.values, seed)
    values, std = fitted.predict(return_std=True)
    # Extrapolators compute in float32; measured scores keep their precision.
    values = values.astype(np.result_type(values, table.values))
    values[locate(sample_ids, table.ids, str(seeds))] = table.values
    measured = np.isin(sample_ids, table.ids, assume_unique=True)
    metadata = {
        **table.metadata,
        "extrapolator": repr(fitted),
        "graph": str(graph),
        "embedding": str(embeddings),
    }
    write_scores(ScoreTable(sample_ids, values, measured, std, metadata), out)
    return {
        "measured": int(measured.sum()),
        "predicted": int((~measured).sum()),
        "method": method,
        "out": str(out),
    }


def evaluate_alone(predicted: Path, truth: Path, *, seed: int, options: list[str]) -> dict[str, Any]:
    """Compute the agreement of the predicted scores with the true ones."""
    from graphprune.evaluation.agreement import evaluate

    settings = parse_values(options)
    check_options("evaluate", evaluate, settings, only=("n_bootstrap", "block"))
    table, true = read_scores(predicted), read_scores(truth)
    table.require_same_data(true)
    chosen = table.rows(~table.measured)
    if not len(chosen):
        raise InputError(
            f"{predicted} has no row with source = predicted; pass the output of graphprune extrapolate"
        )
    reference = true.values[true.rows_of(chosen.ids, f"{truth}: predicted ids")]
    return evaluate(chosen.values, reference, std=chosen.std, seed=seed, **settings).to_dict()


def select_alone(
    scores: Path,
    keep: float,
    rule: str,
    out: Path,
    *,
    labels: Path | None,
    graph: Path | None,
    embeddings: Path | None,
    second_scores: Path | None,
    ids: Path | None,
    options: list[str],
    seed: int,
) -> dict[str, Any]:
    """Select samples from a score file."""
    check_out(out, SELECTIONS, inputs=[scores, labels, embeddings, ids])
    method = create("selection", rule, **parse_options("selection", rule, options))
    table = read_scores(scores)
    if ids is not None:
        sample_ids, order = _sample_ids(ids, len(table))
        if (np.diff(order) < 0).any() or (sample_ids != table.ids).any():
            raise InputError(
                f"{ids}: ids must be those of {scores} in ascending order, as the rows of --labels"
            )
    points = (
        None if embeddings is None else torch.from_numpy(np.array(read_embeddings(embeddings, ids=table.ids)))
    )
    selection = method.select(
        table,
        keep,
        labels=None if labels is None else _integers(read_npy(labels), str(labels)),
        graph=None if graph is None else KNNGraph.load(graph, embeddings=points),
        embeddings=points,
        second_scores=None if second_scores is None else ScoreTable.from_parquet(second_scores),
        seed=seed,
    )
    write_selection(selection, out)
    return {"kept": len(selection), "n": len(table), "rule": rule, "out": str(out)}


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
        with folder.begin():
            write_provenance(job)
        # Products of a whole job that the arm needs must exist in this folder.
        made = (labels, seeds, seed_run, embed, graph, short_run, complexity, extrapolate)
        for module in made if folder.outputs("seeds") else ():
            for stage in module.stages(job):
                folder.declare(stage)
        only = config.model_copy(
            update={
                "arms": (),
                "training": config.training.model_copy(update={"sampler": method if sampler else None}),
            }
        )
        for module in (reference, windows):
            for stage in module.stages(replace(job, config=only)):
                folder.ensure(stage)
        for stage in chain(training_stages(job, arm), error_stages(job, arm)):
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


def parse_options(kind: str, name: str, options: list[str]) -> dict[str, Any]:
    """Parse ``["k=5", "temperature=.inf"]`` as options of a method and check them."""
    parsed = parse_values(options)
    check_method(kind, name, parsed)
    return parsed


def _sample_ids(path: Path | None, n: int) -> tuple[Ids, Ids]:
    """Return the ids ``[N]`` in ascending order, and the row of each."""
    if path is None:
        return np.arange(n, dtype=np.int64), np.arange(n, dtype=np.int64)
    ids = _integers(read_npy(path), str(path))
    if len(ids) != n:
        raise InputError(f"{path} has {len(ids)} ids for {n} samples; it must hold one id per sample")
    if len(np.unique(ids)) != n:
        raise InputError(f"{path}: duplicate ids; ids must be unique")
    order = np.argsort(ids)
    return ids[order], order


def _integers(array: npt.NDArray[Any], what: str) -> Ids:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"{what} is {array.dtype} {list(array.shape)}; it must be integers [N]")
    return require_ids(array, what)


def _probabilities(path: Path) -> torch.Tensor:
    arrays = read_npz(path)
    if "probs" not in arrays or arrays["probs"].ndim != 3:
        raise InputError(f"{path} must hold probs [P, N, C] (it has {', '.join(arrays) or 'nothing'})")
    return torch.from_numpy(arrays["probs"].astype(np.float32))


def _short_run(path: Path) -> EpochSignals:
    from graphprune.extrapolate.base import EpochSignals
    from graphprune.scores.signal_log import OF_CLASSES, OF_FORECASTS, signals_of_probabilities

    arrays = read_npz(path)
    if "probs" in arrays and "labels" in arrays and arrays["probs"].ndim == 3:
        labels = _integers(arrays["labels"], f"{path}: labels")
        probs = torch.from_numpy(arrays["probs"].astype(np.float32))
        return EpochSignals(**signals_of_probabilities(probs, torch.from_numpy(labels)))
    known = {name: arrays[name] for name in (*OF_CLASSES, *OF_FORECASTS) if name in arrays}
    if not known or any(array.ndim != 2 for array in known.values()):
        raise InputError(f"{path} must hold p_true [E, N], or probs [E, N, C] and labels [N]")
    return EpochSignals(**{name: torch.from_numpy(array.astype(np.float32)) for name, array in known.items()})
