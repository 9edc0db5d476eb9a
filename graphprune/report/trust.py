"""Predicted and true scores: data for the plots of their agreement."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphprune.errors import InputError
from graphprune.extrapolate.calibration import calibration, class_bias, coverage90
from graphprune.report.payload import draw_rows, pack, plot_text

POINTS_DRAWN = 400_000
CLASSES_SHOWN = 100


def trust_payload(scatter: dict[str, dict[str, dict[str, Any]]], metrics: dict[str, Any]) -> dict[str, Any]:
    """Data for the script of the page, for each score and method.

    Args:
        scatter: ``{score: {method: {"predicted" [n], "truth" [n], "std" [n] or None, "kind"}}}`` with kind
            ``heldout``, ``oracle`` or ``oracle_clear`` and, optionally, ``labels`` [n] as class names or numbers.
        metrics: The content of `metrics.json`, for the kept-set overlaps.

    At most `POINTS_DRAWN` points are drawn for all methods together; calibration, coverage and bias use all points.

    Raises:
        InputError: the arrays of a method differ in length, or it has no ``truth``.
    """
    panels = sum(len(methods) for methods in scatter.values())
    limit = min(50_000, POINTS_DRAWN // max(panels, 1))
    scores: dict[str, Any] = {}
    for score, methods in scatter.items():
        overlaps = (metrics.get("extrapolation") or {}).get(score, {}).get("methods") or {}
        scores[score] = {
            method: _method(f"scatter of {score} by {method}", raw, overlaps.get(method) or {}, limit)
            for method, raw in methods.items()
        }
    return scores


def _method(what: str, raw: dict[str, Any], agreement: dict[str, Any], limit: int) -> dict[str, Any]:
    predicted = np.asarray(raw["predicted"], dtype=np.float64).reshape(-1)
    columns = {name: raw.get(name) for name in ("truth", "std", "labels")}
    arrays = {
        name: None if column is None else np.asarray(column).reshape(-1) for name, column in columns.items()
    }
    for name, column in arrays.items():
        if column is not None and len(column) != len(predicted):
            raise InputError(
                f"{what}: received {len(predicted)} predicted but {len(column)} {name}; give one of each per sample"
            )
    truth, std, labels = arrays["truth"], arrays["std"], arrays["labels"]
    if truth is None:
        raise InputError(f"{what} has no 'truth'; leave the method out of the scatter")
    rows = draw_rows(len(predicted), limit)
    bins = calibration(predicted, truth)
    kind = str(raw.get("kind", "heldout"))
    bias = None if labels is None else class_bias(predicted - truth, labels)[:CLASSES_SHOWN]
    return {
        "kind": kind,
        "n": len(predicted),
        "predicted": pack(predicted[rows]),
        "truth": pack(truth[rows]),
        "calibration": {side: [each[side] for each in bins] for side in ("predicted", "truth")},
        "coverage": None if std is None or not len(std) else coverage90(predicted, truth, std),
        "bias": None if bias is None else [{"name": plot_text(n), "n": c, "bias": b} for n, c, b in bias],
        "overlap": (agreement.get(kind) or {}).get("overlap") or {},
    }
