"""Embeddings from any nn.Module: the input of its last linear layer in an evaluation pass without augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from graphprune.data.base import Samples
from graphprune.errors import InputError
from graphprune.runtime.precision import autocast


class FeatureTap:
    """Records the penultimate representation of every forward pass while it is attached.

    ``features`` is the input of the last ``nn.Linear`` called, averaged over all dimensions except the first and
    the last: ``[B, H]``, in the dtype of the forward pass, detached.

    >>> model = nn.Sequential(nn.Identity(), nn.Linear(2, 1))
    >>> tap = FeatureTap(model)
    >>> _ = model(torch.tensor([[1.0, 2.0]]))
    >>> tap.features
    tensor([[1., 2.]])
    >>> tap.detach()
    """

    def __init__(self, model: nn.Module) -> None:
        self._latest: Tensor | None = None
        layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        if not layers:
            raise InputError(
                f"{type(model).__name__} has no nn.Linear whose input could be the embedding; "
                "end the model with one, or pass embeddings as a file (embedding: {source: file, path: ...})"
            )
        self._handles = [layer.register_forward_pre_hook(self._catch) for layer in layers]

    def _catch(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._latest = inputs[0].detach()

    @property
    def features(self) -> Tensor:
        """The latest representation ``[B, H]``."""
        assert self._latest is not None, "no forward pass has run"
        latest = self._latest
        return latest if latest.dim() == 2 else latest.flatten(1, -2).mean(dim=1)

    def detach(self) -> None:
        """Removes the hooks."""
        for handle in self._handles:
            handle.remove()


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Puts the model into evaluation mode without gradients, and restores its mode afterwards."""
    with evaluation_mode(model), torch.no_grad():
        yield


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Puts the model into evaluation mode with gradients, and restores the mode of each layer afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def embed_samples(
    model: nn.Module,
    samples: Samples,
    *,
    batch_size: int = 512,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    workers: int = 0,
    keep_outputs: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """Computes embeddings ``[N, H]`` and outputs ``[N, ...]`` (None unless ``keep_outputs``), float32 on the CPU.

    Cost: one forward pass over the data; O(N (H + outputs)) memory. Forecasts are far larger than embeddings.
    """
    device = torch.device(device)
    model.to(device)
    tap = FeatureTap(model)
    embeddings: Tensor | None = None
    outputs: Tensor | None = None
    try:
        with evaluation(model):
            order = torch.split(torch.arange(len(samples)), batch_size)
            for start, batch in enumerate(samples.batches(order, device=device, workers=workers)):
                with autocast(device, precision):
                    out = model(batch.x)
                if embeddings is None:
                    embeddings = torch.empty(len(samples), tap.features.shape[1])
                    outputs = torch.empty(len(samples), *out.shape[1:]) if keep_outputs else None
                rows = slice(start * batch_size, start * batch_size + len(batch.rows))
                embeddings[rows] = tap.features.float().cpu()
                if outputs is not None:
                    outputs[rows] = out.float().cpu()
    finally:
        tap.detach()
    assert embeddings is not None
    return embeddings, outputs
