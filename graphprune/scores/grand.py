"""GraNd: norm of a sample's loss gradient, in closed form for the last layer or for all parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from graphprune.embed.module import evaluation_mode
from graphprune.errors import InputError
from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required
from graphprune.scores.el2n import logit_gradient
from graphprune.scores.windows import Epochs


@register("score", "grand", source="Paul et al., NeurIPS 2021, arXiv 2107.07075", status="confirmed")
class GraNd(AverageScore):
    r"""GraNd: score samples by the norm of the last-layer gradient of the loss, averaged over the early epochs.

    .. math::
        S_i = \frac1K \sum_k \lVert [g_k ; g_k \otimes h_k] \rVert_2
            = \frac1K \sum_k \lVert g_k \rVert_2 \sqrt{1 + \lVert h_k \rVert_2^2}, \quad
        g = \mathrm{softmax}(z) - \mathrm{onehot}(y)

    where h are the penultimate features, so z = W h + b, and the gradient is that of the cross-entropy by W and b.
    `gradient_norms` uses all parameters instead.

    Args:
        reduce: ``mean`` over visits (default) or ``last``.
        T: Number of first epochs that count (all if the run has fewer), or ``all`` (default: 10).

    For shapes, errors and cost, see `AverageScore`; it takes O(B (C + H)) time per batch.

    Reference: Paul et al., NeurIPS 2021, arXiv 2107.07075. They use the gradient of all parameters and average
    ten networks; the last-layer form is the usual approximation.

    >>> score = GraNd()
    >>> score.start(2, epochs=1, num_classes=2)
    >>> log_probs = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    >>> features, targets = torch.tensor([[1.0], [1.0]]), torch.tensor([0, 0])
    >>> score.update(torch.arange(2), Signals(log_probs=log_probs, targets=targets, features=features), epoch=0)
    >>> score.values()
    tensor([1.0000, 0.2000])
    """

    needs = frozenset({"log_probs", "targets", "features"})

    def __init__(self, *, reduce: Literal["last", "mean"] = "mean", T: Epochs = 10) -> None:
        super().__init__(reduce=reduce, T=T)

    def _of_batch(self, signals: Signals) -> Tensor:
        gradient = logit_gradient(required(signals.log_probs), required(signals.targets))
        g: Tensor = torch.linalg.vector_norm(gradient, dim=1)
        h: Tensor = torch.linalg.vector_norm(required(signals.features).flatten(1), dim=1)
        return g * torch.hypot(h, torch.ones_like(h))


def gradient_norms(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    block: int = 32,
) -> Tensor:
    """Computes the norm of each sample's loss gradient by all trainable parameters (for small models).

    Args:
        model: Any module that ``torch.func`` can map over samples; it is in evaluation mode during the call.
        inputs: ``[B, ...]`` on the model's device.
        targets: ``[B, ...]``.
        loss: Scalar loss of a batch of one, ``loss(outputs, targets)`` (default: cross-entropy).
        block: Number of samples whose gradients are in memory at the same time (default: 32).

    Returns:
        Norms ``[B]`` float32 on the CPU. Averaging over checkpoints is left to the caller.

    Raises:
        InputError: no trainable parameters, or different numbers of inputs and targets.

    Cost: O(B) backward passes, O(block P) memory for P parameters.

    Reference: Paul et al., NeurIPS 2021, arXiv 2107.07075.
    """
    if len(inputs) != len(targets):
        raise InputError(f"{len(inputs)} inputs but {len(targets)} targets; give one target per input")
    trainable = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not trainable:
        raise InputError("the model has no trainable parameter; set requires_grad on the parameters to use")

    def of_one(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        output: Any = torch.func.functional_call(model, parameters, (x[None],))
        return loss(output, y[None])

    per_sample = torch.func.vmap(torch.func.grad(of_one), in_dims=(None, 0, 0))
    # Evaluation mode: batch norm over a batch of one is meaningless, and dropout adds noise.
    norms = []
    with evaluation_mode(model):
        for x, y in zip(torch.split(inputs, block), torch.split(targets, block), strict=True):
            gradients = per_sample(trainable, x, y)
            squares = torch.stack([g.flatten(1).float().square().sum(1) for g in gradients.values()])
            norms.append(squares.sum(0).sqrt().cpu())
    return torch.cat(norms) if norms else torch.empty(0)
