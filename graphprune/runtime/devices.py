"""Device names, and whether data fit on a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from graphprune.errors import InputError


def resolve_device(name: str = "auto") -> torch.device:
    """Resolve a device name; ``auto`` is CUDA if available, otherwise the CPU. CUDA devices get an explicit index.

    Raises:
        InputError: the device is unknown, not available, or without float64 (such as Apple's MPS), which sums of
            losses need.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device '{name}'; expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"device '{name}' is not supported; expected auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device '{name}' is not available on this machine; use device: auto or cpu")
    return indexed(device)


def indexed(device: torch.device) -> torch.device:
    """The device with its index: ``cuda`` and ``cuda:0`` are the same device but compare as unequal."""
    if str(device) == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    return device


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """On CUDA, use deterministic cuDNN convolutions without benchmarking inside the block; no effect elsewhere."""
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
    """Whether ``size`` bytes are at most a quarter of the free memory of a CUDA device; always true elsewhere."""
    return device.type != "cuda" or size <= torch.cuda.mem_get_info(device)[0] / 4
