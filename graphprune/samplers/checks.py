"""Input checks of samplers: only types, shapes and dtypes, so that a step never waits for the device."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from graphprune.errors import InputError


def check_plan(n: Any, epochs: Any) -> None:
    """Raises `InputError` unless ``n`` and ``epochs`` are positive finite numbers."""
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise InputError(f"n is {n!r}; give the number of samples as an integer of at least 1")
    if isinstance(epochs, bool) or not isinstance(epochs, Real) or not 0 < float(epochs) < math.inf:
        raise InputError(f"epochs is {epochs!r}; give the planned number of epochs, a finite number above 0")


def check_epoch(epoch: Any) -> None:
    """Raises `InputError` unless ``epoch`` is an integer 0, 1, 2, ..."""
    if isinstance(epoch, bool) or not isinstance(epoch, Integral) or epoch < 0:
        raise InputError(f"epoch is {epoch!r}; give an integer 0, 1, 2, ...")


def check_rows(rows: Any) -> None:
    """Raises `InputError` unless ``rows`` is a non-empty batch of row numbers ``[B]``."""
    whole = isinstance(rows, Tensor) and rows.dtype in (torch.int64, torch.int32)
    if not whole or rows.dim() != 1 or not len(rows):
        raise InputError(f"rows {_found(rows)}; give the row numbers of the batch as an int64 tensor [B]")


def check_losses(losses: Any, count: int, *, pairs: bool = False) -> None:
    """Raises `InputError` unless ``losses`` has one floating-point number for each of ``count`` samples.

    Args:
        losses: ``[B]``.
        count: Number of rows B.
        pairs: Whether ``[B, B]``, one loss for each pair of samples, is also accepted.
    """
    shapes = [(count,), (count, count)] if pairs else [(count,)]
    if not isinstance(losses, Tensor) or losses.shape not in shapes or not losses.is_floating_point():
        raise InputError(
            f"losses {_found(losses)} for {count} rows; give one floating-point loss per sample [B] "
            "(reduction='none', mean over the other dimensions)"
        )


def check_features(features: Any, count: int) -> None:
    """Raises `InputError` unless ``features`` has one floating-point vector for each of ``count`` samples."""
    vectors = isinstance(features, Tensor) and features.dim() >= 2 and features.is_floating_point()
    if not vectors or len(features) != count:
        raise InputError(f"features {_found(features)} for {count} rows; give a floating-point tensor [B, H]")


def check_errors(errors: Any, count: int) -> None:
    """Raises `InputError` unless ``errors`` is floating point ``[B, T, S]`` for ``count`` samples."""
    forecasts = isinstance(errors, Tensor) and errors.dim() == 3 and errors.is_floating_point()
    if not forecasts or len(errors) != count:
        raise InputError(f"errors {_found(errors)} for {count} rows; give a floating-point tensor [B, T, S]")


def _found(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"have shape {list(value.shape)} and type {str(value.dtype).removeprefix('torch.')}"
    return f"are a {type(value).__name__}"
