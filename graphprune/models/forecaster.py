"""What models of sensor windows share: which channels are readings, and the last observed value."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from graphprune.data.base import TaskInfo
from graphprune.data.windows import DAY_OF_WEEK, OBSERVED, SENSOR, TIME_OF_DAY
from graphprune.errors import InputError
from graphprune.models.base import RegisteredModel

_PLACES = (TIME_OF_DAY, DAY_OF_WEEK, SENSOR)


class Forecaster(RegisteredModel):
    """A model from ``[batch, time, node, feature]`` to ``[batch, horizon, node]`` in standardised units.

    Args:
        info: The task.

    Attributes:
        readings: The first so many channels are readings (and ``observed``), the rest tell time and place.
        places: Channel of ``time_of_day``, ``day_of_week`` and ``sensor``, as far as there is one.
    """

    def __init__(self, info: TaskInfo) -> None:
        super().__init__()
        self.target, self.steps_per_day = info.target, info.steps_per_day
        self.places = {name: info.channels.index(name) for name in _PLACES if name in info.channels}
        self.readings = min(self.places.values(), default=len(info.channels))
        self.observed = info.channels.index(OBSERVED) if OBSERVED in info.channels else None

    @classmethod
    def for_task(cls, info: TaskInfo, **options: object) -> Self:
        if info.kind != "forecasting":
            raise InputError(
                f"{cls.__name__} forecasts windows of sensors; use small_cnn or resnet for images"
            )
        return cls(info=info, **options)

    def slots(self, x: Tensor) -> dict[str, Tensor]:
        """Index of the time of day and of the weekday of each input step, ``[batch, time]`` int64 each."""
        counts = {TIME_OF_DAY: self.steps_per_day, DAY_OF_WEEK: 7}
        return {
            name: (x[:, :, 0, self.places[name]] * count).round().long() % count
            for name, count in counts.items()
            if name in self.places
        }

    def last_observed(self, x: Tensor) -> Tensor:
        """Last observed target ``[batch, 1, node]``; 0, the training mean, where the window holds none."""
        values = x[..., self.target]
        if self.observed is None:
            return values[:, -1:]
        order = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        latest = (x[..., self.observed] * order).argmax(dim=1, keepdim=True)
        return values.gather(1, latest)
