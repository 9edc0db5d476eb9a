"""What `collect` kept of a training, and what can be read off it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from graphprune.extrapolate.base import EpochSignals
from graphprune.jobs.stages.looks import late_visits

Array = np.ndarray[Any, Any]
Trace = dict[str, Array]
EPOCHS = 30
# One un-augmented pass over all samples, in full runs: a third of an epoch.
PASS = 1 / (3 * EPOCHS)
SCORES = ("dynamic_uncertainty", "dynamic_uncertainty_online", "tdds")


def load(folder: Path, name: str) -> Trace:
    """The arrays of one training, float32 where they are kept in half precision."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return {
            key: arrays[key].astype(np.float32) if arrays[key].dtype == np.float16 else arrays[key]
            for key in arrays
        }


def target(run: Trace, score: str) -> Array:
    """The seeds' scores; a seed run records online, so the online score stands in for the official one."""
    return run["tdds" if score == "tdds" else "dynamic_uncertainty_online"]


def passes_of(run: Trace, count: int) -> tuple[Array, Array]:
    """True-label probabilities and entropies ``[count, N]`` of the last evaluation passes."""
    made = ~np.isnan(run["trace_p_true"][:, 0])
    return run["trace_p_true"][made][-count:], run["trace_entropy"][made][-count:]


def last_visits(trace: Array, visits: int) -> Array:
    """The last training visits ``[visits, N]`` of a trace ``[E, N]`` with NaN where there was none."""
    order = np.argsort(np.isnan(trace), axis=0, kind="stable")
    counts = (~np.isnan(trace)).sum(axis=0)
    rows = np.stack([np.clip(counts - 1 - back, 0, None) for back in reversed(range(visits))])
    found = np.take_along_axis(np.take_along_axis(trace, order, axis=0), rows, axis=0)
    missing = np.stack([counts <= back for back in reversed(range(visits))])
    return np.where(missing, np.nan, found)


def background_of(job: str) -> float:
    """Other samples per seed and epoch that a job such as ``rot10`` or ``rot05-r3`` trains on."""
    if not job.startswith("rot"):
        return 0.0
    return float(job.split("-r")[1]) if "-r" in job else 1.0


def looks_of(run: Trace, name: str) -> EpochSignals:
    """Three passes, and with a background the late training visits, as in a job."""
    p, entropy = passes_of(run, 3)
    seeds, n = len(run["rows"]), p.shape[1]
    visits = late_visits(EPOCHS, background_of(name) * seeds / (n - seeds))
    if visits:
        p = np.concatenate([last_visits(run["online_p_true"], visits), p])
        entropy = np.concatenate([last_visits(run["online_entropy"], visits), entropy])
    return EpochSignals(p_true=torch.from_numpy(p), entropy=torch.from_numpy(entropy))


def crossfitted(halves: tuple[Trace, Trace]) -> Trace:
    """One seed run out of two that trained on a half each: nobody is looked at by a model that trained on it.

    Seeds keep the scores of their own half's run and are looked at by the other; all other samples get the mean
    of both looks. Embeddings stand side by side, each of length 1.
    """
    first, second = halves
    joined: Trace = {"rows": np.concatenate([first["rows"], second["rows"]]), "labels": first["labels"]}
    for key in ("tdds", "dynamic_uncertainty_online"):
        joined[key] = np.concatenate([first[key], second[key]])
    for key in ("trace_p_true", "trace_entropy"):
        mean = (first[key] + second[key]) / 2
        mean[:, first["rows"]] = second[key][:, first["rows"]]
        mean[:, second["rows"]] = first[key][:, second["rows"]]
        joined[key] = mean
    lengths = [np.linalg.norm(half["embeddings"], axis=1, keepdims=True) for half in halves]
    joined["embeddings"] = np.hstack(
        [half["embeddings"] / each for half, each in zip(halves, lengths, strict=True)]
    )
    order = np.argsort(joined["rows"])
    for key in ("rows", "tdds", "dynamic_uncertainty_online"):
        joined[key] = joined[key][order]
    return joined
