"""Base class of controls without a fit: one signal per sample, mapped to the scale of the scores by rank."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.runtime.math import middle_rank


class RankControl(Extrapolator):
    r"""Base class of rank controls: a signal gives the order, and the seeds' scores give the values.

    .. math:: \hat s_i = Q_{\mathrm{seeds}}(F(v_i))

    F is the distribution function of the signal v over the unmeasured samples (ties are placed at the middle of their
    step), and Q is the quantile function of the seeds' scores. Measured and predicted scores can therefore be ranked
    together. The standard deviation of every prediction is the root mean square error on the seeds. If the signal
    comes from a model that was trained on the seeds, this error is biased by an unknown amount.

    Cost: O(N log N) time.
    """

    requires: ClassVar[tuple[str, ...]] = ("probes",)

    @abstractmethod
    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        """Computes the signal ``[N]`` float, larger for samples whose score should be larger."""

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        signal = self._signal(inputs, seed_rows, seed_scores)
        unseen = torch.ones(inputs.n, dtype=torch.bool)
        unseen[seed_rows] = False
        share = middle_rank(signal, signal[unseen] if unseen.any() else signal)
        self.values_ = quantile(seed_scores, share)
        self.residual_std_ = float((self.values_[seed_rows] - seed_scores).square().mean().sqrt())

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return torch.full_like(self.values_, self.residual_std_)


def quantile(values: Tensor, shares: Tensor) -> Tensor:
    """Quantiles ``[N]`` float32 of ``values [M]`` at ``shares [N]`` in 0..1, with linear interpolation.

    >>> quantile(torch.tensor([3.0, 1.0]), torch.tensor([0.0, 0.25, 1.0], dtype=torch.float64)).tolist()
    [1.0, 1.5, 3.0]
    """
    ordered = values.to(torch.float64).sort().values
    place = shares * (len(ordered) - 1)
    low = place.floor().to(torch.int64)
    high = (low + 1).clamp(max=len(ordered) - 1)
    return torch.lerp(ordered[low], ordered[high], place - low).to(torch.float32)
