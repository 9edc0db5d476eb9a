"""Link strengths between sensors, from adjacency, distances or correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[Any]

# Weaker links would connect almost all pairs of sensors.
WEAKEST_KERNEL = 0.1


def link_strengths(
    *, adjacency: Matrix | None = None, distance_km: Matrix | None = None, correlation: Matrix | None = None
) -> npt.NDArray[np.float32] | None:
    r"""Symmetric link strengths ``[N, N]`` float32 in [0, 1] with zero diagonal, from the first given input.

    ``adjacency``: the larger value of both directions, divided by the largest value. ``distance_km``:
    :math:`\exp(-d^2 / \sigma^2)` with the standard deviation :math:`\sigma` of all distances, and 0 below 0.1
    (Li et al., ICLR 2018). ``correlation``: its positive part. Values that are not finite mean no link. Returns None
    if no input is given.

    Cost: O(N^2).

    >>> link_strengths(adjacency=np.array([[9.0, 2.0], [4.0, 9.0]])).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if adjacency is not None:
        strengths = _clean(adjacency)
    elif distance_km is not None:
        distances = np.asarray(distance_km, dtype=np.float64)
        apart = ~np.eye(len(distances), dtype=bool) & np.isfinite(distances)
        sigma = float(distances[apart].std()) if apart.any() else 0.0
        # If all distances are equal, all links are equally strong. A missing distance means no link.
        kernel = (
            np.exp(-((distances / sigma) ** 2)) if sigma > 0 else np.isfinite(distances).astype(np.float64)
        )
        strengths = _clean(np.where(kernel >= WEAKEST_KERNEL, kernel, 0))
    elif correlation is not None:
        strengths = _clean(correlation)
    else:
        return None
    largest = float(strengths.max(initial=0))
    if adjacency is not None and largest > 0:
        strengths /= largest
    return strengths.astype(np.float32)


def _clean(matrix: Matrix) -> npt.NDArray[np.float64]:
    values = np.nan_to_num(np.asarray(matrix, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    values = np.maximum(np.maximum(values, values.T), 0)
    np.fill_diagonal(values, 0)
    return values
