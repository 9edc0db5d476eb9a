"""Spatial and temporal identities: a multilayer perceptron that knows where and when it is."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from graphprune.data.base import TaskInfo
from graphprune.data.windows import DAY_OF_WEEK, SENSOR, TIME_OF_DAY
from graphprune.registry import register
from graphprune.train.models.dropout import Dropout
from graphprune.train.models.forecaster import Forecaster


@register("model", "stid", source="Shao et al., CIKM 2022, arXiv 2208.05233", status="abstract")
class STID(Forecaster):
    r"""One residual perceptron, shared by all nodes, over a window, its node and the clock.

    .. math:: h_0 = [W\,x_{1..T};\ e_{node};\ e_{time\ of\ day};\ e_{day\ of\ week}], \quad
        h_{l+1} = h_l + W_2\,\mathrm{drop}(\mathrm{relu}(W_1 h_l)), \quad \hat y = x_{last} + W_3 h_L

    It differs from the paper where small data ask for it: the forecast is the difference to the last observed
    value, and the head and the calendar's embeddings start at 0, so that the untrained model is the last
    value and a weekday that training never saw adds nothing.

    Args:
        info: The task; its ``channels`` tell the clock's channels from readings.
        width: Of the window's projection (default: 32).
        embedding: Of each identity (default: 16).
        blocks: Residual blocks (default: 2).
        dropout: Inside the blocks (default: 0.1).

    Shapes:
        ``[batch, time, node, feature]`` -> ``[batch, horizon, node]`` in standardised units.
    """

    def __init__(
        self, *, info: TaskInfo, width: int = 32, embedding: int = 16, blocks: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__(info)
        self.window = nn.Linear(info.input_shape[0] * self.readings, width)
        self.node = nn.Embedding(info.n_sensors, embedding)
        counts = {TIME_OF_DAY: info.steps_per_day, DAY_OF_WEEK: 7}
        self.clock = nn.ModuleDict(
            {name: nn.Embedding(count, embedding) for name, count in counts.items() if name in self.places}
        )
        hidden = width + embedding * (1 + len(self.clock))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, hidden))
            for _ in range(blocks)
        )
        self.head = nn.Linear(hidden, info.horizon)
        for parameter in (*self.clock.parameters(), *self.head.parameters()):
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        # x: [batch, time, node, feature]
        batch, _, nodes, _ = x.shape
        flat = x[..., : self.readings].transpose(1, 2).reshape(batch, nodes, -1)
        # [batch, node, width], then [batch or 1, node or 1, embedding] each.
        parts = [self.window(flat), self._place(x)]
        parts += [self.clock[name](slots) for name, slots in self.slots(x[:, -1:]).items()]
        hidden = torch.cat([part.expand(batch, nodes, -1) for part in parts], dim=-1)
        for number, block in enumerate(self.blocks):
            assert isinstance(block, nn.Sequential)
            hidden = hidden + block[1:](self._by_parts(block[0], parts) if number == 0 else block[0](hidden))
        forecast: Tensor = self.head(hidden)
        return forecast.transpose(1, 2) + self.last_observed(x)

    @staticmethod
    def _by_parts(layer: nn.Module, parts: list[Tensor]) -> Tensor:
        """A linear layer of the parts side by side; what nodes or windows share is multiplied only once."""
        assert isinstance(layer, nn.Linear)
        weights = torch.split(layer.weight, [part.shape[-1] for part in parts], dim=1)
        window, place, *clock = (linear(part, weight) for part, weight in zip(parts, weights, strict=True))
        offset = sum(clock, torch.zeros_like(layer.bias)) + layer.bias
        # Under autocast the products are in half precision, and so is what a whole layer would return.
        total: Tensor = window + place + offset.to(window.dtype)
        return total

    def _place(self, x: Tensor) -> Tensor:
        if SENSOR in self.places:
            located: Tensor = self.node(x[:, -1, :, self.places[SENSOR]].long())
            return located
        return self.node.weight[None]
