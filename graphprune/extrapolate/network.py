"""Base class of extrapolators that fit a network to the scores of the seeds, with one training loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.extrapolate.features import Features, check_features
from graphprune.graph.proposals import native_bfloat16
from graphprune.options import Count, Decay, Part, Seed, Width
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.math import pearson
from graphprune.runtime.rng import generator, isolated_rng

Loss = Literal["mse", "rank"]
Precision = Literal["auto", "float32", "bfloat16"]
Run = Callable[[Tensor | None], Tensor]

# Steps between evaluations on the held-out seeds.
_EVERY = 10

# From this many samples on, bfloat16 is faster in total.
_BFLOAT16_FROM = 1024


@dataclass(kw_only=True, eq=False, repr=False)
class NetworkExtrapolator(Extrapolator):
    """Base class of extrapolators that train a network with Adam on standardized scores.

    10 % of the seeds are held out. The weights with the best Pearson correlation on them are kept, and training
    stops when the correlation has not improved for ``patience`` steps. With ``loss="rank"`` the loss of random pairs
    of seeds is ``softplus(-(f_i - f_j) * sign(s_i - s_j))``, and a line fitted on the training seeds maps outputs to
    scores. The standard deviation of every prediction is the root mean square error on the held-out seeds.

    Args:
        features: Columns of each sample, see `node_features` (default: one-hot label and embedding).
        normalize: Scale embeddings to length 1 (default: False, as in the paper).
        hidden: Widths of the hidden layers (default: 512 and 256).
        dropout: Dropout probability after each hidden layer (default: 0.5).
        steps: Maximum number of Adam steps (default: 1000).
        batch_size: Seeds per step; None uses all seeds.
        lr: Learning rate of Adam (default: 1e-3).
        weight_decay: Weight decay of Adam (default: 0).
        loss: ``mse`` or ``rank`` (default: ``mse``).
        patience: Steps without improvement on the held-out seeds before training stops (default: 100).
        precision: Number format of products during training, ``float32``, ``bfloat16`` or ``auto`` (default), which
            uses bfloat16 from 1,024 samples on if the hardware supports it natively. Weights and predictions are
            float32.
        seed: Random seed of all draws (default: 0).

    Raises:
        InputError: fewer than 10 seeds, or an unknown feature, loss or precision.
    """

    features: Features = ("label", "embedding")
    normalize: bool = False
    hidden: Sequence[Width] = (512, 256)
    dropout: Part = 0.5
    steps: Count = 1000
    batch_size: Count | None = 512
    lr: Annotated[float, Field(gt=0, le=100)] = 1e-3
    weight_decay: Decay = 0.0
    loss: Loss = "mse"
    patience: Count = 100
    precision: Precision = "auto"
    seed: Seed = 0

    @abstractmethod
    def _build(self, inputs: Inputs, seed_rows: Tensor) -> tuple[nn.Module, Run]:
        """Returns a network and the function that runs it.

        The function takes the rows ``[B]`` of seeds, or None for all samples, and returns outputs ``[B]``. During
        training it runs under autocast.
        """

    def check(self, job: JobFacts) -> None:
        super().check(job)
        check_features(self.features, job)

    @property
    def least_seeds(self) -> int:
        return 10

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        center, spread = seed_scores.mean(), seed_scores.std()
        targets = (seed_scores - center) / spread
        shuffled = torch.randperm(len(seed_rows), generator=generator(self.seed, "held out"))
        held, fit = shuffled.tensor_split([max(2, len(shuffled) // 10)])
        dtype = number_format(self.precision, inputs.n)
        # The cache of autocast would keep the weights of the first step, so it is off.
        fast = torch.autocast("cpu", torch.bfloat16, dtype == torch.bfloat16, cache_enabled=False)
        with isolated_rng(self.seed, "network"), fast:
            self.network_, run = self._build(inputs, seed_rows)
            self.steps_ = self._train(run, seed_rows[fit], targets[fit], seed_rows[held], targets[held])
        self.network_.eval()
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            outputs = run(None)
        slope, intercept = torch.tensor(1.0), torch.tensor(0.0)
        if self.loss == "rank":
            slope, intercept = _line(outputs[seed_rows[fit]], targets[fit])
        self.values_ = (slope * outputs + intercept) * spread + center
        error = self.values_[seed_rows[held]] - seed_scores[held]
        self.residual_std_ = float(error.square().mean().sqrt())
        self.heldout_pearson_ = pearson(outputs[seed_rows[held]], targets[held])

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return torch.full_like(self.values_, self.residual_std_)

    def _train(self, run: Run, rows: Tensor, targets: Tensor, held: Tensor, truth: Tensor) -> int:
        """Trains in place, restores the best weights, and returns the step that they were reached at."""
        network = self.network_
        optimizer = torch.optim.Adam(
            network.parameters(), lr=self.lr, weight_decay=self.weight_decay, fused=True
        )
        draw = generator(self.seed, "batches")
        best, best_step, kept = -2.0, 0, {}
        order, at = torch.randperm(len(rows), generator=draw), 0
        size = len(rows) if self.batch_size is None else min(self.batch_size, len(rows))
        for step in range(1, self.steps + 1):
            if at + size > len(rows):
                order, at = torch.randperm(len(rows), generator=draw), 0
            batch, at = order[at : at + size], at + size
            network.train()
            loss = _loss(self.loss, run(rows[batch]).to(torch.float32), targets[batch])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            if step % _EVERY == 0 or step == self.steps:
                network.eval()
                with torch.no_grad():
                    score = pearson(run(held).to(torch.float32), truth)
                if score > best:
                    best, best_step = score, step
                    kept = {name: value.clone() for name, value in network.state_dict().items()}
                elif step - best_step >= self.patience:
                    break
        if kept:
            network.load_state_dict(kept)
        return best_step


def number_format(precision: Precision, n: int) -> torch.dtype:
    """The number format that the option ``precision`` selects for ``n`` samples on the CPU."""
    if precision == "auto":
        fast = n >= _BFLOAT16_FROM and native_bfloat16(torch.device("cpu"))
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def mlp(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    """Creates linear layers with ReLU and dropout between them."""
    layers: list[nn.Module] = []
    for left, right in pairwise(sizes):
        layers += [nn.Linear(left, right), nn.ReLU(), Dropout(dropout)]
    return nn.Sequential(*layers[:-2])


# Not `models.dropout.Dropout`: for sizes divisible by 8 this class draws one more word, so every later draw, and with
# it the published figures, would change; it also caps ``p`` at 255/256.
class Dropout(nn.Module):
    """Dropout that draws one random byte per element, so that it costs less than the adjacent layers.

    ``p`` is rounded to a multiple of 1/256, and the kept elements are scaled accordingly.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.threshold = min(255, round(p * 256))

    def forward(self, x: Tensor) -> Tensor:
        """Sets a share ``p`` of ``x`` (of any shape) to 0 during training."""
        if not self.training or not self.threshold:
            return x
        words = torch.empty(x.numel() // 8 + 1, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.threshold
        return x * kept.to(x.dtype).mul_(256 / (256 - self.threshold))


def _loss(kind: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    if kind == "mse":
        return functional.mse_loss(outputs, targets)
    # Batches are in random order, so adjacent seeds are random pairs.
    gap, sign = outputs - outputs.roll(1), (targets - targets.roll(1)).sign()
    return functional.softplus(-gap * sign).mean()


def _line(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and intercept of the least-squares line of ``y`` on ``x``."""
    x0 = x - x.mean()
    slope = (x0 @ y) / x0.square().sum().clamp(min=1e-12)
    return slope, y.mean() - slope * x.mean()
