"""Spatial and temporal identities: a multilayer perceptron that knows where and when it is."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from graphprune.data.base import TaskInfo
from graphprune.data.windows import DAY_OF_WEEK, OBSERVED, SENSOR, TIME_OF_DAY
from graphprune.errors import InputError
from graphprune.registry import register
from graphprune.train.models.base import RegisteredModel

_PLACES = (TIME_OF_DAY, DAY_OF_WEEK, SENSOR)


@register("model", "stid", source="Shao et al., CIKM 2022, arXiv 2208.05233", status="abstract")
class STID(RegisteredModel):
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
        super().__init__()
        window, _, _ = info.input_shape
        self.target, self.steps_per_day = info.target, info.steps_per_day
        self.places = {name: info.channels.index(name) for name in _PLACES if name in info.channels}
        self.readings = min(self.places.values(), default=len(info.channels))
        self.observed = info.channels.index(OBSERVED) if OBSERVED in info.channels else None
        self.window = nn.Linear(window * self.readings, width)
        self.node = nn.Embedding(info.n_sensors, embedding)
        self.time_of_day = nn.Embedding(info.steps_per_day, embedding) if TIME_OF_DAY in self.places else None
        self.day_of_week = nn.Embedding(7, embedding) if DAY_OF_WEEK in self.places else None
        clocks = [table for table in (self.time_of_day, self.day_of_week) if table is not None]
        hidden = width + embedding * (1 + len(clocks))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, hidden)
            )
            for _ in range(blocks)
        )
        self.head = nn.Linear(hidden, info.horizon)
        for parameter in (*(table.weight for table in clocks), self.head.weight, self.head.bias):
            nn.init.zeros_(parameter)

    @classmethod
    def for_task(cls, info: TaskInfo, **options: object) -> Self:
        if info.kind != "forecasting":
            raise InputError("model stid forecasts windows of sensors; use small_cnn or resnet for images")
        return cls(info=info, **options)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        # x: [batch, time, node, feature]
        batch, _, nodes, _ = x.shape
        flat = x[..., : self.readings].permute(0, 2, 1, 3).reshape(batch, nodes, -1)
        # Every linear layer acts on [batch * node, hidden] rows: one large product each.
        parts = [self.window(flat), self._place(x)]
        for name, table, count in (
            (TIME_OF_DAY, self.time_of_day, self.steps_per_day),
            (DAY_OF_WEEK, self.day_of_week, 7),
        ):
            if table is not None:
                slot = (x[:, -1, 0, self.places[name]] * count).round().long()
                parts.append(table(slot)[:, None].expand(-1, nodes, -1))
        hidden = torch.cat(parts, dim=-1)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        forecast: Tensor = self.head(hidden)
        return forecast.transpose(1, 2) + self._last(x)[:, None]

    def _place(self, x: Tensor) -> Tensor:
        if SENSOR in self.places:
            located: Tensor = self.node(x[:, -1, :, self.places[SENSOR]].long())
            return located
        return self.node.weight.expand(len(x), -1, -1)

    def _last(self, x: Tensor) -> Tensor:
        """Last observed value ``[batch, node]``; 0, the training mean, where the window holds none."""
        values = x[..., self.target]
        if self.observed is None:
            return values[:, -1]
        order = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        latest = (x[..., self.observed] * order).argmax(dim=1, keepdim=True)
        return values.gather(1, latest)[:, 0]
