"""Device and precision of a run, by documented rules."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from graphprune.errors import InputError


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA if present, then Apple's MPS, else the CPU; a named device must be there."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device.type, False):
        raise InputError(f"device '{name}' is not available on this machine; use device: auto or cpu")
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """bf16 autocast for ``bf16``, nothing for ``float32``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
