"""Graphs of windows: nearest neighbors plus links between successive windows and between linked sensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.windows import Granularity, WindowSamples
from graphprune.errors import InputError
from graphprune.graph.knn import KNNGraph
from graphprune.graph.points import Points
from graphprune.graph.refine import exact_distances

Ids = npt.NDArray[np.int64]
_BLOCK = 16_384


def spatiotemporal_graph(
    knn: KNNGraph,
    ids: Ids,
    *,
    granularity: Granularity = "network",
    n_sensors: int,
    links: npt.NDArray[Any] | None = None,
    temporal_hops: int = 1,
    sensor_links: int = 4,
    knn_weight: float = 1.0,
    temporal_weight: float = 1.0,
    sensor_weight: float = 1.0,
) -> KNNGraph:
    """Adds links to the kNN graph of windows: to the windows before and after, and to linked sensors at the same start.

    The weight of a kNN link is ``knn_weight`` times its weight in ``knn``, that of a temporal link is
    ``temporal_weight``, and that of a sensor link is ``sensor_weight`` times its strength. A link of two kinds occurs
    once, with the sum of both weights. Temporal and sensor links of weight 0 are omitted.

    Args:
        knn: Nearest neighbors of the N windows, with embeddings (for the distances of the new links).
        ids: Their ids ``[N]`` int64, ascending.
        granularity: ``network`` (``id = start``) or ``sensor`` (``id = start * n_sensors + sensor``).
        n_sensors: Sensors of the series.
        links: Strengths between sensors ``[n_sensors, n_sensors]`` (see `link_strengths`), or None.
        temporal_hops: Windows linked on either side; one hop is the smallest difference of two starts
            (default: 1).
        sensor_links: Strongest linked sensors per sensor-time window (default: 4).

    Returns:
        A graph with ``weights``. Its rows are ascending by distance and padded with the own row, ``inf`` and 0.

    Cost: O(N (k + e) D) time for e added links per row, O(N (k + e)) memory.
    """
    if len(ids) != knn.n:
        raise InputError(f"the graph has {knn.n} samples but {len(ids)} ids; pass one id per sample")
    for name, weight in (("knn", knn_weight), ("temporal", temporal_weight), ("sensor", sensor_weight)):
        if not weight >= 0:
            raise InputError(f"{name}_weight is {weight:g}; it must not be negative")
    added = [(torch.empty(knn.n, 0, dtype=torch.int64), torch.empty(knn.n, 0))]
    if temporal_weight > 0:
        rows = temporal_rows(ids, granularity=granularity, n_sensors=n_sensors, hops=temporal_hops)
        added.append((rows, torch.full(rows.shape, temporal_weight)))
    if sensor_weight > 0 and granularity == "sensor" and links is not None:
        rows, strengths = sensor_rows(ids, n_sensors=n_sensors, links=links, count=sensor_links)
        added.append((rows, sensor_weight * strengths))
    extra = torch.cat([rows for rows, _ in added], dim=1)
    extra_weights = torch.cat([weights for _, weights in added], dim=1)
    return _merged(knn, extra, extra_weights, knn_weight)


def temporal_rows(ids: Ids, *, granularity: Granularity, n_sensors: int, hops: int = 1) -> Tensor:
    """Rows of the windows of the same sensor before and after each window: ``[N, 2 hops]`` int64, -1 for none.

    >>> temporal_rows(np.array([0, 3, 6, 12]), granularity="network", n_sensors=5).tolist()
    [[-1, 1], [0, 2], [1, -1], [-1, -1]]
    """
    per_start = n_sensors if granularity == "sensor" else 1
    starts = np.unique(ids // per_start)
    stride = int(np.diff(starts).min()) if len(starts) > 1 else 1
    offsets = np.array([side * hop for hop in range(1, hops + 1) for side in (-1, 1)], dtype=np.int64)
    return _rows_of(ids, ids[:, None] + offsets * stride * per_start)


def sensor_rows(
    ids: Ids, *, n_sensors: int, links: npt.NDArray[Any], count: int = 4
) -> tuple[Tensor, Tensor]:
    """Rows of the most strongly linked sensors at the same start, for sensor-time windows.

    Args:
        ids: ``[N]`` int64 ascending, ``start * n_sensors + sensor``.
        n_sensors: Sensors of the series.
        links: Strengths ``[n_sensors, n_sensors]``; 0 means no link.
        count: Largest number of links per sensor; ties go to the lower sensor.

    Returns:
        Rows ``[N, c]`` int64, -1 for none, and strengths ``[N, c]`` float32, 0 for none.
    """
    if links.shape != (n_sensors, n_sensors):
        raise InputError(f"links are {list(links.shape)}; pass strengths [{n_sensors}, {n_sensors}]")
    others = np.where(np.eye(n_sensors, dtype=bool), 0, links)
    strongest = np.argsort(-others, axis=1, kind="stable")[:, :count]
    strengths = np.take_along_axis(others, strongest, axis=1)
    start, sensor = np.divmod(ids, n_sensors)
    rows = _rows_of(ids, start[:, None] * n_sensors + strongest[sensor])
    weights = torch.from_numpy(strengths[sensor].astype(np.float32))
    rows[weights <= 0] = -1
    return rows, weights.masked_fill(rows < 0, 0)


def linked_windows(samples: WindowSamples, ids: Ids | None = None) -> Tensor | None:
    """`sensor_rows` among ``ids`` (default: all) of the samples.

    None for windows of the whole network, and for series without links.
    """
    links = samples.series.links if samples.granularity == "sensor" else None
    if links is None:
        return None
    return sensor_rows(samples.ids if ids is None else ids, n_sensors=samples.n_sensors, links=links)[0]


def _rows_of(ids: Ids, wanted: Ids) -> Tensor:
    """Rows of ``wanted`` in the ascending ``ids``, -1 for absent ids."""
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return torch.from_numpy(np.where(ids[at] == wanted, at, -1))


def _merged(knn: KNNGraph, extra: Tensor, extra_weights: Tensor, knn_weight: float) -> KNNGraph:
    """The graph with the links to rows ``extra [N, e]`` added; -1 is no link."""
    if knn.embeddings is None:
        raise InputError(
            "the graph has no embeddings for the distances of new links; load it with embeddings="
        )
    points = Points(knn.embeddings, knn.metric, device="cpu")
    scale = points.scale**2 if knn.metric == "inner" else points.scale
    link_weights = knn.link_weights()
    parts = []
    for rows in torch.split(torch.arange(knn.n), _BLOCK):
        near = knn.indices[rows].to(torch.int64)
        lengths = knn.distances[rows]
        weights = knn_weight * link_weights[rows]
        more, more_weights = extra[rows], extra_weights[rows]
        # [rows, added, k]: whether an added link already exists, as the k-th neighbor.
        same = (more[:, :, None] == near[:, None]) & lengths.isfinite()[:, None]
        weights = weights + (same * more_weights[:, :, None]).sum(dim=1)
        absent = (more < 0) | same.any(dim=2)
        more = torch.where(absent, rows[:, None], more)
        more_lengths = exact_distances(points, points.take(rows), more, excluded=absent) * scale
        parts.append(
            (
                torch.cat([near, more], dim=1),
                torch.cat([lengths, more_lengths], dim=1),
                torch.cat([weights, more_weights.masked_fill(absent, 0)], dim=1),
            )
        )
    indices, distances, weights = (torch.cat(part) for part in zip(*parts, strict=True))
    distances, order = distances.sort(dim=1, stable=True)
    width = max(1, int(distances.isfinite().sum(dim=1).max()))
    order = order[:, :width]
    return KNNGraph(
        indices.gather(1, order).to(knn.indices.dtype),
        distances[:, :width].contiguous(),
        knn.metric,
        knn.embeddings,
        weights.gather(1, order),
        knn.recall,
    )
