"""Precision of a run, by documented rules."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from graphprune.errors import InputError

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(device: torch.device, precision: str) -> None:
    """Refuses ``fp16`` where it gains nothing and loses range.

    Raises:
        InputError: fp16 on a CPU.
    """
    if precision == "fp16" and device.type == "cpu":
        raise InputError(
            "precision: fp16 needs a GPU (this run is on the CPU); use precision: bf16 or float32"
        )


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """Autocast to the precision; nothing for ``float32``."""
    return torch.autocast(device.type, dtype=_DTYPES[precision], enabled=precision != "float32")
