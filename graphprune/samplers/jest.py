"""Train on what the learner has yet to learn and a reference has learned."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Count, Epochs, Keep, Seed
from graphprune.registry import register
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.warm import check_scores


@register("sampler", "jest", source="Evans et al., NeurIPS 2024, arXiv 2406.17711", status="confirmed")
class JEST(EpochSampler):
    r"""JEST: keep the most learnable part of each meta-batch, jointly where losses couple pairs.

    Learnability is the learner's loss minus the reference model's. For losses of single samples (``choose``
    gets ``[B]``) that is the form of RHO-loss: the top ones, or a Gumbel draw of them. For losses that
    couple pairs (``choose`` gets ``[B, B]``, the learnability of each pair, e.g. of a contrastive loss) the
    batch is built by blocked Gibbs sampling, see `joint_draw`.

    Args:
        n: Number of samples.
        reference_losses: The reference model's losses ``[n]`` float32 (coupled losses: None).
        keep: Fraction of a meta-batch that is trained on, in (0, 1] (default: 0.2, a filter ratio of 0.8).
        draw: ``gumbel`` (softmax draw without replacement; every sample keeps a chance) or ``top`` (default:
            gumbel).
        chunks: Blocks of the joint draw (default: 16).

    Cost: O(B log B) a step; coupled: O(B^2). The reference's forward pass over the data is not free either.
    """

    requires = ("reference_losses",)

    def __init__(
        self,
        n: Count,
        *,
        reference_losses: Tensor | None = None,
        keep: Keep = 0.2,
        draw: Literal["gumbel", "top"] = "gumbel",
        chunks: Annotated[int, Field(ge=1, le=100_000)] = 16,
        epochs: Epochs = 1,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        self.keep, self.draw, self.chunks = keep, draw, chunks
        known = check_scores(reference_losses, n, "reference_losses")
        self.reference_losses = None if known is None else known.float()
        self._takes_pairs = known is None

    @property
    def batch_keep(self) -> float:
        return self.keep

    def _epoch_order(self, epoch: int) -> Tensor:
        return self._shuffle(torch.arange(self.n))

    def _choose(self, rows: Tensor, losses: Tensor | None, features: Tensor | None, count: int) -> Tensor:
        if losses is None:
            raise InputError("jest chooses by losses; pass those of a forward pass")
        draws = self._step_generator()
        if losses.dim() == 2:
            return joint_draw(losses, count, self.chunks, draws)
        if self.reference_losses is None:
            raise InputError("jest needs reference_losses; pass the reference model's loss of each sample")
        self.reference_losses = self.reference_losses.to(rows.device)
        learnability = losses - self.reference_losses[rows]
        learnability = learnability.where(learnability.isfinite(), -torch.inf)
        if self.draw == "gumbel":
            learnability = learnability + _gumbel(len(rows), draws).to(rows.device, non_blocking=True)
        return torch.topk(learnability, count).indices


def joint_draw(learnability: Tensor, count: int, chunks: int, draws: torch.Generator) -> Tensor:
    r"""``count`` positions of a batch by blocked Gibbs sampling of pairwise learnability ``S [B, B]``.

    In each of ``chunks`` rounds ``count / chunks`` further positions are drawn without replacement from

    .. math:: \mathrm{logits}_i = S_{ii} + \sum_{k \in \text{chosen}} (S_{ki} + S_{ik})

    Cost: O(B^2) in all.
    """
    logits = learnability.diagonal().clone()
    chosen: list[Tensor] = []
    sizes = [count * (c + 1) // chunks - count * c // chunks for c in range(chunks)]
    for size in sizes:
        noisy = logits + _gumbel(len(logits), draws).to(logits.device, non_blocking=True)
        new = torch.topk(noisy, size).indices
        logits = logits + learnability[new].sum(dim=0) + learnability[:, new].sum(dim=1)
        logits[new] = -torch.inf
        chosen.append(new)
    return torch.cat(chosen)


def _gumbel(size: int, draws: torch.Generator) -> Tensor:
    return -torch.empty(size).exponential_(generator=draws).log_()
