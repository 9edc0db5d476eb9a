"""InfoBatch: unbiased dynamic pruning of easy samples."""

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
    r"""InfoBatch: leave out random easy samples in each epoch and increase the weight of the other easy ones.

    .. math:: L = \{i : l_i < \bar l\}; \quad i \in L \text{ is kept with probability } 1 - r,
        \text{ weight } 1 / (1 - r); \quad \text{all others: weight } 1

    :math:`l_i` is the last recorded loss of sample i. The weighted sum of gradients over an epoch equals the full
    one in expectation (but a batch mean divides by the size of the batch, and an epoch has fewer batches). Pruned
    samples keep their old loss. Nothing is pruned in the first epoch, which records the losses, or after epoch
    ``delta * epochs``. Samples without a finite loss are kept.

    Args:
        n: Number of samples.
        r: Probability that an easy sample is left out, in [0, 1) (default: 0.5).
        exact: Whether to keep exactly ``floor((1 - r) |L|)`` easy samples, drawn without replacement as in the
            authors' code, instead of deciding for each one independently (default: False). The weights are the
            same; the rounding reduces the sum by less than one sample's gradient.
        delta: Fraction of the epochs after which nothing is pruned (default: 0.875).
        scores: Warm-start scores ``[n]`` (larger: harder), for example extrapolated ones. The first epoch then
            also prunes, and unknown losses are estimated from the ranks of the scores (`fill_unseen`).

    Cost: O(n) per epoch, O(B) per step, two float32 per sample.

    Reference: Qin et al., ICLR 2024, arXiv 2303.04947.

    >>> import torch
    >>> from graphprune.samplers import InfoBatch
    >>> sampler = InfoBatch(4, r=0.5, exact=True, epochs=10)
    >>> sampler.update(torch.arange(4), losses=torch.tensor([0.1, 0.1, 2.0, 2.0]))
    >>> sampler.set_epoch(1)
    >>> len(sampler)  # one of the two easy samples is left out
    3
    >>> sampler.weights(torch.arange(4)).tolist()
    [2.0, 2.0, 1.0, 1.0]
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
                f"no losses recorded before epoch {epoch}; call update(rows, losses) after every step"
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
