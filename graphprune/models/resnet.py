"""Residual networks for 32x32 images."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from graphprune.data.base import TaskInfo
from graphprune.errors import InputError
from graphprune.models.base import RegisteredModel
from graphprune.options import Count, Width
from graphprune.registry import register


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: parameter-free (option A: stride, zero channels) or a 1x1 projection."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, projection: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs
        self.shortcut: nn.Module = nn.Identity()
        if projection and (stride > 1 or self.extra):
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        skip: Tensor = self.shortcut(x)
        if isinstance(self.shortcut, nn.Identity) and (self.stride > 1 or self.extra):
            before = self.extra // 2
            skip = pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.extra - before))
        out = relu(self.bn1(self.conv1(x)))
        return relu(self.bn2(self.conv2(out)) + skip)


class CifarResNet(RegisteredModel):
    """Residual network: a 3x3 stem, stages of `BasicBlock`, the mean over the image, and a linear layer.

    Each stage after the first halves the image and doubles the width.

    Shapes: ``[B, in_channels, H, W]`` float32 -> ``[B, num_classes]``.
    """

    blocks: tuple[int, ...]
    default_width: int
    projection: bool

    def __init__(self, *, in_channels: Count, num_classes: Count, width: Width | None = None) -> None:
        super().__init__()
        width = width or self.default_width
        self.conv1 = nn.Conv2d(in_channels, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        self.stages = len(self.blocks)
        for stage, count in enumerate(self.blocks):
            out = width * 2**stage
            blocks = []
            for block in range(count):
                stride = 2 if stage and not block else 1
                blocks.append(BasicBlock(channels, out, stride, projection=self.projection))
                channels = out
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    @classmethod
    def for_task(cls, info: TaskInfo, **options: object) -> Self:
        if info.kind != "classification" or len(info.input_shape) != 3:
            raise InputError(
                f"model {cls.__name__} takes images [C, H, W], but the data has shape {list(info.input_shape)}; "
                "use model mlp for vectors or stid for windows"
            )
        return cls(in_channels=info.input_shape[0], num_classes=info.num_classes or 0, **options)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        # x: [batch, channel, height, width]
        x = relu(self.bn1(self.conv1(x)))
        for stage in range(self.stages):
            x = self.get_submodule(f"layer{stage + 1}")(x)
        logits: Tensor = self.linear(torch.mean(x, dim=(2, 3)))
        return logits


@register("model", "resnet20", source="He et al., CVPR 2016, section 4.2", status="confirmed")
class ResNet20(CifarResNet):
    """ResNet-20: classify 32x32 images by the 20-layer CIFAR network with parameter-free shortcuts.

    It has 0.27 million parameters at the default width of 16.

    >>> import torch
    >>> ResNet20(in_channels=3, num_classes=10)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """

    blocks = (3, 3, 3)
    default_width = 16
    projection = False


@register(
    "model", "resnet18", source="He et al., CVPR 2016, with the 3x3 stem usual on CIFAR", status="confirmed"
)
class ResNet18(CifarResNet):
    """ResNet-18: classify small images by the 18-layer network with a 3x3 stem and projection shortcuts.

    It has 11.2 million parameters at the default width of 64.

    >>> import torch
    >>> ResNet18(in_channels=3, num_classes=10, width=4)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 10])
    """

    blocks = (2, 2, 2, 2)
    default_width = 64
    projection = True
