"""Control: every sample gets the mean score of the seeds of its class."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.registry import register


@register("extrapolator", "class_mean", source="graphprune", status="ours", role="control")
class ClassMean(Extrapolator):
    """Class mean: predict the mean score of the seeds of the sample's class.

    The standard deviation is that of the seeds of the class. A class with one seed gets the deviation pooled over all
    classes; a class without seeds gets the mean and the deviation of all seeds.

    Raises:
        InputError: no labels.

    Cost: O(N) time and memory.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, labels=torch.tensor([0, 0, 1, 1]))
    >>> ClassMean().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0., 0., 1., 1.], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("labels",)
    reads: ClassVar[tuple[str, ...]] = ("scores",)

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        assert inputs.labels is not None
        classes, self.codes_ = torch.unique(inputs.labels, return_inverse=True)
        code = self.codes_[seed_rows]
        count = torch.bincount(code, minlength=len(classes))
        sums = torch.bincount(code, seed_scores, minlength=len(classes)).to(torch.float32)
        self.means_ = torch.where(count > 0, sums / count.clamp(min=1), seed_scores.mean())
        deviations = (seed_scores - self.means_[code]).square()
        squares = torch.bincount(code, deviations, minlength=len(classes)).to(torch.float32)
        pooled = squares.sum() / max(1, len(code) - int((count > 0).sum()))
        self.stds_ = torch.where(count > 1, squares / (count - 1).clamp(min=1), pooled).sqrt()
        self.stds_[count == 0] = seed_scores.std()

    def _predict(self) -> Tensor:
        return self.means_[self.codes_]

    def _predict_std(self) -> Tensor:
        return self.stds_[self.codes_]
