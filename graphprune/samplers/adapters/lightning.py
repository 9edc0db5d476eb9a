"""Samplers with Lightning."""

from __future__ import annotations

from typing import Any

from graphprune.errors import InputError
from graphprune.samplers.adapters.plain import EpochLoader
from graphprune.samplers.base import EpochSampler


def lightning_data(data: Any, sampler: EpochSampler, batch_size: int, **options: Any) -> Any:
    """Creates a ``LightningDataModule`` whose training epochs follow the sampler; checkpoints include its state.

    In ``training_step``, use ``rows, batch = batch`` and ``return step_loss(sampler, rows, ...)``. Create the trainer
    with ``Trainer(reload_dataloaders_every_n_epochs=1, use_distributed_sampler=False)``. Without the first option,
    Lightning uses the length of the first epoch for all epochs; without the second, it wraps and pads the sampler.

    Resuming from a checkpoint at the end of an epoch is exact.

    Args:
        data: Map-style data set.
        sampler: A sampler for the whole data set; this module shards it.
        batch_size: Samples to train on per step and process.
        options: As for `EpochLoader`.

    Raises:
        InputError: training starts with a trainer that does not reload the dataloaders in every epoch.
    """
    from lightning.pytorch import LightningDataModule

    class SamplerData(LightningDataModule):  # type: ignore[misc]
        """Follows the sampler in every epoch and process."""

        def train_dataloader(self) -> EpochLoader:
            trainer = self.trainer
            if (every := trainer.reload_dataloaders_every_n_epochs) != 1:
                raise InputError(
                    f"reload_dataloaders_every_n_epochs is {every}, but the epochs of this sampler differ in length; "
                    "create the Trainer with reload_dataloaders_every_n_epochs=1"
                )
            sampler.shard(trainer.global_rank, trainer.world_size)
            sampler.set_epoch(trainer.current_epoch)
            return EpochLoader(data, sampler, batch_size, **options)

        def state_dict(self) -> dict[str, Any]:
            # Lightning calls this in every process, so all of them take part in the exchange.
            sampler.synchronize()
            return sampler.state_dict()

        def load_state_dict(self, state: dict[str, Any]) -> None:
            sampler.load_state_dict(state)

    return SamplerData()
