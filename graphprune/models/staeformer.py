"""STAEformer: a plain transformer over time and over nodes, on a learned spatio-temporal embedding."""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor, nn

from graphprune.data.base import TaskInfo
from graphprune.data.windows import DAY_OF_WEEK, TIME_OF_DAY
from graphprune.errors import InputError
from graphprune.models.dropout import Dropout
from graphprune.models.forecaster import Forecaster
from graphprune.options import Layers, Part, Width
from graphprune.registry import register


@register("model", "staeformer", source="Liu et al., CIKM 2023, arXiv 2308.10425", status="abstract")
class STAEformer(Forecaster):
    r"""Readings, clock and an adaptive embedding per step and node; attention over time, then over nodes.

    .. math:: z_{t,n} = [W x_{t,n};\ e_{time\ of\ day};\ e_{day\ of\ week};\ a_{t,n}]

    The head is one linear layer over all steps of a node. The forecast is the difference to the last observed
    value, which the paper does not do (``residual=False`` restores it).

    Args:
        info: The task; whole-network windows.
        width: Of the readings' and of each clock's embedding (default: 24).
        adaptive: Width of the adaptive embedding (default: 80).
        heads: Of attention (default: 4).
        layers: Over time, and again over nodes (default: 3).
        feed_forward: Hidden width after attention (default: 256).
        dropout: (default: 0.1).
        residual: Whether to forecast the difference to the last observed value (default: True).

    Shapes:
        ``[batch, time, node, feature]`` -> ``[batch, horizon, node]`` in standardised units.

    Cost: O(B (N T^2 + T N^2)) for attention.
    """

    def __init__(
        self,
        *,
        info: InstanceOf[TaskInfo],
        width: Width = 24,
        adaptive: Width = 80,
        heads: Width = 4,
        layers: Layers = 3,
        feed_forward: Width = 256,
        dropout: Part = 0.1,
        residual: bool = True,
    ) -> None:
        super().__init__(info)
        window, nodes, _ = info.input_shape
        if nodes != info.n_sensors:
            raise InputError(
                "model staeformer needs windows of the whole network; set data.granularity: network"
            )
        self.residual = residual
        # As in the paper, the clock is read as a number besides its embedding.
        self.inputs = nn.Linear(len(info.channels), width)
        counts = {TIME_OF_DAY: info.steps_per_day, DAY_OF_WEEK: 7}
        self.clock = nn.ModuleDict(
            {name: nn.Embedding(count, width) for name, count in counts.items() if name in self.places}
        )
        self.adaptive = nn.Parameter(nn.init.xavier_uniform_(torch.empty(window, nodes, adaptive)))
        hidden = width * (1 + len(self.clock)) + adaptive
        if hidden % heads:
            raise InputError(
                f"model staeformer: its width {hidden} is no multiple of heads {heads}; change adaptive"
            )
        self.over_time = nn.ModuleList(_Block(hidden, heads, feed_forward, dropout) for _ in range(layers))
        self.over_nodes = nn.ModuleList(_Block(hidden, heads, feed_forward, dropout) for _ in range(layers))
        self.head = nn.Linear(window * hidden, info.horizon)

    def forward(self, x: Tensor) -> Tensor:
        """Forecasts ``[batch, horizon, node]`` of windows ``x [batch, time, node, feature]``, both standardised."""
        batch, _, nodes, _ = x.shape
        parts = [self.inputs(x)]
        for name, slots in self.slots(x).items():
            parts.append(self.clock[name](slots)[:, :, None].expand(-1, -1, nodes, -1))
        parts.append(self.adaptive.expand(batch, -1, -1, -1))
        hidden = torch.cat(parts, dim=-1).transpose(1, 2)
        for block in self.over_time:
            hidden = block(hidden)
        hidden = hidden.transpose(1, 2)
        for block in self.over_nodes:
            hidden = block(hidden)
        forecast: Tensor = self.head(hidden.transpose(1, 2).reshape(batch, nodes, -1)).transpose(1, 2)
        return forecast + self.last_observed(x) if self.residual else forecast


class _Block(nn.Module):
    """Self-attention over the length of ``[batch, other, length, width]``, then a perceptron; post-norm."""

    def __init__(self, width: int, heads: Width, feed_forward: Width, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.perceptron = nn.Sequential(
            nn.Linear(width, feed_forward), nn.ReLU(), nn.Linear(feed_forward, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(2, 3) for part in self.project(x).chunk(3, dim=-1)
        )
        attended = nn.functional.scaled_dot_product_attention(query, key, value)
        x = self.norms[0](x + self.dropout(self.out(attended.transpose(2, 3).flatten(-2))))
        result: Tensor = self.norms[1](x + self.dropout(self.perceptron(x)))
        return result
