"""Graph WaveNet: dilated causal convolutions over time and diffusion over a given and a learned graph."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, InstanceOf
from torch import Tensor, nn

from graphprune.data.base import TaskInfo
from graphprune.errors import InputError
from graphprune.models.dropout import Dropout
from graphprune.models.forecaster import Forecaster
from graphprune.options import Depth, Layers, Part, Width
from graphprune.registry import register


@register("model", "graph_wavenet", source="Wu et al., IJCAI 2019, arXiv 1906.00121", status="abstract")
class GraphWaveNet(Forecaster):
    r"""Graph WaveNet: forecast by stacked gated temporal convolutions, each followed by graph diffusion.

    .. math:: u = \tanh(\theta_1 \star h) \odot \sigma(\theta_2 \star h), \qquad
        h' = h + W_0 u + \sum_{P \in \{P_f, P_b, A\}} \sum_{k=1}^{K} P^k u\, W_{P,k}, \qquad
        A = \mathrm{softmax}(\mathrm{relu}(E_1 E_2^\top))

    :math:`P_f, P_b` are the row-normalized links and their transpose; without links only A is used.
    Internally, tensors are ``[node, batch, time, channel]``, so that diffusion is one ``[N, N]`` product and a
    1 x 1 convolution is a linear layer; a skip connection needs only the last step. The forecast is the
    difference from the last observed value, unlike in the paper (``residual=False`` gives the paper's form).

    Args:
        info: The task: whole-network windows. Its ``links`` are the given graph.
        channels: Channels of the convolutions (default: 32).
        skip: Channels of the skip connections (default: 256).
        end: Channels before the head (default: 512).
        blocks: Number of blocks; the dilations in each block are 1, 2, 4, ... (default: 4).
        layers: Layers in a block (default: 2).
        order: Steps K of the diffusion (default: 2).
        embedding: Width of the node embeddings that A is computed from (default: 10).
        dropout: Dropout probability after each diffusion (default: 0.3).
        residual: Whether to forecast the difference from the last observed value (default: True).

    Shapes:
        ``[batch, time, node, feature]`` -> ``[batch, horizon, node]`` in standardized units.

    Raises:
        InputError: the windows show one sensor instead of the whole network.

    Cost: O(B T C (N^2 order + N C)) time per layer for B windows and C channels.

    >>> import torch
    >>> from graphprune.data.base import TaskInfo
    >>> info = TaskInfo("forecasting", (6, 3, 1), horizon=4, channels=("speed",), n_sensors=3)
    >>> GraphWaveNet(info=info, channels=4, blocks=1)(torch.zeros(2, 6, 3, 1)).shape
    torch.Size([2, 4, 3])
    """

    supports: Tensor

    def __init__(
        self,
        *,
        info: InstanceOf[TaskInfo],
        channels: Width = 32,
        skip: Width = 256,
        end: Width = 512,
        blocks: Depth = 4,
        layers: Annotated[int, Field(ge=1, le=12)] = 2,
        order: Layers = 2,
        embedding: Width = 10,
        dropout: Part = 0.3,
        residual: bool = True,
    ) -> None:
        super().__init__(info)
        _, nodes, features = info.input_shape
        if nodes != info.n_sensors:
            raise InputError(
                f"model graph_wavenet needs windows of all {info.n_sensors} sensors, but each window has {nodes}; "
                "set data.granularity: network"
            )
        links = torch.zeros(0, nodes, nodes)
        if info.links is not None:
            strengths = torch.from_numpy(info.links)
            links = torch.stack([_row_normalized(strengths), _row_normalized(strengths.T)])
        self.register_buffer("supports", links)
        self.order, self.residual = order, residual
        self.dilations = [2**layer for _ in range(blocks) for layer in range(layers)]
        self.reach = 1 + sum(self.dilations)
        self.source = nn.Parameter(torch.randn(nodes, embedding))
        self.sink = nn.Parameter(torch.randn(nodes, embedding))
        self.start = nn.Linear(features, channels)
        count = len(self.dilations)
        # Filter and gate in one layer, applied to the previous step and the step itself.
        self.temporal = nn.ModuleList(nn.Linear(2 * channels, 2 * channels) for _ in range(count))
        spread = channels * (1 + order * (len(links) + 1))
        # Only its skip connection follows the last layer.
        self.mix = nn.ModuleList(nn.Linear(spread, channels) for _ in range(count - 1))
        self.norms = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(count - 1))
        self.skips = nn.ModuleList(nn.Linear(channels, skip) for _ in range(count))
        self.dropout = Dropout(dropout)
        self.end = nn.Linear(skip, end)
        self.head = nn.Linear(end, info.horizon)

    def forward(self, x: Tensor) -> Tensor:
        """Forecasts ``[batch, horizon, node]`` of windows ``x [batch, time, node, feature]``, both standardized."""
        hidden = self.start(x.permute(2, 0, 1, 3))
        if (short := self.reach - hidden.shape[2]) > 0:
            hidden = nn.functional.pad(hidden, (0, 0, short, 0))
        learned = torch.softmax(torch.relu(self.source @ self.sink.T), dim=1)
        graphs = [*self.supports, learned]
        skipped = torch.zeros((), device=x.device)
        last = len(self.dilations) - 1
        for layer, dilation in enumerate(self.dilations):
            pairs = torch.cat([hidden[:, :, :-dilation], hidden[:, :, dilation:]], dim=-1)
            filtered, gate = self.temporal[layer](pairs).chunk(2, dim=-1)
            gated = torch.tanh(filtered) * torch.sigmoid(gate)
            skipped = skipped + self.skips[layer](gated[:, :, -1])
            if layer == last:
                break
            spread = self.dropout(self.mix[layer](torch.cat(self._diffuse(gated, graphs), dim=-1)))
            hidden = spread + hidden[:, :, dilation:]
            hidden = self.norms[layer](hidden.flatten(0, 2)).view_as(hidden)
        # [node, batch, channel] -> [batch, node, channel]: the head's input represents the window.
        ended = torch.relu(self.end(torch.relu(skipped.transpose(0, 1))))
        forecast: Tensor = self.head(ended).transpose(1, 2)
        return forecast + self.last_observed(x) if self.residual else forecast

    def _diffuse(self, u: Tensor, graphs: list[Tensor]) -> list[Tensor]:
        """Returns ``u [node, ...]`` and its 1 to K step diffusions over each graph."""
        parts = [u]
        for graph in graphs:
            spread = u.flatten(1)
            for _ in range(self.order):
                spread = graph @ spread
                parts.append(spread.view_as(u))
        return parts


def _row_normalized(strengths: Tensor) -> Tensor:
    return strengths / strengths.sum(dim=1, keepdim=True).clamp(min=1e-12)
