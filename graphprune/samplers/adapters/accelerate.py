"""Samplers with Hugging Face Accelerate."""

from __future__ import annotations

from typing import Any

from graphprune.samplers.adapters.plain import EpochLoader
from graphprune.samplers.base import EpochSampler


def accelerate_loader(
    accelerator: Any, data: Any, sampler: EpochSampler, batch_size: int, **options: Any
) -> EpochLoader:
    """Creates the loader of this process's part of the data, on its device. Use `step_loss` in the loop.

    Do **not** pass the loader to ``accelerator.prepare``, which would shard the sampler again and pad its epochs.
    Prepare model and optimizer as usual, and call ``loader.set_epoch`` before each epoch.

    Args:
        accelerator: An ``accelerate.Accelerator``.
        data: Map-style data set.
        sampler: A sampler for the whole data set; this function shards it.
        batch_size: Samples to train on per step and process.
        options: As for `EpochLoader`.
    """
    sampler.shard(accelerator.process_index, accelerator.num_processes)
    return EpochLoader(data, sampler, batch_size, device=accelerator.device, **options)
