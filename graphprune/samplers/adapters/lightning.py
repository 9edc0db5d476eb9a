"""A sampler under Lightning."""

from __future__ import annotations

from typing import Any

from graphprune.errors import InputError
from graphprune.samplers.adapters.plain import EpochLoader
from graphprune.samplers.base import EpochSampler


def lightning_data(data: Any, sampler: EpochSampler, batch_size: int, **options: Any) -> Any:
    """A ``LightningDataModule`` whose training epochs follow the sampler, and whose state is checkpointed.

    In ``training_step``: ``rows, batch = batch`` and ``return step_loss(sampler, rows, ...)``. Lightning asks
    for the length of an epoch before the epoch begins, so make the trainer with
    ``Trainer(reload_dataloaders_every_n_epochs=1, use_distributed_sampler=False)``: without the first it goes on
    with the length of the first epoch, without the second it wraps the sampler and pads it.

    Checkpoints at the end of an epoch resume exactly.

    Args:
        data: Map-style data set.
        sampler: Made for the whole data set; it is sharded here.
        batch_size: Samples to train on per step and process.
        options: As for `EpochLoader`.

    Raises:
        InputError: when training starts with a trainer that does not reload.
    """
    from lightning.pytorch import LightningDataModule

    class SamplerData(LightningDataModule):  # type: ignore[misc]
        """Follows the sampler, epoch by epoch, in every process."""

        def train_dataloader(self) -> EpochLoader:
            trainer = self.trainer
            if trainer.reload_dataloaders_every_n_epochs != 1:
                raise InputError(
                    "epochs of this sampler change their length; "
                    "make the Trainer with reload_dataloaders_every_n_epochs=1"
                )
            sampler.shard(trainer.global_rank, trainer.world_size)
            sampler.set_epoch(trainer.current_epoch)
            return EpochLoader(data, sampler, batch_size, **options)

        def state_dict(self) -> dict[str, Any]:
            # Lightning asks every process, so all of them take part.
            sampler.synchronise()
            return sampler.state_dict()

        def load_state_dict(self, state: dict[str, Any]) -> None:
            sampler.load_state_dict(state)

    return SamplerData()
