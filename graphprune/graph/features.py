"""Vectors for the neighbor search: embeddings, on request normalized or with the label appended."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.graph.points import Array, as_tensor, unit


def search_features(
    embeddings: Array, *, labels: Array | None = None, normalize: bool = False, label_weight: float = 1.0
) -> Tensor:
    """Embeddings, on request at length 1, with ``label_weight`` times the one-hot label appended.

    The distance of two samples with different labels is then at least ``sqrt(2) * label_weight``.

    Args:
        embeddings: ``[N, D]``.
        labels: Class labels ``[N]`` integer; None appends nothing.
        normalize: Scale each embedding to length 1 first (zero vectors stay zero).
        label_weight: Weight of the one-hot label; 0 appends nothing.

    Returns:
        ``[N, D]`` or ``[N, D + C]`` float32.

    Raises:
        InputError: labels have another length or are not integers.

    >>> search_features(torch.tensor([[3.0, 4.0]]), labels=torch.tensor([7]), normalize=True).tolist()
    [[0.6000000238418579, 0.800000011920929, 1.0]]
    """
    x = as_tensor(embeddings).to(torch.float32)
    x = unit(x) if normalize else x
    if labels is None or label_weight == 0:
        return x
    return torch.cat([x, label_weight * one_hot(labels, len(x)).to(x.device)], dim=1)


def one_hot(labels: Array, n: int) -> Tensor:
    """One-hot labels ``[N, C]`` float32, with one column for each of the C distinct labels, ascending."""
    labels = as_tensor(labels)
    if labels.shape != (n,) or labels.is_floating_point() or labels.is_complex():
        raise InputError(
            f"labels are {labels.dtype} of shape {list(labels.shape)}; pass integers [{n}], one per sample"
        )
    classes, code = torch.unique(labels, return_inverse=True)
    return torch.nn.functional.one_hot(code, len(classes)).to(torch.float32)
