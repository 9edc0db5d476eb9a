"""JEST: selection by learnability."""

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
    r"""JEST: train on the part of each batch that the model has not learned but a reference model has.

    Learnability is the model's loss minus the reference model's loss. For losses of single samples (``choose``
    receives ``[B]``) this is the form of RHO-loss: the largest ones are kept, or a Gumbel draw. For losses that
    couple pairs (``choose`` receives ``[B, B]``, the learnability of each pair, for example of a contrastive loss)
    the batch is built by blocked Gibbs sampling, see `joint_draw`.

    Args:
        n: Number of samples.
        reference_losses: The reference model's losses ``[n]`` float32 (None for coupled losses).
        keep: Fraction of a candidate batch that is trained on, in (0, 1] (default: 0.2, the paper's filter ratio
            of 0.8).
        draw: ``gumbel`` (softmax draw without replacement; every sample can be drawn) or ``top`` (default:
            gumbel).
        chunks: Number of blocks of the joint draw (default: 16).

    Cost: O(B log B) per step, O(B^2) for coupled losses, plus the reference model's forward pass over the data.

    Reference: Evans et al., NeurIPS 2024, arXiv 2406.17711.

    >>> import torch
    >>> from graphprune.samplers import JEST
    >>> sampler = JEST(4, reference_losses=torch.tensor([0.1, 2.0, 0.1, 0.1]), keep=0.25, draw="top")
    >>> sampler.choose(torch.arange(4), losses=torch.tensor([0.2, 2.1, 1.5, 0.1])).tolist()
    [2]
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
            raise InputError("JEST.choose received no losses; pass those of a forward pass")
        draws = self._step_generator()
        if losses.dim() == 2:
            return joint_draw(losses, count, self.chunks, draws)
        if self.reference_losses is None:
            raise InputError("JEST needs reference_losses; pass the reference model's loss of each sample")
        self.reference_losses = self.reference_losses.to(rows.device)
        learnability = losses - self.reference_losses[rows]
        learnability = learnability.where(learnability.isfinite(), -torch.inf)
        if self.draw == "gumbel":
            learnability = learnability + _gumbel(len(rows), draws).to(rows.device, non_blocking=True)
        return torch.topk(learnability, count).indices


def joint_draw(learnability: Tensor, count: int, chunks: int, draws: torch.Generator) -> Tensor:
    r"""``count`` positions of a batch by blocked Gibbs sampling from pairwise learnability ``S [B, B]``.

    Each of ``chunks`` rounds draws ``count / chunks`` more positions without replacement from

    .. math:: \mathrm{logits}_i = S_{ii} + \sum_{k \in \text{chosen}} (S_{ki} + S_{ik})

    Cost: O(B^2) in total.
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
