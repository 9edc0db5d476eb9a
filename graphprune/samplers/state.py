"""Validation of a sampler's saved state: everything is checked before the sampler changes."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from graphprune.errors import InputError

if TYPE_CHECKING:
    from graphprune.samplers.base import EpochSampler


class SavedState(NamedTuple):
    """A valid state: what was learned per row, the epoch's order and weights, and the position in the epoch."""

    learned: dict[str, Tensor]
    rows: Tensor
    loss_weights: Tensor | None
    epoch: int
    step: int
    consumed: int


def read_state(sampler: EpochSampler, state: Any) -> SavedState:
    """Returns the parts of a state that belongs to ``sampler``.

    Raises:
        InputError: the object is not a sampler state, belongs to another sampler or data set, or contains invalid
            values.
    """
    try:
        return _read(sampler, state)
    except _MisfitError as error:
        raise InputError(
            f"the state of {type(sampler).__name__} {error}; load a state that the same sampler saved"
        ) from error


class _MisfitError(Exception):
    """What is wrong with the state; follows 'the state of InfoBatch' in the message."""


def _read(sampler: EpochSampler, state: Any) -> SavedState:
    if not isinstance(state, Mapping):
        raise _MisfitError(f"is a {type(state).__name__}, not a dict")
    needed = ("sampler", "n", "rows", "loss_weights", "epoch", "step", "consumed", *sampler._learned)
    if missing := sorted(set(needed) - state.keys()):
        raise _MisfitError(f"has no {missing[0]}")
    if not isinstance(state["sampler"], str) or state["sampler"] != type(sampler).__name__:
        raise _MisfitError(f"was saved by {state['sampler']!r}")
    if not isinstance(state["n"], Integral) or state["n"] != sampler.n:
        raise _MisfitError(f"covers {state['n']} samples, not {sampler.n}")
    learned = {name: _tensor(state, name, torch.float32, sampler.n) for name in sampler._learned}
    for name, values in learned.items():
        known = values[values != torch.inf] if name in sampler._infinite_if_unseen else values
        if not bool(known.isfinite().all()):
            raise _MisfitError(f"contains NaN or infinite values in {name}")
    weights = None
    if state["loss_weights"] is not None:
        weights = _tensor(state, "loss_weights", torch.float32, sampler.n)
        if not bool((weights.isfinite() & (weights >= 0)).all()):
            raise _MisfitError("contains loss_weights that are negative, NaN or infinite")
    rows = _tensor(state, "rows", torch.int64, None).cpu()
    if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= sampler.n:
        raise _MisfitError(f"contains rows outside 0 to {sampler.n - 1}, or no rows")
    if not sampler._repeats and len(torch.unique(rows)) != len(rows):
        raise _MisfitError("contains duplicate rows")
    place = {"epoch": None, "step": len(rows), "consumed": len(rows) // sampler.world_size}
    return SavedState(learned, rows, weights, **{k: _whole(state, k, most) for k, most in place.items()})


def _tensor(state: Mapping[str, Any], name: str, dtype: torch.dtype, length: int | None) -> Tensor:
    value: Any = state[name]
    shaped = isinstance(value, Tensor) and value.dim() == 1 and len(value) == (length or len(value))
    if not shaped or value.dtype != dtype:
        found = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        wanted = f"{dtype} [{'L' if length is None else length}]"
        raise _MisfitError(
            f"has {name} of {found.removeprefix('torch.')} instead of {wanted.removeprefix('torch.')}"
        )
    copy: Tensor = value.detach().clone()
    return copy


def _whole(state: Mapping[str, Any], name: str, most: int | None) -> int:
    value = state[name]
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < 0 or (most is not None and value > most):
        raise _MisfitError(
            f"has {name} {value!r}, which must be a whole number from 0"
            + (f" to {most}" if most is not None else "")
        )
    return int(value)
