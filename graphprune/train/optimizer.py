"""Optimizers, learning rate schedules and early stopping."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from graphprune.config.training import OptimizationConfig
from graphprune.errors import InputError


def learning_rate(schedule: str, progress: float, *, warmup: float = 0.2) -> float:
    """Learning rate as a fraction of its peak, at ``progress`` in [0, 1] of the planned epochs.

    Progress counts epochs, not steps, so a schedule ends correctly even if the length of epochs changes.
    ``onecycle`` rises from 1/25 to 1 in the first fifth and falls to 1e-4, both by cosines; ``cosine`` falls from 1
    to 0; ``constant`` is 1.

    >>> round(learning_rate("cosine", 0.5), 4), round(learning_rate("onecycle", 0.0), 4)
    (0.5, 0.04)
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if progress < warmup:
        return 1 + (0.04 - 1) * 0.5 * (1 + math.cos(math.pi * progress / warmup))
    return 1e-4 + (1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def make_optimizers(model: nn.Module, settings: OptimizationConfig) -> list[torch.optim.Optimizer]:
    """The optimizers of the settings; together they cover all trainable parameters.

    ``muon`` gives two: Muon for the hidden matrices and AdamW for all other parameters, with the same learning rate
    (Muon's updates are scaled to the size of AdamW's).

    Raises:
        InputError: muon is requested for a model without hidden matrices.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    lr, decay = settings.lr, settings.weight_decay
    if settings.optimizer == "sgd":
        nesterov = settings.momentum > 0
        return [torch.optim.SGD(parameters, lr, settings.momentum, weight_decay=decay, nesterov=nesterov)]
    if settings.optimizer == "adam":
        return [torch.optim.Adam(parameters, lr, weight_decay=decay)]
    if settings.optimizer == "adamw":
        return [torch.optim.AdamW(parameters, lr, weight_decay=decay)]
    matrices = hidden_matrices(model)
    if not hasattr(torch.optim, "Muon"):
        raise InputError(f"optimizer: muon needs torch 2.9 or newer, this is {torch.__version__}; use adamw")
    if not matrices:
        raise InputError(
            f"optimizer: muon moves hidden matrices, and {type(model).__name__} has none "
            "(convolutions are not matrices); use sgd or adamw"
        )
    chosen = {id(matrix) for matrix in matrices}
    rest = [p for p in parameters if id(p) not in chosen]
    muon = torch.optim.Muon(
        matrices, lr, weight_decay=decay, momentum=settings.momentum, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, *([torch.optim.AdamW(rest, lr, weight_decay=decay)] if rest else [])]


def hidden_matrices(model: nn.Module) -> list[nn.Parameter]:
    """Weight matrices of layers (``weight`` in their name), without the last linear layer (the output).

    Embedding tables, and parameters with other names such as embeddings of sensors, are not included.
    """
    outputs = [module for module in model.modules() if isinstance(module, nn.Linear)][-1:]
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    excluded = {id(p) for module in (*outputs, *tables) for p in module.parameters()}
    matrices = [
        p for name, p in model.named_parameters() if "weight" in name.rpartition(".")[2] and p.dim() == 2
    ]
    return [p for p in matrices if p.requires_grad and id(p) not in excluded]


def has_stalled(losses: Sequence[float], patience: int | None, least: float) -> bool:
    """Whether the best of the last ``patience`` losses is not at least ``least`` below the best earlier one.

    NaN counts as the worst loss.

    >>> has_stalled([3.0, 2.0, 2.1, 2.0], 2, 0.0), has_stalled([3.0, 2.0, 2.1, 1.9], 2, 0.0)
    (True, False)
    >>> has_stalled([3.0, float("nan"), float("nan")], 2, 0.0)
    True
    """
    if patience is None or len(losses) <= patience:
        return False
    known = [math.inf if math.isnan(loss) else loss for loss in losses]
    return min(known[-patience:]) >= min(known[:-patience]) - least
