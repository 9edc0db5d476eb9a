"""What a graph's spectrum is used for: coordinates, clusters and cuts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from graphprune.errors import InputError
from graphprune.graph.kmeans import kmeans
from graphprune.graph.laplacian import Kind, check_links, components
from graphprune.graph.spectral import eigenvectors, fiedler_vector
from graphprune.runtime.rng import generator


class Cut(NamedTuple):
    """Two sides of a graph.

    Attributes:
        side: Whether a node is on the side of the larger entries ``[n]`` bool.
        conductance: Weight of the links cut / the smaller of the sides' volumes.
    """

    side: Tensor
    conductance: float


def spectral_embedding(links: Any, dimensions: int, *, kind: Kind = "symmetric") -> Tensor:
    """Coordinates ``[n, dimensions]``: the eigenvectors behind the first.

    In a disconnected graph the first of them tell the components apart, see `eigenvectors`.

    Reference: Belkin & Niyogi, Neural Computation 2003.
    """
    return eigenvectors(links, dimensions + 1, kind=kind)[1][:, 1:]


def spectral_clustering(links: Any, clusters: int, *, seed: int = 0, restarts: int = 8) -> Tensor:
    """Labels ``[n]`` int64: k-means on the row-normalised first ``clusters`` eigenvectors.

    Clusters are numbered by size, the largest is 0. With as many components as clusters they are the
    components.

    Reference: Ng, Jordan & Weiss, NeurIPS 2001.
    """
    _, vectors = eigenvectors(links, clusters, kind="symmetric")
    points = normalize(vectors.double())
    draws = generator(seed, "spectral clustering")
    _, labels = kmeans(points, clusters, generator=draws, iterations=100, restarts=restarts)
    sizes = torch.bincount(labels, minlength=clusters)
    rank = torch.empty(clusters, dtype=torch.int64)
    rank[torch.argsort(sizes, descending=True, stable=True)] = torch.arange(clusters)
    return rank[labels]


def sweep_cut(links: Any, vector: Tensor | None = None) -> Cut:
    r"""The best of the n - 1 cuts between neighbours in the order of a vector.

    .. math:: \phi(S) = \frac{\mathrm{cut}(S, \bar S)}{\min(\mathrm{vol}\, S, \mathrm{vol}\, \bar S)}, \qquad
        \phi \le \sqrt{2 \lambda_2}

    The bound is Cheeger's, for the random-walk Fiedler vector, which is taken if ``vector [n]`` is None. A
    disconnected graph is then cut between its largest component and the rest, at no cost.

    Raises:
        InputError: fewer than 2 nodes or no links.

    Cost: O(links + n log n) beside the eigenvector.
    """
    from scipy.sparse import coo_array

    links = check_links(links)
    n = links.shape[0]
    degrees = np.asarray(links.sum(axis=1), dtype=np.float64).reshape(-1)
    if n < 2 or not degrees.any():
        raise InputError(f"a graph of {n} nodes and {int((degrees > 0).sum())} of them linked cannot be cut")
    if vector is None:
        label = components(links)
        if label.any():
            return Cut(torch.from_numpy(label == 0), 0.0)
        vector = fiedler_vector(links, kind="random_walk").vector
    if len(vector) != n or not bool(vector.isfinite().all()):
        raise InputError(
            f"the vector has {len(vector)} entries for {n} nodes; give one finite entry per node"
        )
    order = torch.argsort(vector, stable=True).numpy()
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    pairs = coo_array(links)
    first, last = place[pairs.row], place[pairs.col]
    once = first < last
    # A link is cut by every threshold between its ends: a difference array adds up all of them at once.
    change = np.bincount(first[once], pairs.data[once], minlength=n)
    change -= np.bincount(last[once], pairs.data[once], minlength=n)
    below = degrees[order].cumsum()
    smaller = np.minimum(below, below[-1] - below)[:-1]
    cut = np.maximum(change.cumsum()[:-1], 0)
    conductance = np.where(smaller > 0, cut / np.where(smaller > 0, smaller, 1), np.inf)
    best = int(np.argmin(conductance))
    return Cut(torch.from_numpy(place > best), float(conductance[best]))
