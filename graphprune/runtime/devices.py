"""Where tensors lie, by documented rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from graphprune.errors import InputError


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` takes CUDA if present, else the CPU; a named device must be there, and CUDA's has its index.

    Raises:
        InputError: the device is not there, or of a kind without float64 (Apple's MPS), which sums of losses need.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device '{name}' is none; use device: cuda, cpu or auto") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device '{name}' is not supported; use device: cuda, cpu or auto")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device '{name}' is not available on this machine; use device: auto or cpu")
    return indexed(device)


def indexed(device: torch.device) -> torch.device:
    """The device with its number: ``cuda`` and ``cuda:0`` are one place, but compare as unequal."""
    if str(device) == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return device


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """On CUDA, convolutions by cuDNN's deterministic algorithms, chosen without trying; elsewhere nothing."""
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    former = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = former


def fits_on(device: torch.device, size: int) -> bool:
    """Whether ``size`` bytes are at most a quarter of a CUDA device's free memory; other devices hold everything."""
    return device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] / 4
