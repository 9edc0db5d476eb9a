"""Numeric precision of forward and backward passes."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from graphprune.errors import InputError

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(device: torch.device, precision: str) -> None:
    """Refuse ``fp16`` on a CPU, where it saves no time and loses range.

    Raises:
        InputError: ``precision`` is fp16 and the device is a CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise InputError(
            "precision: fp16 needs a GPU (this run is on the CPU); use precision: bf16 or float32"
        )


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Autocast context for a precision; it has no effect for ``float32``."""
    return torch.autocast(device.type, dtype=_DTYPES[precision], enabled=precision != "float32")
