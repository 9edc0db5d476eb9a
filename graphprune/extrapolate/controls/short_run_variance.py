"""Control: order samples by the variance ``p (1 - p)`` in a short run on all data."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "short_run_variance", source="graphprune", status="ours", role="control")
class ShortRunVariance(RankControl):
    """Short-run variance: order samples by ``p (1 - p)``, where p is the true-label probability in a short run.

    p is the mean over the last half of the E epochs of a run on all data. ``p (1 - p)`` is the variance of a draw from
    the prediction being right: it is large where the model is undecided, whereas ``1 - p`` is large where a sample is
    hard. On CIFAR-10 and Tiny-ImageNet a similar order (from evaluation passes) is closer to Dynamic Uncertainty than
    any control (``short6: p(1-p)`` in `experiments/extrapolation_cifar10`). For TDDS on CIFAR-10, and on digits after
    three epochs, ``1 - p`` is closer. For values and standard deviations, see `RankControl`.

    Raises:
        InputError: no short run, no labels, or a short run without true-label probabilities.

    Cost: O(E N) time and the short run. It needs no seed run, although the seeds' scores set the scale.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune import KNNGraph
    >>> from graphprune.extrapolate.base import EpochSignals
    >>> x = torch.arange(4.0)[:, None]
    >>> p = torch.tensor([[0.9, 0.3, 0.6, 0.2], [0.9, 0.5, 0.8, 0.2]])  # [epochs, samples]
    >>> inputs = Inputs(
    ...     KNNGraph.build(x, k=1), x, labels=torch.tensor([0, 0, 1, 1]), short_run=EpochSignals(p_true=p)
    ... )
    >>> ShortRunVariance().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.75, 0.25, 1.  ], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("short_run", "labels")
    reads: ClassVar[tuple[str, ...]] = ("short_run",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.short_run is not None
        p = inputs.short_run.mean("p_true", last=0.5)
        return p * (1 - p)
