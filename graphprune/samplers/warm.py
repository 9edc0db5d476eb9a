"""Warm starts: predicted scores as a substitute for unknown losses."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError


def check_scores(scores: Tensor | None, n: int, what: str = "scores") -> Tensor | None:
    """Returns scores ``[n]`` on the CPU, or raises an `InputError` that names them ``what``.

    float64 is kept, so that close scores do not become ties; all other types become float32.
    """
    if scores is None:
        return None
    scores = torch.as_tensor(scores).detach().cpu()
    scores = scores if scores.dtype == torch.float64 else scores.to(torch.float32)
    if scores.shape != (n,) or not bool(scores.isfinite().all()):
        raise InputError(
            f"{what} has shape {list(scores.shape)} for {n} samples; give one finite value per sample"
        )
    return scores


def fill_unseen(losses: Tensor, scores: Tensor | None) -> Tensor:
    """Losses ``[n]`` in which unseen (infinite) ones are estimated from warm-start ``scores [n]``.

    Scores need not have the units of a loss: the estimate of an unseen sample is the loss at the quantile of its
    score among the scores of the seen samples. Before any sample is seen, the scores themselves are returned.

    Cost: O(n log n).

    >>> inf = float("inf")
    >>> fill_unseen(torch.tensor([2.0, inf, 6.0]), torch.tensor([10.0, 15.0, 20.0])).tolist()
    [2.0, 6.0, 6.0]
    """
    seen = losses.isfinite()
    if scores is None or bool(seen.all()):
        return losses
    if not bool(seen.any()):
        return scores
    known = losses[seen].sort().values
    place = torch.searchsorted(scores[seen].sort().values, scores[~seen])
    filled = losses.clone()
    filled[~seen] = known[place.clamp_max(len(known) - 1)]
    return filled
