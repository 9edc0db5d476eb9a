"""A training step of STID beside its naive einsum form, in one process.

    python experiments/st_prune/speed.py [--threads 2] [--repeats 40] [--out results/speed.json]

The naive form is the paper's text written down: ``[batch, feature, node]``, every identity looked up for each node
of each window, each layer an einsum with its weights, torch's own dropout. Both share weights and forecast the same.
A step is forward, backward and AdamW on 64 windows of 12 steps. Figures are the minimum over repeats, which other
work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from graphprune.data.base import TaskInfo
from graphprune.data.windows import DAY_OF_WEEK, TIME_OF_DAY
from graphprune.train.models.stid import STID

BATCH, STEPS, SENSORS = 64, 12, 207
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
    shape = (STEPS, SENSORS, len(channels))
    return TaskInfo("forecasting", shape, horizon=12, steps_per_day=288, channels=channels, n_sensors=SENSORS)


def windows() -> tuple[Tensor, Tensor]:
    """Made-up windows ``[batch, time, node, feature]`` and targets ``[batch, horizon, node]``."""
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, STEPS, SENSORS, 3, generator=draws)
    x[..., 1] = torch.rand(BATCH, 1, 1, generator=draws)
    x[..., 2] = torch.randint(0, 7, (BATCH, 1, 1), generator=draws) / 7
    return x, torch.randn(BATCH, 12, SENSORS, generator=draws)


def measure(size: dict[str, int], repeats: int) -> dict[str, float]:
    """Milliseconds of a training step of both forms, taken in turns."""
    model = STID(info=task(), **size)
    nn.init.normal_(model.head.weight, std=0.1)
    forms: dict[str, nn.Module] = {"ours": model, "naive": NaiveSTID(model)}
    x, y = windows()
    with torch.no_grad():
        apart = (forms["ours"].eval()(x) - forms["naive"].eval()(x)).abs().max()
    if apart > 1e-4:
        raise SystemExit(f"the two forms differ by {apart:g}")
    best = dict.fromkeys(forms, float("inf"))
    optimizers = {name: torch.optim.AdamW(form.parameters(), 1e-5) for name, form in forms.items()}
    for _ in range(repeats):
        for name, form in forms.items():
            form.train()
            start = time.perf_counter()
            loss = (form(x) - y).abs().mean()
            optimizers[name].zero_grad(set_to_none=True)
            loss.backward()
            optimizers[name].step()
            best[name] = min(best[name], 1000 * (time.perf_counter() - start))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result: dict[str, Any] = {"load_before": os.getloadavg()[0], "threads": options.threads}
    result |= {"cores": os.cpu_count(), "torch": version("torch"), "repeats": options.repeats}
    for name, size in SIZES.items():
        best = measure(size, options.repeats)
        result[name] = {**size, "milliseconds": best, "speedup": best["naive"] / best["ours"]}
    result["load_after"] = os.getloadavg()[0]
    text = json.dumps(result, indent=1)
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
