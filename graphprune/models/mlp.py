"""A multi-layer perceptron for vectors and for inputs of any other shape, which it flattens."""

from __future__ import annotations

import math
from typing import Self

from torch import Tensor, nn

from graphprune.data.base import TaskInfo
from graphprune.errors import InputError
from graphprune.models.base import RegisteredModel
from graphprune.options import Count, Layers, Width
from graphprune.registry import register


@register("model", "mlp", source="a plain perceptron", status="ours")
class MLP(RegisteredModel):
    """MLP: classify by a perceptron with batch norm and ReLU in the hidden layers.

    Args:
        in_features: Numbers per sample.
        num_classes: Classes.
        width: Units of each hidden layer (default: 128).
        depth: Hidden layers; 0 gives a linear classifier (default: 2).

    Shapes: ``[B, ...]`` float32 -> ``[B, num_classes]``.

    >>> import torch
    >>> MLP(in_features=4, num_classes=3)(torch.zeros(2, 4)).shape
    torch.Size([2, 3])
    """

    def __init__(
        self, *, in_features: Count, num_classes: Count, width: Width = 128, depth: Layers = 2
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for layer in range(depth):
            inputs = in_features if layer == 0 else width
            layers += [nn.Linear(inputs, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width if depth else in_features, num_classes)

    @classmethod
    def for_task(cls, info: TaskInfo, **options: object) -> Self:
        if info.kind != "classification":
            raise InputError(
                f"model mlp is a classifier, but the task is {info.kind}; use model stid for windows"
            )
        return cls(in_features=math.prod(info.input_shape), num_classes=info.num_classes or 0, **options)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x.flatten(1)))
        return logits
