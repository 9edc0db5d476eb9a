"""Control: order samples by EL2N in a short run on all data."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "short_run_el2n", source="graphprune", status="ours", role="control")
class ShortRunEL2N(RankControl):
    """Short-run EL2N: order samples by ``||softmax - onehot||`` in a short run on all data.

    EL2N is the mean over the E epochs of the run. For values and standard deviations, see `RankControl`.

    Raises:
        InputError: no short run, no labels, or a short run without EL2N.

    Cost: O(E N) time and the short run. It needs no seed run, although the seeds' scores set the scale.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune import KNNGraph
    >>> from graphprune.extrapolate.base import EpochSignals
    >>> x = torch.arange(4.0)[:, None]
    >>> run = EpochSignals(el2n=torch.tensor([[0.1, 0.8, 0.4, 1.2]]))  # [epochs, samples]
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, labels=torch.tensor([0, 0, 1, 1]), short_run=run)
    >>> ShortRunEL2N().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.75, 0.25, 1.  ], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("short_run", "labels")
    reads: ClassVar[tuple[str, ...]] = ("short_run",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.short_run is not None
        return inputs.short_run.mean("el2n")
