"""Adversarial training: classification that is robust against small changes of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

from graphprune.data.base import Samples
from graphprune.embed.module import evaluation, evaluation_mode
from graphprune.errors import InputError
from graphprune.options import NonNegative, Part, Positive
from graphprune.registry import register
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.rng import generator
from graphprune.train.paradigms.base import Noise
from graphprune.train.paradigms.supervised import Supervised

_BATCH = 256


@register(
    "paradigm",
    "adversarial",
    source="Madry et al., ICLR 2018, arXiv 1706.06083; Zhang et al., ICML 2019, arXiv 1901.08573",
    status="ours",
)
class Adversarial(Supervised):
    r"""Adversarial: train on the worst input near each sample, by PGD or TRADES.

    .. math:: \text{PGD: } l(f(x'), y) \qquad
        \text{TRADES: } l(f(x), y) + \beta\, \mathrm{KL}(f(x) \,\|\, f(x'))

    where x' results from ``steps`` ascents :math:`x' \leftarrow \Pi_{\epsilon}(x' + \alpha\,\mathrm{sign}\,\nabla)`
    of the cross-entropy (TRADES: of the divergence) from a random point of the :math:`L_\infty` ball of radius
    :math:`\epsilon`, in evaluation mode. graphprune formulation: TRADES passes clean and attacked inputs through
    the network as one batch, so that batch norm uses both.

    ``outputs`` are those of the attacked inputs ``[B, C]``, or of clean and attacked inputs ``[B, 2, C]`` if both are
    required. The metric is the accuracy on clean inputs; `robust_accuracy` is that on attacked inputs.

    Args:
        method: ``pgd`` or ``trades`` (default: pgd).
        epsilon: Radius, in units of the data; 8-bit images have values in 0..1 (default: 8/255).
        step: Length of one ascent (default: 2/255).
        steps: Number of ascents (default: 10).
        beta: Weight of TRADES' divergence (default: 6).
        signals: Inputs whose predictions are scored: ``adversarial`` or ``clean`` (default: adversarial).
        std: Standard deviation per channel by which inputs were divided (default: 1).
        limits: Smallest and largest value of an input after standardization, per channel, or None.
        label_smoothing: Label smoothing of the training loss.

    Cost: an ascent counts as two forward passes (no gradient of the weights is computed); TRADES trains on two
    inputs per sample.
    """

    draws = True

    def __init__(
        self,
        *,
        method: Literal["pgd", "trades"] = "pgd",
        epsilon: Positive = 8 / 255,
        step: Positive = 2 / 255,
        steps: Annotated[int, Field(ge=1, le=100_000)] = 10,
        beta: NonNegative = 6.0,
        signals: Literal["clean", "adversarial"] = "adversarial",
        std: Annotated[Sequence[Positive], Field(min_length=1)] | None = None,
        limits: Annotated[Sequence[Sequence[float]], Field(min_length=2, max_length=2)] | None = None,
        label_smoothing: Part = 0.0,
    ) -> None:
        super().__init__(label_smoothing=label_smoothing)
        self.method, self.epsilon, self.step, self.steps, self.beta = method, epsilon, step, steps, beta
        self.scored, self.std, self.limits = signals, std, limits
        search = 2 * steps + (method == "trades")
        self.extra_trained = search + (3 if method == "trades" else signals == "clean")
        self.extra_observed = search if signals == "adversarial" else 0

    def check(self, job: JobFacts) -> None:
        channels = job.input_shape[0] if job.input_shape else 1
        given = {
            "std": self.std,
            **dict(zip(("lower limits", "upper limits"), self.limits or (), strict=False)),
        }
        for name, values in given.items():
            if values is not None and len(values) not in (1, channels):
                raise InputError(
                    f"{name} has {len(values)} values for {channels} channels; set one value per channel"
                )

    def outputs(self, model: nn.Module, x: Tensor, targets: Tensor, noise: Noise | None) -> Tensor:
        changed = self.attack(model, x, targets, noise)
        if self.method == "trades":
            clean, hard = model(torch.cat([x, changed])).chunk(2)
            return torch.stack([clean, hard], dim=1)
        hard = model(changed)
        if self.scored == "adversarial":
            return hard  # type: ignore[no-any-return]
        # The last pass, in evaluation mode: recorded features then belong to the clean inputs, too.
        with evaluation(bare(model)):
            clean = bare(model)(x)
        return torch.stack([clean, hard], dim=1)

    def observed(self, model: nn.Module, x: Tensor, targets: Tensor, noise: Noise | None) -> Tensor:
        shown = x if self.scored == "clean" else self.attack(model, x, targets, noise)
        outputs: Tensor = model(shown)
        return outputs

    def features(self, features: Tensor, count: int) -> Tensor:
        if len(features) == count:
            return features
        clean, hard = features.chunk(2)
        return clean if self.scored == "clean" else hard

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if outputs.dim() == 2:
            return super().losses(outputs, targets)
        clean, hard = outputs.unbind(1)
        if self.method == "pgd":
            return super().losses(hard, targets)
        return super().losses(clean, targets) + self.beta * divergence(clean, hard)

    def signals(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> dict[str, Tensor]:
        logits = outputs.detach().float()
        if logits.dim() == 3:
            logits = logits[:, 0 if self.scored == "clean" else 1]
        return {
            "logits": logits,
            "targets": targets,
            "loss": cross_entropy(logits, targets, reduction="none"),
        }

    @torch.enable_grad()
    def attack(self, model: nn.Module, x: Tensor, targets: Tensor, noise: Noise | None) -> Tensor:
        """Attacked inputs ``[B, ...]`` within ``epsilon`` of ``x``."""
        network, x = bare(model), x.detach()
        radius, length = self._in_units(self.epsilon, x), self._in_units(self.step, x)
        low, high = x - radius, x + radius
        if self.limits is not None:
            low = low.maximum(per_channel(self.limits[0], x))
            high = high.minimum(per_channel(self.limits[1], x))
        start = 2 * (noise or Noise()).uniform(x) - 1
        changed = (x + radius * start).maximum(low).minimum(high)
        with evaluation_mode(network):
            with torch.no_grad():
                clean = network(x) if self.method == "trades" else None
            # Weights that autocast cached without gradients must not be used in passes that need gradients.
            torch.clear_autocast_cache()
            for _ in range(self.steps):
                changed.requires_grad_(True)
                outputs = network(changed)
                wrong = (
                    cross_entropy(outputs.float(), targets, reduction="none")
                    if clean is None
                    else divergence(clean, outputs)
                )
                (gradient,) = torch.autograd.grad(wrong.sum(), changed)
                changed = (changed.detach() + length * gradient.sign()).maximum(low).minimum(high)
        return changed

    def _in_units(self, length: float, x: Tensor) -> Tensor | float:
        return length if self.std is None else length / per_channel(self.std, x)


def divergence(clean: Tensor, hard: Tensor) -> Tensor:
    """Kullback-Leibler divergence ``[B]`` of two rows of logits ``[B, C]``."""
    p, q = log_softmax(clean.float(), dim=1), log_softmax(hard.float(), dim=1)
    total: Tensor = (p.exp() * (p - q)).sum(dim=1)
    return total


def robust_accuracy(
    model: nn.Module, samples: Samples, paradigm: Adversarial, *, seed: int, device: torch.device
) -> float:
    """Fraction of samples that are still classified correctly after the paradigm's own attack."""
    right = torch.zeros((), dtype=torch.int64, device=device)
    parts = torch.split(torch.arange(len(samples)), _BATCH)
    with evaluation(model):
        for number, batch in enumerate(samples.batches(parts, device=device)):
            changed = paradigm.attack(model, batch.x, batch.y, Noise(generator(seed, "robust", number)))
            right += (model(changed).argmax(dim=1) == batch.y).sum()
    return float(right) / len(samples)


def bare(model: nn.Module) -> nn.Module:
    """The model without wrappers for several processes or compilation, which require paired passes."""
    for wrapper in ("_orig_mod", "module"):
        model = getattr(model, wrapper, model)
    return model


def per_channel(values: Sequence[float], x: Tensor) -> Tensor:
    """One value per channel, in the shape of a batch."""
    column = torch.tensor(values).to(x, non_blocking=True)
    return column.view(1, -1, *(1,) * (x.dim() - 2))
