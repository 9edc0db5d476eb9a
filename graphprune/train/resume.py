"""Resumes a training from a checkpoint, or restarts it if the checkpoint does not fit in every respect."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.samplers.base import EpochSampler
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.process_group import ProcessGroup


def resume(
    checkpoint: Checkpoint,
    group: ProcessGroup,
    device: torch.device,
    *,
    live: Callable[[], dict[str, Any]],
    check: Callable[[dict[str, Any], dict[str, Any]], None],
    apply: Callable[[dict[str, Any]], None],
    check_place: Callable[[], None],
) -> None:
    """Applies the checkpoint's state if it fits in all processes; otherwise it warns once and changes nothing.

    Args:
        checkpoint: The checkpoint, which may be absent.
        group: The processes of the training.
        device: Device of their communication.
        live: Returns the state of the training before its first step.
        check: Compares the saved state with the live one and raises if they do not fit.
        apply: Restores a state of the training.
        check_place: Raises if the applied state is not from a valid step of this training.
    """
    untrained: dict[str, Any] | None = None
    fits = False
    try:
        saved = checkpoint.read()
        if saved is not None:
            untrained = copy.deepcopy(live())
            check(saved, untrained)
            apply(saved)
            check_place()
            fits = True
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # any error of a part that receives a wrong state
        if group.writes:
            checkpoint.reject(error)
    # All processes read the file before one trains and overwrites it, and either all of them resume or none.
    everywhere = float(group.average(torch.tensor(float(fits), device=device))) == 1
    if untrained is not None and not everywhere:
        apply(untrained)


def refuse_other_place(
    sampler: EpochSampler, epoch: int, step: int, steps: Callable[[], tuple[Tensor, ...]], *, accumulate: int
) -> None:
    """Rejects a sampler state or a step that does not belong to the epoch of a checkpoint.

    Args:
        sampler: The sampler, with the state of the checkpoint.
        epoch: Epoch of the checkpoint.
        step: Completed steps of that epoch.
        steps: Returns the rows of each step of the sampler's epoch.
        accumulate: Batches per optimizer step.

    Raises:
        InputError: the sampler or the step does not belong to the epoch.
    """
    rows = sampler.order
    if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= sampler.n:
        raise InputError(f"the sampler's rows are not among {sampler.n} samples")
    # A new epoch's order is drawn when it starts.
    if sampler.epoch != (epoch if step else epoch - 1):
        raise InputError(f"the sampler is in epoch {sampler.epoch}, the training in epoch {epoch}")
    if step and (step >= len(steps()) or step % accumulate):
        raise InputError(f"step {step} is not a valid step of epoch {epoch}")


def check_state(
    saved: Any, live: Mapping[str, Any], optimizers: list[torch.optim.Optimizer], until: float
) -> None:
    """Compares a saved state of the training loop with the state of the same loop before its first step.

    Args:
        saved: The state in the checkpoint.
        live: The state that the loop would save now.
        optimizers: Optimizers of the loop, whose state is created by the first step.
        until: Epochs that the loop trains.

    Raises:
        InputError: keys, types, shapes or dtypes differ, weights or optimizer states are not finite, the epoch or
            step is not of this training, or counts contradict each other.
    """
    _same_keys(saved, live, "the state")
    for name in ("model", "stepper"):
        _same_keys(saved[name], live[name], name)
    _same_form(saved["model"], live["model"], "model", finite=True)
    for name in ("average", "scaler"):
        _same_form(saved["stepper"][name], live["stepper"][name], name, finite=True)
    _check_optimizers(saved["stepper"]["optimizers"], optimizers)
    # The length of an epoch's order and the snapshots of a recorder vary; their classes validate them.
    _same_form(saved["sampler"], live["sampler"], "sampler", free=("rows", "loss_weights"))
    _same_form(saved["recorder"], live["recorder"], "recorder", free=("kept",))
    for name in ("loss_sum", "visits", "cost", "evaluation_cost"):
        _same_form(saved[name], live[name], name)
    _check_moment(saved, until)
    _check_counts(saved)


def _check_moment(saved: Mapping[str, Any], until: float) -> None:
    epoch, step = saved["epoch"], saved["step_in_epoch"]
    for name, value in (("epoch", epoch), ("step_in_epoch", step)):
        if type(value) is not int or value < 0:
            raise InputError(f"{name} is {str(value)[:40]!r}")
    # States are saved after a step, or after an epoch, when ``epoch`` is already the next one.
    if epoch > math.ceil(until) or (step and epoch >= until) or (epoch, step) == (0, 0):
        raise InputError(f"step {step} of epoch {epoch} is not a valid step of {until:g} epochs")


def _check_counts(saved: Mapping[str, Any]) -> None:
    losses, epoch = saved["losses"], saved["epoch"]
    if (
        not isinstance(losses, list)
        or any(type(loss) is not float for loss in losses)
        or len(losses) != epoch
    ):
        raise InputError(f"losses are not {epoch} numbers")
    visits, trained = saved["visits"], saved["cost"]["trained_samples"]
    if bool((visits < 0).any()) or int(visits.sum()) != trained:
        raise InputError(f"visits do not add up to {trained}")
    for name in ("cost", "evaluation_cost"):
        if not all(0 <= value < math.inf for value in saved[name].values()):
            raise InputError(f"{name} has a negative or infinite value")


def _check_optimizers(saved: Any, optimizers: list[torch.optim.Optimizer]) -> None:
    if not isinstance(saved, list) or len(saved) != len(optimizers):
        raise InputError(f"there are not {len(optimizers)} optimizers")
    for state, optimizer in zip(saved, optimizers, strict=True):
        live = optimizer.state_dict()
        _same_keys(state, live, "optimizer")
        groups = state["param_groups"]
        if not isinstance(groups, list) or [_without_rate(group) for group in groups] != [
            _without_rate(group) for group in live["param_groups"]
        ]:
            raise InputError("the optimizer has other settings")
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        moving = state["state"]
        if not isinstance(moving, dict) or not moving.keys() <= set(range(len(parameters))):
            raise InputError("the optimizer has other parameters")
        if not moving and optimizer.defaults.get("momentum", 1):
            raise InputError("the optimizer's state is missing")
        for index, entries in moving.items():
            if not isinstance(entries, dict) or entries.keys() != next(iter(moving.values())).keys():
                raise InputError("the optimizer's state has other names")
            for name, value in entries.items():
                fits = value is None or isinstance(value, int | float)
                if isinstance(value, Tensor):
                    fits = value.shape in ((), parameters[index].shape) and bool(value.isfinite().all())
                if not fits:
                    raise InputError(f"the optimizer's {name} does not fit its parameter or is not finite")


def _without_rate(group: Any) -> Any:
    # The learning rate is set before every step.
    return {name: value for name, value in group.items() if name != "lr"} if isinstance(group, dict) else None


def _same_keys(saved: Any, live: Mapping[str, Any], where: str) -> None:
    if not isinstance(saved, dict):
        raise InputError(f"{where} is of type {type(saved).__name__}")
    differing = sorted(map(str, saved.keys() ^ live.keys()))
    if differing:
        raise InputError(f"{where} {'has' if differing[0] in saved else 'lacks'} {differing[0]!r}")


def _same_form(
    saved: Any, live: Any, where: str, *, finite: bool = False, free: tuple[str, ...] = ()
) -> None:
    """Rejects different keys, types, shapes or dtypes.

    Args:
        saved: A part of the saved state.
        live: The same part of the live state.
        where: Name of the part, for the message.
        finite: Also reject NaN and infinity if the live tensor or number is finite.
        free: Keys with arbitrary values.
    """
    if isinstance(live, Mapping):
        _same_keys(saved, live, where)
        for name, value in live.items():
            if name not in free:
                _same_form(saved[name], value, f"{where} {name}", finite=finite, free=free)
    elif isinstance(live, Tensor):
        if not isinstance(saved, Tensor):
            raise InputError(f"{where} is of type {type(saved).__name__}")
        if saved.shape != live.shape or saved.dtype != live.dtype:
            raise InputError(
                f"{where} is {saved.dtype} {list(saved.shape)}, not {live.dtype} {list(live.shape)}"
            )
        if finite and bool(live.isfinite().all()) and not bool(saved.isfinite().all()):
            raise InputError(f"{where} is not finite")
    elif type(saved) is not type(live):
        raise InputError(f"{where} is of type {type(saved).__name__}, not {type(live).__name__}")
    elif finite and isinstance(live, float) and not math.isfinite(saved):
        raise InputError(f"{where} is not finite")
