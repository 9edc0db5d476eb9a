"""STID: a multi-layer perceptron over a window and the embeddings of its sensor and time."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import InstanceOf
from torch import Tensor, nn
from torch.nn.functional import linear

from graphprune.data.base import TaskInfo
from graphprune.data.windows import DAY_OF_WEEK, SENSOR, TIME_OF_DAY
from graphprune.models.dropout import Dropout
from graphprune.models.forecaster import Forecaster
from graphprune.options import Layers, Part, Width
from graphprune.registry import register

# With more blocks, the products of all pairs of blocks cost more than the layers themselves.
_MOST_FOLDED = 4


@register("model", "stid", source="Shao et al., CIKM 2022, arXiv 2208.05233", status="abstract")
class STID(Forecaster):
    r"""STID: forecast by one residual perceptron, shared by all nodes, over a window, its node and the clock.

    .. math:: h_0 = [W\,x_{1..T};\ e_{node};\ e_{time\ of\ day};\ e_{day\ of\ week}], \quad
        h_{l+1} = h_l + W_2\,\mathrm{drop}(\mathrm{relu}(W_1 h_l)), \quad \hat y = x_{last} + W_3 h_L

    It differs from the paper in two ways that help on small data: the forecast is the difference from the last
    observed value, and the head and the calendar embeddings start at 0. The untrained model therefore forecasts
    the last value, and a weekday that is absent from the training data adds nothing.

    Args:
        info: The task; its ``channels`` separate the clock's channels from the readings.
        width: Width of the window's projection (default: 32).
        embedding: Width of each identity's embedding (default: 16).
        blocks: Residual blocks (default: 2).
        dropout: Dropout probability inside the blocks (default: 0.1).

    Shapes:
        ``[batch, time, node, feature]`` -> ``[batch, horizon, node]`` in standardized units.

    Cost: O(B N (T width + blocks H^2)) time for B windows of T steps and N nodes, with hidden width H.

    >>> import torch
    >>> from graphprune.data.base import TaskInfo
    >>> info = TaskInfo("forecasting", (6, 3, 1), horizon=4, channels=("speed",), n_sensors=3)
    >>> window = torch.arange(6.0)[None, :, None, None].expand(1, 6, 3, 1)
    >>> STID(info=info)(window)[0, :, 0].tolist()  # untrained: the last value
    [5.0, 5.0, 5.0, 5.0]
    """

    def __init__(
        self,
        *,
        info: InstanceOf[TaskInfo],
        width: Width = 32,
        embedding: Width = 16,
        blocks: Layers = 2,
        dropout: Part = 0.1,
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
        """Forecasts ``[batch, horizon, node]`` of windows ``x [batch, time, node, feature]``, both standardized."""
        flat = x[..., : self.readings].transpose(1, 2).flatten(2)
        # Each is [batch or 1, node or 1, embedding].
        identities = [self._place(x)]
        identities += [self.clock[name](slots) for name, slots in self.slots(x[:, -1:]).items()]
        folds = len(self.blocks) <= _MOST_FOLDED and not self._has_hooks()
        forecast = self._folded(flat, identities) if folds else self._by_layers(flat, identities)
        return forecast.transpose(1, 2) + self.last_observed(x)

    def _by_layers(self, flat: Tensor, identities: list[Tensor]) -> Tensor:
        """Computes the formula layer by layer: ``flat [batch, node, F]`` -> ``[batch, node, horizon]``."""
        parts = [self.window(flat), *identities]
        hidden = torch.cat([part.expand(*flat.shape[:2], -1) for part in parts], dim=-1)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        forecast: Tensor = self.head(hidden)
        return forecast

    def _folded(self, flat: Tensor, identities: list[Tensor]) -> Tensor:
        r"""Computes the same up to rounding without any h: only linear layers read h, and their products are small.

        With :math:`u_j` the dropped-out activations of block j, a layer W, b that reads :math:`h_l` gives

        .. math:: W h_l + b = W h_0 + \sum_{j < l} (W W_{2,j})\, u_j + b + W \sum_{j < l} b_{2,j}

        where the parts of :math:`h_0` that nodes or windows share are multiplied only once. Two blocks then take
        one hidden-by-hidden product for each node and window instead of four.
        """
        # The window's own projection is folded too, unless it has more inputs than outputs.
        projects = flat.shape[-1] > self.window.out_features
        rows = (self.window(flat) if projects else flat).flatten(0, 1)
        sizes = [self.window.out_features, *(part.shape[-1] for part in identities)]
        activations: list[Tensor] = []
        shift = torch.zeros_like(self.head.weight[0])
        blocks: list[Any] = list(self.blocks)
        for layer, block in zip((*(block[0] for block in blocks), self.head), (*blocks, None), strict=True):
            weight, *others = torch.split(layer.weight, sizes, dim=1)
            bias = layer.bias + layer.weight @ shift
            if not projects:
                weight, bias = weight @ self.window.weight, bias + weight @ self.window.bias
            # The clock comes before the place, so that small terms are added first.
            shared = sum(map(linear, reversed(identities), reversed(others)), bias)
            out = torch.addmm(shared.expand(*flat.shape[:2], -1).flatten(0, 1), rows, weight.T)
            for activation, before in zip(activations, blocks, strict=False):
                out = torch.addmm(out, activation, (layer.weight @ before[3].weight).T)
            if block is not None:
                activations.append(block[1:3](out))
                shift = shift + block[3].bias
        return out.view(*flat.shape[:2], -1)

    def _has_hooks(self) -> bool:
        """Whether a layer has a hook and must be called (the embedding is the head's input)."""
        return any(m._forward_hooks or m._forward_pre_hooks for m in self.modules() if m is not self)

    def _place(self, x: Tensor) -> Tensor:
        if SENSOR in self.places:
            located: Tensor = self.node(x[:, -1, :, self.places[SENSOR]].long())
            return located
        return self.node.weight[None]
