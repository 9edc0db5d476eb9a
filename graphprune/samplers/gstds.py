"""GSTDS: spectral selection on the graph of each batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, InstanceOf
from torch import Tensor

from graphprune.errors import InputError
from graphprune.graph.knn import KNNGraph
from graphprune.graph.laplacian import batch_links, similarity
from graphprune.graph.spectral import fiedler_vector
from graphprune.options import Count, Epochs, Part, Seed
from graphprune.registry import register
from graphprune.samplers.base import EpochSampler


@register("sampler", "gstds", source="after Sharifi & Harati, arXiv 2507.04269 (2025)", status="ours")
class GSTDS(EpochSampler):
    r"""GSTDS: select batch samples by the Fiedler vector of the batch graph.

    This is graphprune's formulation, after Sharifi & Harati (2025); only the abstract was available, and no
    parity is claimed. S contains the clipped cosine similarities of the batch's features, or its part of the
    kNN graph; v is the Fiedler vector of the Laplacian of S. Of B samples, ``ceil((1 - f) B)`` are kept:

    - ``extreme``: the largest :math:`|v|`, the two ends of the batch graph;
    - ``central``: the smallest :math:`|v|`, the samples between the two ends;
    - ``balanced``: the largest positive and the largest negative entries, in turn.

    The sign of an eigenvector is arbitrary, so no rule depends on it. Disconnected batches have one vector per
    component (see `fiedler_vector`); ties go to the earlier position.

    Args:
        n: Number of samples.
        filter: Fraction f of each batch that is dropped, in [0, 1): one number, or a list with one per epoch whose
            last entry applies to all later epochs (default: 0.5).
        schedule: How a single ``filter`` changes over the epochs: ``constant``, or from 0 to its value as
            ``linear`` or ``cosine`` (default: constant).
        rule: ``extreme``, ``central`` or ``balanced`` (default: extreme).
        kind: Laplacian, ``unnormalised`` or ``symmetric`` (default: unnormalised).
        embeddings: Features of a reference model ``[n, D]``; selection then needs no forward pass.
        graph: The kNN graph, instead of embeddings. Random batches of large data sets contain few of its links, so
            it is only useful for small data sets.

    Without embeddings and graph, the model's own features are used, which costs a forward pass.

    Cost: O(B^2 D + B^3) per step on the CPU.

    Reference: after Sharifi & Harati, arXiv 2507.04269 (2025).

    >>> import torch
    >>> from graphprune.samplers import GSTDS
    >>> sampler = GSTDS(4, filter=0.5, epochs=1, embeddings=torch.tensor([[1.0, 0], [3, 1], [1, 3], [0, 1]]))
    >>> sampler.choose(torch.arange(4)).tolist()  # the two ends of the batch graph
    [0, 3]
    """

    def __init__(
        self,
        n: Count,
        *,
        filter: Part | Annotated[Sequence[Part], Field(min_length=1)] = 0.5,
        schedule: Literal["constant", "linear", "cosine"] = "constant",
        rule: Literal["extreme", "central", "balanced"] = "extreme",
        kind: Literal["unnormalised", "symmetric"] = "unnormalised",
        embeddings: Tensor | None = None,
        graph: InstanceOf[KNNGraph] | None = None,
        epochs: Epochs,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        self.ratios = [float(f) for f in filter] if isinstance(filter, Sequence) else [float(filter)]
        for name, length in (
            ("embeddings", n if embeddings is None else len(embeddings)),
            ("graph", n if graph is None else graph.n),
        ):
            if length != n:
                raise InputError(
                    f"{name} covers {length} samples but the sampler {n}; compute it on the training data"
                )
        self.schedule, self.rule, self.kind = schedule, rule, kind
        self.embeddings, self.graph = embeddings, graph
        self.needs_forward = self.needs_features = embeddings is None and graph is None

    def filter_ratio(self, epoch: int) -> float:
        """The fraction f of each batch that is dropped in an epoch."""
        if self.schedule == "constant" or len(self.ratios) > 1:
            return self.ratios[min(epoch, len(self.ratios) - 1)]
        progress = min(epoch / max(self.epochs - 1, 1), 1.0)
        if self.schedule == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        return self.ratios[0] * progress

    @property
    def batch_keep(self) -> float:
        return 1 - self.filter_ratio(self.epoch)

    def kept_of(self, size: int) -> int:
        # In floating point, (1 - f) * size may lie slightly above an exact integer.
        return max(1, math.ceil(self.batch_keep * size - 1e-9))

    def _epoch_order(self, epoch: int) -> Tensor:
        return self._shuffle(torch.arange(self.n))

    def _choose(self, rows: Tensor, losses: Tensor | None, features: Tensor | None, count: int) -> Tensor:
        # Similarities are valid by construction; a graph's link weights may be the user's own.
        checked = self.graph is None
        vector = fiedler_vector(self._links(rows, features), kind=self.kind, checked=checked).vector
        return positions(vector, count, self.rule).to(rows.device)

    def _links(self, rows: Tensor, features: Tensor | None) -> Tensor:
        if self.graph is not None:
            return batch_links(self.graph, rows.cpu())
        if self.embeddings is not None:
            features = torch.as_tensor(self.embeddings)[rows.to(torch.as_tensor(self.embeddings).device)]
        if features is None or len(features) != len(rows):
            got = "none" if features is None else f"{len(features)}"
            raise InputError(
                f"GSTDS needs features of {len(rows)} rows, got {got}; pass features= or create it with embeddings"
            )
        return similarity(features.detach().flatten(1)).cpu()


def positions(vector: Tensor, count: int, rule: str) -> Tensor:
    """``count`` positions of a Fiedler vector ``[B]``, selected by a rule of `GSTDS`.

    >>> positions(torch.tensor([0.6, 0.1, -0.7, 0.2]), 2, "balanced").tolist()
    [2, 0]
    >>> positions(torch.tensor([0.6, 0.1, 0.7, -0.2]), 2, "extreme").tolist()
    [2, 0]
    """
    size = vector.abs()
    if rule == "central":
        return torch.sort(size, stable=True).indices[:count]
    if rule == "extreme":
        return torch.sort(size, descending=True, stable=True).indices[:count]
    # Rank of each sample among those with the same sign; sorting by rank alternates the two signs.
    order = torch.sort(size, descending=True, stable=True).indices
    positive = (vector >= 0)[order]
    rank = torch.where(positive, positive.cumsum(0), (~positive).cumsum(0))
    return order[torch.sort(rank, stable=True).indices[:count]]
