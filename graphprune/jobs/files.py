"""Commands that work on files alone: score, graph, extrapolate, evaluate and select."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config.base import Method
from graphprune.config.load import parse_values
from graphprune.embed.precomputed import read_embeddings, stored_ids
from graphprune.errors import InputError
from graphprune.files import read_json, read_npy, read_npz
from graphprune.graph.knn import KNNGraph, refuse_other_files
from graphprune.interchange.files import (
    SCORES,
    SELECTIONS,
    read_scores,
    write_scores,
    write_selection,
)
from graphprune.options import check_options
from graphprune.registry import check_method, create
from graphprune.runtime.devices import resolve_device
from graphprune.runtime.paths import check_out
from graphprune.runtime.version import __version__
from graphprune.table import ScoreTable, locate, require_ids

if TYPE_CHECKING:
    from graphprune.extrapolate.base import EpochSignals

Ids = npt.NDArray[np.int64]


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
