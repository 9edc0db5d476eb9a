"""Dropout with cheap random numbers on the CPU."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SIDES = 256


class Dropout(nn.Dropout):
    """Dropout: ``nn.Dropout`` that draws one random byte per element on CPUs.

    A Bernoulli draw costs as much there as the matrix product next to it. ``p`` is rounded to a multiple of 1/256,
    and the scale uses the rounded value, so that the expectation is exact. Other devices use torch's own dropout.

    >>> Dropout(0.5).eval()(torch.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        dropped = round(self.p * _SIDES)
        if not self.training or input.device.type != "cpu" or dropped in (0, _SIDES):
            return super().forward(input)
        words = torch.empty(-(-input.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        # The in-place comparison writes bytes; a comparison that returns booleans takes ten times as long.
        kept = words.view(torch.uint8)[: input.numel()].view(input.shape).ge_(dropped)
        return input * kept.to(input.dtype).mul_(_SIDES / (_SIDES - dropped))
