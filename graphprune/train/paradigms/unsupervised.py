"""Training without given labels: labels are inferred from embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from graphprune.errors import InputError
from graphprune.files import must_exist
from graphprune.options import Count, NonNegative, Part, Rate
from graphprune.registry import register
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.math import standardize
from graphprune.runtime.rng import generator
from graphprune.train.paradigms.supervised import Supervised

_BATCH = 4096


@register(
    "paradigm",
    "unsupervised",
    source="after Gadetsky et al., ICML 2024, arXiv 2406.07236 (TURTLE)",
    status="ours",
)
class Unsupervised(Supervised):
    r"""Unsupervised: train on labels inferred from embeddings, so that scores and selection need no given labels.

    The method searches for the labeling :math:`\tau_\theta(x) = \frac{1}{K}\sum_k \mathrm{softmax}(\theta_k z_k)` over
    K embeddings :math:`z_k` that linear classifiers :math:`w_k` predict best, while all classes are used:

    .. math:: \min_\theta \sum_k \mathrm{CE}(w_k^*(\theta)\, z_k, \tau_\theta) - \gamma H(\bar\tau_\theta),
        \qquad w_k^* \approx \arg\min_w \mathrm{CE}(w z_k, \tau_\theta)

    The label of a sample is the largest entry of :math:`\tau`. This is graphprune's formulation, after Gadetsky et al.
    (2024). As in the paper, w results from ``inner`` gradient steps and is constant in the outer gradient. We differ
    in that embeddings are standardized, that w continues from its previous value with the largest stable step
    length, in batches of 4,096 samples, and in the default number of steps and learning rate. Scores come from a
    network trained on these labels, whereas the extrapolation paper uses the encoder's soft labels. The final
    trainings use the labels of the data: only the kept samples need them.

    Args:
        classes: Number of labels (default: the data's number of classes).
        embeddings: ``[N, D]`` .npy files of pretrained models, in the order of the training samples' ids
            (default: the inputs themselves, flattened, which suits only simple data).
        gamma: Weight of the entropy, which keeps all classes in use (default: 10).
        iterations: Outer steps (default: 300).
        inner: Steps of the classifiers per outer step (default: 10).
        lr: Learning rate of the outer steps, by Adam (default: 0.03).
        label_smoothing: Label smoothing of the cross-entropy on the inferred labels.

    Cost: O(iterations * inner * B * D * C); no network is trained for the labels.
    """

    def __init__(
        self,
        *,
        classes: Annotated[int, Field(ge=2, le=100_000)] | None = None,
        embeddings: Sequence[str] | str | None = None,
        gamma: NonNegative = 10.0,
        iterations: Count = 300,
        inner: Count = 10,
        lr: Rate = 0.03,
        label_smoothing: Part = 0.0,
    ) -> None:
        super().__init__(label_smoothing=label_smoothing)
        self.classes, self.gamma, self.iterations, self.inner, self.lr = classes, gamma, iterations, inner, lr
        files = [embeddings] if isinstance(embeddings, str) else list(embeddings or ())
        self.embeddings = [Path(file) for file in files]

    def check(self, job: JobFacts) -> None:
        for file in self.embeddings:
            must_exist(file)
        if job.n is not None and self.classes is not None and job.n < self.classes:
            raise InputError(f"unsupervised: {job.n} samples cannot make {self.classes} classes; use fewer")

    def find_labels(self, spaces: Sequence[Tensor], classes: int, *, seed: int) -> Tensor:
        """Infers labels ``[N]`` int64 from embeddings ``[N, D_k]`` float32.

        Raises:
            InputError: there are fewer samples than classes, or all embeddings are equal.
        """
        n = len(spaces[0])
        if n < classes:
            raise InputError(f"unsupervised: {n} samples cannot make {classes} classes; use fewer")
        draws = generator(seed, "turtle", device=spaces[0].device)
        points = [standardize(space.to(torch.float32)) for space in spaces]
        encoders = [torch.randn(z.shape[1], classes, generator=draws, device=z.device) for z in points]
        classifiers = [torch.zeros_like(weight) for weight in encoders]
        if not all(bool(z.any()) for z in points):
            raise InputError("unsupervised: all samples have the same embedding; pass embeddings that differ")
        # The largest step length with which gradient descent on a cross-entropy cannot diverge.
        lengths = [2 / float(torch.linalg.matrix_norm(z.T @ z / n, 2)) for z in points]
        for weight in encoders:
            weight.requires_grad_(True)
        outer = torch.optim.Adam(encoders, self.lr)
        for _ in range(self.iterations):
            rows = torch.randperm(n, generator=draws)[:_BATCH]
            batch = [space[rows] for space in points] if n > _BATCH else points
            target = soft_labels(batch, encoders)
            for z, classifier, length in zip(batch, classifiers, lengths, strict=True):
                for _ in range(self.inner):
                    classifier -= length * (z.T @ (softmax(z @ classifier, dim=1) - target.detach())) / len(z)
            mean = target.mean(dim=0)
            entropy = -(mean * mean.clamp_min(1e-12).log()).sum()
            outer.zero_grad()
            loss: Any = _disagreement(batch, classifiers, target) - self.gamma * entropy
            loss.backward()
            outer.step()
        with torch.no_grad():
            return soft_labels(points, encoders).argmax(dim=1)


def soft_labels(spaces: Sequence[Tensor], encoders: Sequence[Tensor]) -> Tensor:
    """The labeling ``[N, C]``: the mean softmax over the embeddings, with weight-normalized columns."""
    parts = [softmax(z @ (w / w.norm(dim=0)), dim=1) for z, w in zip(spaces, encoders, strict=True)]
    return torch.stack(parts).mean(dim=0)


def _disagreement(spaces: Sequence[Tensor], classifiers: Sequence[Tensor], target: Tensor) -> Tensor:
    """The sum of the classifiers' cross-entropies with the labeling."""
    return torch.stack([cross_entropy(z @ w, target) for z, w in zip(spaces, classifiers, strict=True)]).sum()
