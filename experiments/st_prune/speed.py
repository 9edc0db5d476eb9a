"""A training step of STID beside its naive einsum form: forward, backward and AdamW on 64 windows of METR-LA's shape.

python -m experiments.st_prune.speed [SECTION ...]    (options: experiments/harness.py)

The naive form is the paper's text written down: ``[batch, feature, node]``, every identity looked up for each node
of each window, each layer an einsum with its weights, torch's own dropout. Both share weights and forecast the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from experiments.harness import medians, ratios, run_sections
from graphprune.data.base import TaskInfo
from graphprune.data.windows import DAY_OF_WEEK, TIME_OF_DAY
from graphprune.models.stid import STID

BATCH, WINDOW, SENSORS, STEPS = 64, 12, 207, 10
SIZES = {
    "default": {"width": 32, "embedding": 16, "blocks": 2},
    "paper": {"width": 32, "embedding": 32, "blocks": 3},
}


class NaiveSTID(nn.Module):
    """The same network and weights without any thought for layout."""

    def __init__(self, model: STID) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        for block in self.model.blocks:
            block[2] = nn.Dropout(block[2].p)

    def forward(self, x: Tensor) -> Tensor:
        # x: [batch, time, node, feature]
        m = self.model
        batch, _, nodes, _ = x.shape
        flat = x[..., : m.readings].permute(0, 1, 3, 2).reshape(batch, -1, nodes)
        where = torch.arange(nodes, device=x.device).expand(batch, nodes)
        parts = [_layer(m.window, flat), m.node(where).transpose(1, 2)]
        for name, count in ((TIME_OF_DAY, m.steps_per_day), (DAY_OF_WEEK, 7)):
            slots = (x[:, -1, :, m.places[name]] * count).round().long() % count
            parts.append(m.clock[name](slots).transpose(1, 2))
        hidden = torch.cat(parts, dim=1)
        for first, activation, dropout, second in m.blocks:
            hidden = hidden + _layer(second, dropout(activation(_layer(first, hidden))))
        return _layer(m.head, hidden) + m.last_observed(x)


def _layer(linear: nn.Linear, hidden: Tensor) -> Tensor:
    return torch.einsum("oh,bhn->bon", linear.weight, hidden) + linear.bias[:, None]


def task() -> TaskInfo:
    """METR-LA's shape."""
    channels = ("speed", TIME_OF_DAY, DAY_OF_WEEK)
    shape = (WINDOW, SENSORS, len(channels))
    return TaskInfo("forecasting", shape, horizon=12, steps_per_day=288, channels=channels, n_sensors=SENSORS)


def windows(batch: int) -> tuple[Tensor, Tensor]:
    """Made-up windows ``[batch, time, node, feature]`` and targets ``[batch, horizon, node]``."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(batch, WINDOW, SENSORS, 3, generator=draws)
    x[..., 1] = torch.rand(batch, 1, 1, generator=draws)
    x[..., 2] = torch.randint(0, 7, (batch, 1, 1), generator=draws) / 7
    return x, torch.randn(batch, 12, SENSORS, generator=draws)


def stid(repeats: int, scale: float) -> dict[str, Any]:
    """Both sizes, `STEPS` training steps at a time, both forms in turns."""
    x, y = windows(max(2, int(BATCH * scale)))
    result: dict[str, Any] = {"batch": len(x), "steps": STEPS}
    for name, size in SIZES.items():
        model = STID(info=task(), **size)
        nn.init.normal_(model.head.weight, std=0.1)
        forms: dict[str, nn.Module] = {"ours": model, "naive": NaiveSTID(model)}
        with torch.no_grad():
            apart = float((forms["ours"].eval()(x) - forms["naive"].eval()(x)).abs().max())
        if apart > 1e-4:
            raise SystemExit(f"the two forms differ by {apart:g}")
        found = medians({form: _training(each, x, y) for form, each in forms.items()}, repeats)
        result[name] = {**size, **found, **ratios(found, "naive", "ours"), "largest_difference": apart}
    return result


def _training(form: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(form.parameters(), 1e-5)
    form.train()

    def steps() -> None:
        for _ in range(STEPS):
            loss = (form(x) - y).abs().mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return steps


if __name__ == "__main__":
    folder = Path(__file__).parent
    run_sections(__doc__.splitlines()[0], {"stid": stid}, folder, ("torch",), script=Path(__file__).stem)
