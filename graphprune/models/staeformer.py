"""STAEformer: a plain transformer over time and nodes with a learned spatio-temporal embedding."""

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
    r"""STAEformer: forecast by attention over time and then over nodes, with an adaptive embedding per step and node.

    .. math:: z_{t,n} = [W x_{t,n};\ e_{time\ of\ day};\ e_{day\ of\ week};\ a_{t,n}]

    The head is one linear layer over all steps of a node. The forecast is the difference from the last observed
    value, unlike in the paper (``residual=False`` gives the paper's form).

    Args:
        info: The task: whole-network windows.
        width: Width of the embedding of the readings and of each of the two clock embeddings (default: 24).
        adaptive: Width of the adaptive embedding (default: 80).
        heads: Attention heads (default: 4).
        layers: Attention layers over time, and as many over nodes (default: 3).
        feed_forward: Hidden width of the perceptron after attention (default: 256).
        dropout: Dropout probability (default: 0.1).
        residual: Whether to forecast the difference from the last observed value (default: True).

    Shapes:
        ``[batch, time, node, feature]`` -> ``[batch, horizon, node]`` in standardized units.

    Raises:
        InputError: the windows show one sensor instead of the whole network; ``heads`` does not divide the width.

    Cost: O(B (N T^2 + T N^2)) time for attention over B windows of T steps and N nodes.

    >>> import torch
    >>> from graphprune.data.base import TaskInfo
    >>> info = TaskInfo("forecasting", (6, 3, 1), horizon=4, channels=("speed",), n_sensors=3)
    >>> STAEformer(info=info, width=4, adaptive=4, heads=2, layers=1)(torch.zeros(2, 6, 3, 1)).shape
    torch.Size([2, 4, 3])
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
                f"model staeformer needs windows of all {info.n_sensors} sensors, but each window has {nodes}; "
                "set data.granularity: network"
            )
        self.residual = residual
        # As in the paper, the clock enters both as a number and as an embedding.
        self.inputs = nn.Linear(len(info.channels), width)
        counts = {TIME_OF_DAY: info.steps_per_day, DAY_OF_WEEK: 7}
        self.clock = nn.ModuleDict(
            {name: nn.Embedding(count, width) for name, count in counts.items() if name in self.places}
        )
        self.adaptive = nn.Parameter(nn.init.xavier_uniform_(torch.empty(window, nodes, adaptive)))
        hidden = width * (1 + len(self.clock)) + adaptive
        if hidden % heads:
            raise InputError(
                f"model staeformer: the total width {hidden} is not a multiple of heads {heads}; "
                "change adaptive or heads"
            )
        self.over_time = nn.ModuleList(_Block(hidden, heads, feed_forward, dropout) for _ in range(layers))
        self.over_nodes = nn.ModuleList(_Block(hidden, heads, feed_forward, dropout) for _ in range(layers))
        self.head = nn.Linear(window * hidden, info.horizon)

    def forward(self, x: Tensor) -> Tensor:
        """Forecasts ``[batch, horizon, node]`` of windows ``x [batch, time, node, feature]``, both standardized."""
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
    """Self-attention over the third dimension of ``[batch, other, length, width]``, then a perceptron; post-norm."""

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
