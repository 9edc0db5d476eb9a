"""Samplers with the Hugging Face Trainer."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from graphprune.errors import InputError
from graphprune.files import write_atomic
from graphprune.samplers.adapters.plain import EpochLoader, step_loss
from graphprune.samplers.base import EpochSampler

# Name of the rows in a batch; no model input or column has this name.
ROWS = "graphprune_rows"
_STATE = "sampler.pt"
# Methods of the Trainer that are overridden here; versions before 5 have one long method instead.
_PARTS = ("_run_epoch", "_init_training_state", "set_initial_training_values", "create_scheduler")


def label_losses(outputs: Any, labels: Tensor) -> Tensor:
    """Cross-entropy ``[B]`` from ``outputs.logits [B, C]`` and integer ``labels [B]``."""
    logits = outputs.logits
    if logits.dim() != 2 or labels.dim() != 1 or labels.is_floating_point():
        raise InputError(
            f"logits have shape {list(logits.shape)} and labels {list(labels.shape)} ({labels.dtype}), which is not "
            "classification with one label per sample; pass sample_losses=, a function of outputs and labels that "
            "returns losses [B]"
        )
    return cross_entropy(logits, labels, reduction="none")


def sampler_trainer(
    sampler: EpochSampler, *, sample_losses: Callable[[Any, Tensor], Tensor] = label_losses, **options: Any
) -> Any:
    """Creates a ``transformers.Trainer`` that trains on the rows of the sampler; evaluation is unchanged.

    Epochs may differ in length, and every row of every epoch is trained on: the number of steps is computed for each
    epoch, and the learning rate follows the fraction of ``num_train_epochs`` that is complete. With ``max_steps``,
    training runs for that number of steps, over as many epochs as needed. Progress bars show an estimate based on
    the first epoch. As in the Trainer itself, columns that ``forward`` does not accept are removed, and the data
    collator and the ``dataloader_*`` arguments are used.

    Checkpoints contain the sampler's state (``sampler.pt``), and ``train(resume_from_checkpoint=...)`` restores it,
    also in the middle of an epoch.

    Args:
        sampler: A sampler for the whole ``train_dataset``; the trainer shards it. Samplers that need features or
            forecast errors are not supported.
        sample_losses: Function from model outputs and labels to losses ``[B]`` (default: cross-entropy of logits).
        options: Arguments of ``transformers.Trainer``: ``model``, ``args``, ``train_dataset``, ...

    Raises:
        InputError: the sampler, an option or the version of transformers is not supported, or the losses are not
            ``[B]``.
    """
    import transformers
    from transformers import Trainer

    if missing := [name for name in _PARTS if not hasattr(Trainer, name)]:
        raise InputError(
            f"transformers {transformers.__version__} has no Trainer.{missing[0]}; install transformers>=5"
        )
    if sampler.needs_features or sampler.needs_errors:
        raise InputError(
            f"{type(sampler).__name__} needs features or forecast errors, which the Trainer does not provide; "
            "use EpochLoader and step_loss in your own training loop"
        )
    if options.get("compute_loss_func") is not None or getattr(
        options.get("args"), "label_smoothing_factor", None
    ):
        raise InputError(
            "compute_loss_func and label_smoothing_factor are not supported with a sampler; pass sample_losses=, "
            "a function of outputs and labels that returns losses [B]"
        )

    class SamplerTrainer(Trainer):  # type: ignore[misc]
        _signature_columns: Any
        # The current epoch and the number of optimizer steps before and in it, for the learning rate.
        _epoch, _before, _updates = 0, 0, 1

        def get_train_dataloader(self) -> EpochLoader:
            if self.train_dataset is None:
                raise InputError("the Trainer has no train_dataset; pass one")
            sampler.shard(self.accelerator.process_index, self.accelerator.num_processes)
            sampler.set_epoch(0)
            data, collate = self._without_unused_columns()
            args = self.args
            loading = {
                "num_workers": args.dataloader_num_workers,
                "pin_memory": args.dataloader_pin_memory,
                "persistent_workers": args.dataloader_persistent_workers,
                "prefetch_factor": args.dataloader_prefetch_factor,
                "multiprocessing_context": getattr(args, "dataloader_multiprocessing_context", None),
                "in_order": getattr(args, "dataloader_in_order", True),
                "worker_init_fn": partial(
                    transformers.trainer_utils.seed_worker,
                    num_workers=args.dataloader_num_workers,
                    rank=args.process_index,
                ),
            }
            return EpochLoader(
                data,
                sampler,
                self._train_batch_size,
                drop_last=args.dataloader_drop_last,
                collate_fn=partial(_with_rows, collate),
                **loading,
            )

        def _without_unused_columns(self) -> tuple[Any, Callable[[list[Any]], Any]]:
            self._set_signature_columns_if_needed()
            known = self._signature_columns
            # The loss is computed outside the model, so models need not accept labels.
            self._signature_columns = [*known, "labels"]
            data, collate = self.train_dataset, self.data_collator
            if _is_hugging_face(data):
                data = self._remove_unused_columns(data, description="Training")
            else:
                collate = self._get_collator_with_removed_columns(collate, description="Training")
            self._signature_columns = known
            return data, collate

        def set_initial_training_values(self, args: Any, dataloader: Any) -> Any:
            epochs, *rest = super().set_initial_training_values(args, dataloader)
            # Later epochs may be shorter than the first, so only max_steps ends the training.
            return (sys.maxsize if args.max_steps > 0 else epochs, *rest)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            given = self.lr_scheduler
            scheduler = super().create_scheduler(num_training_steps, optimizer)
            own = given is None and isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
            if own and self.args.max_steps <= 0:
                planned = [self._by_epochs(rate, num_training_steps) for rate in scheduler.lr_lambdas]
                scheduler.lr_lambdas = planned
            return scheduler

        def _by_epochs(self, rate: Callable[[float], float], planned: int) -> Callable[[int], float]:
            """``rate`` at the planned step that corresponds to the completed fraction of the epochs."""

            def at(step: int) -> float:
                done = self._epoch + min(1.0, (step - self._before) / self._updates)
                return rate(planned * min(1.0, done / self.args.num_train_epochs))

            return at

        def _init_training_state(
            self, max_steps: int, updates: int, epochs: int, resume: str | None, trial: Any
        ) -> tuple[int, int]:
            started = super()._init_training_state(max_steps, updates, epochs, resume, trial)
            self._before = 0
            if resume is None:
                return started  # type: ignore[no-any-return]
            saved = _load(Path(resume) / _STATE)
            sampler.load_state_dict(saved["sampler"])
            done = self.state.global_step - saved["before"]
            self._before = saved["before"]
            whole = done * self.args.gradient_accumulation_steps >= saved["batches"]
            if whole:
                self._before = self.state.global_step
            epoch = saved["sampler"]["epoch"] + whole
            skipped = (
                0 if whole or self.args.ignore_data_skip else done * self.args.gradient_accumulation_steps
            )
            return epoch, skipped

        def _run_epoch(self, **rest: Any) -> None:
            loader, epoch, accumulate = (
                rest["train_dataloader"],
                rest["epoch"],
                self.args.gradient_accumulation_steps,
            )
            skipped = rest["steps_trained_in_current_epoch"] if epoch == rest["epochs_trained"] else 0
            loader.set_epoch(epoch)
            batches = len(loader)
            self._epoch, self._updates = epoch, math.ceil(batches / accumulate)
            self._before = self.state.global_step - skipped // accumulate
            self._batches = batches
            if self.args.max_steps <= 0:
                left = self.args.num_train_epochs - epoch
                self.state.max_steps = self._before + math.ceil(self._updates * left)
            rest |= {"steps_in_epoch": batches, "num_update_steps_per_epoch": self._updates}
            super()._run_epoch(**rest)

        def _save_checkpoint(self, model: Any, trial: Any) -> None:
            # All processes take part in the exchange.
            sampler.synchronize()
            if self.args.should_save:
                folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
                state = {"sampler": sampler.state_dict(), "before": self._before, "batches": self._batches}
                write_atomic(folder / _STATE, lambda p: torch.save(state, p))
            super()._save_checkpoint(model, trial)

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **rest: Any
        ) -> Any:
            if ROWS not in inputs:
                return super().compute_loss(model, inputs, return_outputs, **rest)
            rows = inputs.pop(ROWS)
            if "labels" not in inputs:
                raise InputError(
                    f"the batch has no 'labels' (it has {', '.join(inputs)}); name the label column 'labels'"
                )
            labels = inputs.pop("labels")
            latest: list[Any] = []

            def forward(kept: Tensor | slice) -> Tensor:
                latest[:] = [
                    model(**{name: _part(name, value, kept, len(rows)) for name, value in inputs.items()})
                ]
                return sample_losses(latest[0], labels[kept])

            loss = step_loss(sampler, rows, forward)
            return (loss, latest[0]) if return_outputs else loss

    trainer = SamplerTrainer(**options)
    # The loss is a mean over the batch, so the Trainer must divide it by the accumulation steps.
    trainer.model_accepts_loss_kwargs = False
    return trainer


def _is_hugging_face(data: Any) -> bool:
    if "datasets" not in sys.modules:
        return False
    from datasets import Dataset

    return isinstance(data, Dataset)


def _with_rows(collate: Callable[[list[Any]], Any], items: list[tuple[int, Any]]) -> dict[str, Any]:
    batch = collate([sample for _, sample in items])
    if not isinstance(batch, Mapping):
        raise InputError(
            f"the data collator returned a {type(batch).__name__}; it must return a dict of tensors"
        )
    return {**batch, ROWS: torch.tensor([row for row, _ in items])}


def _part(name: str, value: Any, kept: Tensor | slice, count: int) -> Any:
    if isinstance(kept, slice):
        return value
    if not isinstance(value, Tensor) or not value.dim() or len(value) != count:
        raise InputError(
            f"input '{name}' is not a tensor with one row per sample, so the sampler cannot select part of the batch; "
            "change the data collator or use a sampler that trains on whole batches"
        )
    return value[kept]


def _load(path: Path) -> dict[str, Any]:
    """Reads the file that `_save_checkpoint` wrote."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        whole = all(isinstance(saved[name], int) and saved[name] >= 0 for name in ("before", "batches"))
        if whole and isinstance(saved["sampler"], dict):
            return saved
        reason = "it is not a sampler state"
    except Exception as error:  # a damaged archive raises many kinds of exceptions
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise InputError(
        f"{path} cannot be read ({reason}); resume from a checkpoint that was saved by sampler_trainer"
    )
