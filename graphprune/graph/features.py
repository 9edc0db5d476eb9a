"""Vectors that neighbors are searched in: embeddings, normalized or with their label beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.graph.points import Array, as_tensor, unit


def search_features(
    embeddings: Array, *, labels: Array | None = None, normalize: bool = False, label_weight: float = 1.0
) -> Tensor:
    """Embeddings, on request at length 1, with ``label_weight`` times the one-hot label appended.

    Two samples of different labels then lie at least ``sqrt(2) * label_weight`` apart.

    Args:
        embeddings: ``[N, D]``.
        labels: Class labels ``[N]`` integer, or None to append nothing.
        normalize: Scale each embedding to length 1 first (zero vectors stay zero).
        label_weight: Of the one-hot label; 0 appends nothing.

    Returns:
        ``[N, D]`` or ``[N, D + C]`` float32.

    Raises:
        InputError: labels of another length, or not integers.

    >>> search_features(torch.tensor([[3.0, 4.0]]), labels=torch.tensor([7]), normalize=True).tolist()
    [[0.6000000238418579, 0.800000011920929, 1.0]]
    """
    x = as_tensor(embeddings).to(torch.float32)
    x = unit(x) if normalize else x
    if labels is None or label_weight == 0:
        return x
    return torch.cat([x, label_weight * one_hot(labels, len(x)).to(x.device)], dim=1)


def one_hot(labels: Array, n: int) -> Tensor:
    """``[N, C]`` float32 with one column for each of the C distinct labels, ascending."""
    labels = as_tensor(labels)
    if labels.shape != (n,) or labels.is_floating_point() or labels.is_complex():
        raise InputError(
            f"labels are {labels.dtype} of shape {list(labels.shape)}; give integers [{n}], one per sample"
        )
    classes, code = torch.unique(labels, return_inverse=True)
    return torch.nn.functional.one_hot(code, len(classes)).to(torch.float32)
