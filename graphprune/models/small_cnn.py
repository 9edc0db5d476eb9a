"""A small convolutional network for small images."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field
from torch import Tensor, nn

from graphprune.data.base import TaskInfo
from graphprune.errors import InputError
from graphprune.models.base import RegisteredModel
from graphprune.options import Count, Width
from graphprune.registry import register

Stages = Annotated[int, Field(ge=1, le=16)]


@register("model", "small_cnn", source="a plain VGG-like stack", status="ours")
class SmallCNN(RegisteredModel):
    """Small CNN: classify small images by stages of two 3x3 convolutions with batch norm.

    Each stage after the first halves the image and doubles the width; the mean over the image and a linear layer
    follow.

    Args:
        in_channels: Channels of the image.
        num_classes: Classes.
        width: Channels of the first stage (default: 16, about 70,000 parameters with 3 stages).
        stages: Number of resolutions; the image's side must be at least ``2 ** (stages - 1)`` (default: 3).

    Shapes: ``[B, in_channels, H, W]`` float32 -> ``[B, num_classes]``.

    >>> import torch
    >>> SmallCNN(in_channels=1, num_classes=10)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self, *, in_channels: Count, num_classes: Count, width: Width = 16, stages: Stages = 3
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = in_channels
        for stage in range(stages):
            out = width * 2**stage
            for _ in range(2):
                layers += [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
                channels = out
            if stage + 1 < stages:
                layers.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels, num_classes)

    @classmethod
    def for_task(cls, info: TaskInfo, **options: object) -> Self:
        if info.kind != "classification" or len(info.input_shape) != 3:
            raise InputError(
                f"model small_cnn takes images [C, H, W], but the data has shape {list(info.input_shape)}; "
                "use model mlp for vectors or stid for windows"
            )
        stages = options.get("stages", 3)
        side = min(info.input_shape[1:])
        if isinstance(stages, int) and stages > side.bit_length():
            raise InputError(
                f"model small_cnn: images of side {side} are too small for {stages} stages; use fewer"
            )
        return cls(in_channels=info.input_shape[0], num_classes=info.num_classes or 0, **options)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        # x: [batch, channel, height, width]
        logits: Tensor = self.head(self.body(x).mean(dim=(2, 3)))
        return logits
