"""Leave out part of the easy samples and weigh the rest of them up."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Count, Epochs, Part, Seed, Share
from graphprune.registry import register
from graphprune.runtime.rng import generator
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.warm import check_scores, fill_unseen


@register("sampler", "infobatch", source="Qin et al., ICLR 2024, arXiv 2303.04947", status="confirmed")
class InfoBatch(EpochSampler):
    r"""InfoBatch: unbiased dynamic pruning by the last loss of each sample.

    .. math:: L = \{i : l_i < \bar l\}; \quad i \in L \text{ is kept with probability } 1 - r,
        \text{ weight } 1 / (1 - r); \quad \text{all others: weight } 1

    The weighted sum of gradients over an epoch equals the full one in expectation (a batch mean still divides
    by fewer samples an epoch). Pruned samples keep their stale loss. Nothing is pruned in the first epoch, in
    which losses become known, nor after epoch ``delta * epochs``. A sample without a finite loss is kept.

    Args:
        n: Number of samples.
        r: Probability that an easy sample is left out, in [0, 1) (default: 0.5).
        exact: Whether exactly ``floor((1 - r) |L|)`` of the easy samples are kept, drawn without replacement as
            in the authors' code, instead of each on its own with probability 1 - r (default: False). The
            weights are the same; the rounding makes the sum too small by less than one sample's gradient.
        delta: Fraction of the epochs after which nothing is pruned (default: 0.875).
        scores: Warm-start scores ``[n]`` (larger: harder), e.g. extrapolated ones; then the first epoch
            prunes too, and a loss still unknown later is filled in by the score's rank (`fill_unseen`).

    Cost: O(n) an epoch, O(B) a step, two float32 per sample.
    """

    needs_losses = True
    _learned = _infinite_if_unseen = ("losses",)

    def __init__(
        self,
        n: Count,
        *,
        r: Part = 0.5,
        exact: bool = False,
        delta: Share = 0.875,
        scores: Tensor | None = None,
        epochs: Epochs,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        self.r, self.exact, self.delta = r, exact, delta
        self.scores = check_scores(scores, n)
        self.losses = torch.full((n,), torch.inf)

    def _learn(self, rows: Tensor, losses: Tensor | None, errors: Tensor | None) -> None:
        assert losses is not None
        self.losses.index_copy_(0, rows, losses)

    def _epoch_order(self, epoch: int) -> Tensor:
        if epoch + 1 > self.delta * self.epochs or (epoch == 0 and self.scores is None):
            return self._shuffle(torch.arange(self.n))
        losses = fill_unseen(self.losses.cpu().nan_to_num(torch.inf, torch.inf, torch.inf), self.scores)
        known = losses[losses.isfinite()]
        if not len(known):
            raise InputError(
                f"no losses were heard before epoch {epoch}; call update(rows, losses) in each step"
            )
        easy = losses < known.double().mean()
        draws = torch.rand(self.n, generator=generator(self.seed, "infobatch", epoch))
        if self.exact:
            rows = torch.nonzero(easy).squeeze(1)
            kept = ~easy
            kept[rows[torch.argsort(draws[rows])[: int((1 - self.r) * len(rows))]]] = True
        else:
            kept = ~easy | (draws >= self.r)
        self._loss_weights = torch.where(easy, 1 / (1 - self.r), 1.0)
        self._place_state()
        return self._shuffle(torch.nonzero(kept).squeeze(1))
