"""Control: order samples by the true-label probability in a short run on all data."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "short_run", source="graphprune", status="ours", role="control")
class ShortRun(RankControl):
    """Short run: order samples by ``1 - p``, where p is the true-label probability in a short run on all data.

    p is the mean over the E epochs of the run. Data without classes is ordered by the mean loss. For values and
    standard deviations, see `RankControl`.

    Raises:
        InputError: no short run.

    Cost: O(E N) time and the short run. It needs no seed run, although the seeds' scores set the scale.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune import KNNGraph
    >>> from graphprune.extrapolate.base import EpochSignals
    >>> x = torch.arange(4.0)[:, None]
    >>> p = torch.tensor([[0.9, 0.3, 0.6, 0.2], [0.9, 0.5, 0.8, 0.2]])  # [epochs, samples]
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, short_run=EpochSignals(p_true=p))
    >>> ShortRun().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.75, 0.25, 1.  ], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("short_run",)
    reads: ClassVar[tuple[str, ...]] = ("short_run",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.short_run is not None
        log = inputs.short_run
        return log.mean("loss") if log.p_true is None else 1 - log.mean("p_true")
