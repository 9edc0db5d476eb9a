"""Dropout that does not wait for the random numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SIDES = 256


class Dropout(nn.Dropout):
    """``nn.Dropout`` that draws a byte for each element on CPUs, where a Bernoulli draw costs like a product.

    There ``p`` is rounded to a 256th, and the scale follows the rounded one, so that the expectation is exact.
    Other devices use torch's own.

    >>> Dropout(0.5).eval()(torch.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        dropped = round(self.p * _SIDES)
        if not self.training or input.device.type != "cpu" or dropped in (0, _SIDES):
            return super().forward(input)
        words = torch.empty(-(-input.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        # In place the comparison stays in bytes; one that makes booleans takes ten times as long.
        kept = words.view(torch.uint8)[: input.numel()].view(input.shape).ge_(dropped)
        return input * kept.to(input.dtype).mul_(_SIDES / (_SIDES - dropped))
