"""A sampler under the Hugging Face Trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from graphprune.samplers.adapters.plain import EpochLoader, step_loss
from graphprune.samplers.base import EpochSampler


def label_losses(outputs: Any, labels: Tensor) -> Tensor:
    """Cross-entropy ``[B]`` of ``outputs.logits [B, C]``."""
    return cross_entropy(outputs.logits, labels, reduction="none")


def sampler_trainer(
    sampler: EpochSampler, *, sample_losses: Callable[[Any, Tensor], Tensor] = label_losses, **options: Any
) -> Any:
    """A ``transformers.Trainer`` that trains on what the sampler gives; evaluation is left as it is.

    The Trainer plans steps and learning rate by the length of the first epoch: later epochs may be shorter
    (the schedule then ends early), never longer, and shorter ones need ``gradient_accumulation_steps=1``.
    Samplers that need features or forecast errors are not supported.

    Args:
        sampler: Made for the whole ``train_dataset``; it is sharded here.
        sample_losses: From model outputs and labels to losses ``[B]`` (default: cross-entropy of logits).
        options: Of ``transformers.Trainer``: ``model``, ``args``, ``train_dataset``, ...
    """
    from transformers import Trainer

    class SamplerTrainer(Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> EpochLoader:
            sampler.shard(self.accelerator.process_index, self.accelerator.num_processes)
            return EpochLoader(
                self.train_dataset,
                sampler,
                self._train_batch_size,
                drop_last=self.args.dataloader_drop_last,
                num_workers=self.args.dataloader_num_workers,
                collate_fn=self._with_rows,
            )

        def _with_rows(self, items: list[tuple[int, Any]]) -> dict[str, Any]:
            batch = self.data_collator([sample for _, sample in items])
            return {**batch, "rows": torch.tensor([row for row, _ in items])}

        def compute_loss(
            self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **rest: Any
        ) -> Any:
            if "rows" not in inputs:
                return super().compute_loss(model, inputs, return_outputs, **rest)
            rows, labels = inputs.pop("rows"), inputs.pop("labels")
            latest: list[Any] = []

            def forward(kept: Tensor | slice) -> Tensor:
                latest[:] = [model(**{name: value[kept] for name, value in inputs.items()})]
                return sample_losses(latest[0], labels[kept])

            loss = step_loss(sampler, rows, forward)
            return (loss, latest[0]) if return_outputs else loss

    trainer = SamplerTrainer(**options)
    # A mean over the batch, which the Trainer must divide by the accumulation steps.
    trainer.model_accepts_loss_kwargs = False
    return trainer
