"""A sampler under the Hugging Face Trainer."""

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

# Under this name the rows travel in a batch, where no model input or column is called so.
ROWS = "graphprune_rows"
_STATE = "sampler.pt"
# Methods of the Trainer that are overridden here; versions before 5 have one long method in their place.
_PARTS = ("_run_epoch", "_init_training_state", "set_initial_training_values", "create_scheduler")


def label_losses(outputs: Any, labels: Tensor) -> Tensor:
    """Cross-entropy ``[B]`` of ``outputs.logits [B, C]`` and integer ``labels [B]``."""
    logits = outputs.logits
    if logits.dim() != 2 or labels.dim() != 1 or labels.is_floating_point():
        raise InputError(
            f"logits have shape {list(logits.shape)} and labels {list(labels.shape)} ({labels.dtype}); for anything "
            "but classes of whole samples pass sample_losses=, from outputs and labels to losses [B]"
        )
    return cross_entropy(logits, labels, reduction="none")


def sampler_trainer(
    sampler: EpochSampler, *, sample_losses: Callable[[Any, Tensor], Tensor] = label_losses, **options: Any
) -> Any:
    """A ``transformers.Trainer`` that trains on what the sampler gives; evaluation is left as it is.

    Every row of every epoch is trained on, whether an epoch is longer or shorter than the first: the number of
    steps is counted anew in each epoch, and the learning rate follows the part of ``num_train_epochs`` that is
    done (with ``max_steps`` that number of steps, in as many epochs as it takes). Progress bars show the steps
    that the first epoch lets expect. Columns that ``forward`` does not take are removed, the data collator and
    the ``dataloader_*`` arguments are used, as the Trainer itself does it.

    Checkpoints hold the sampler's state (``sampler.pt``), and ``train(resume_from_checkpoint=...)`` goes on with
    it, also in the middle of an epoch.

    Args:
        sampler: Made for the whole ``train_dataset``; it is sharded here. Samplers that need features or forecast
            errors are not supported.
        sample_losses: From model outputs and labels to losses ``[B]`` (default: cross-entropy of logits).
        options: Of ``transformers.Trainer``: ``model``, ``args``, ``train_dataset``, ...

    Raises:
        InputError: an unsupported sampler, option or version of transformers; another loss than ``[B]``.
    """
    import transformers
    from transformers import Trainer

    if missing := [name for name in _PARTS if not hasattr(Trainer, name)]:
        raise InputError(
            f"transformers {transformers.__version__} has no Trainer.{missing[0]}; install transformers>=5"
        )
    if sampler.needs_features or sampler.needs_errors:
        raise InputError(
            f"{type(sampler).__name__} needs features or forecast errors, which the Trainer does not show; "
            "use EpochLoader and step_loss in a loop of your own"
        )
    if options.get("compute_loss_func") is not None or getattr(
        options.get("args"), "label_smoothing_factor", None
    ):
        raise InputError(
            "compute_loss_func and label_smoothing_factor are not used with a sampler; pass sample_losses=, "
            "from outputs and labels to losses [B]"
        )

    class SamplerTrainer(Trainer):  # type: ignore[misc]
        _signature_columns: Any
        # The current epoch, and the optimizer steps before it and in it, for the learning rate.
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
            # The loss is computed here, so that models need not take labels.
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
            # Epochs may be shorter than the first: max_steps alone ends the training.
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
            """``rate`` of the planned step that corresponds to the part of the epochs that is done."""

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
            # All processes take part.
            sampler.synchronise()
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
                    f"the batch has no 'labels' (it has {', '.join(inputs)}); name the column so"
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
    # A mean over the batch, which the Trainer must divide by the accumulation steps.
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
            f"input '{name}' is not a tensor with one row per sample, so that no part of the batch can be chosen; "
            "change the data collator, or use a sampler that trains on whole batches"
        )
    return value[kept]


def _load(path: Path) -> dict[str, Any]:
    """What `_save_checkpoint` wrote."""
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        whole = all(isinstance(saved[name], int) and saved[name] >= 0 for name in ("before", "batches"))
        if whole and isinstance(saved["sampler"], dict):
            return saved
        reason = "not a sampler's state"
    except Exception as error:  # a damaged archive raises a dozen kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise InputError(
        f"{path} cannot be read ({reason}); resume from a checkpoint that a trainer with a sampler saved"
    )
