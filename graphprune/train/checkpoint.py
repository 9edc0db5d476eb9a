"""Checkpoints of a training run: one file, whole or absent, read without pickle."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from graphprune.errors import InputError
from graphprune.files import must_exist, read_npz, write_atomic
from graphprune.rng import generator


class Checkpoint:
    """Saves the state of a run now and then, and finds it again.

    Args:
        path: The file; its folder is made.
        every_seconds: Least time between two saves (0: at every opportunity). Results do not depend on it.
    """

    def __init__(self, path: Path, *, every_seconds: float = 30.0) -> None:
        self.path, self.every_seconds = path, every_seconds
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the least time has passed."""
        return time.monotonic() - self._last >= self.every_seconds

    def save(self, state: dict[str, Any]) -> None:
        """Writes nested dicts and lists of tensors, numbers and strings."""
        write_atomic(self.path, lambda p: torch.save(state, p))
        self._last = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None if there is none that can be read."""
        if not self.path.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (MemoryError, PermissionError):
            raise
        except Exception as error:  # a damaged file is worth as much as none: the training starts over
            warnings.warn(
                f"{self.path} cannot be read ({type(error).__name__}); this training starts over",
                stacklevel=2,
            )
            return None
        return state

    def delete(self) -> None:
        """Removes the file once the run's results are written."""
        self.path.unlink(missing_ok=True)


def save_weights(model: nn.Module, path: Path) -> None:
    """Writes the model's state as safetensors; the same weights give the same bytes."""
    # Cloned, because weights that are tied share their memory, which safetensors refuses.
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    write_atomic(path, lambda p: save_file(state, p))


def load_weights(model: nn.Module, path: Path) -> None:
    """Fills the model from ``.safetensors`` or ``.npz``; every parameter must be there with its shape."""
    if path.suffix == ".npz":
        state = {name: torch.from_numpy(array) for name, array in read_npz(path).items()}
    else:
        try:
            state = load_file(must_exist(path))
        except SafetensorError as error:
            raise InputError(f"{path} is not a readable safetensors file ({error}); write it anew") from error
    own = model.state_dict()
    for name, tensor in own.items():
        if name.endswith("num_batches_tracked"):
            state.setdefault(name, tensor)
        if name not in state:
            raise InputError(
                f"{path} has no weight '{name}'; it belongs to another model than {type(model).__name__}"
            )
        if state[name].shape != tensor.shape:
            raise InputError(
                f"{path}: weight '{name}' has shape {list(state[name].shape)}, the model needs {list(tensor.shape)}"
            )
    model.load_state_dict({name: state[name] for name in own})


def shrink_and_perturb(model: nn.Module, shrink: float, noise: float, *, seed: int) -> None:
    """Loosens trained weights before they are trained on: ``shrink * w + noise * N(0, 1)``, buffers untouched.

    Reference: Ash & Adams, NeurIPS 2020, arXiv 1910.08475 (they use 0.6 and 0.01).
    """
    draws = generator(seed, "perturb")
    with torch.no_grad():
        for parameter in model.parameters():
            perturbation = torch.randn(parameter.shape, generator=draws).to(parameter)
            parameter.mul_(shrink).add_(perturbation, alpha=noise)
