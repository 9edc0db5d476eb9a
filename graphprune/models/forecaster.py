"""Base class of the models of sensor windows: the meaning of each channel, and the last observed value."""

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
    """Forecasting model from ``[batch, time, node, feature]`` to ``[batch, horizon, node]`` in standardized units.

    Args:
        info: The task.

    Attributes:
        readings: Number of leading channels that hold readings (and ``observed``); the rest encode time and place.
        places: Index of the channels ``time_of_day``, ``day_of_week`` and ``sensor`` that the data has.
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
                f"{cls.__name__} forecasts windows of sensors, but the task is {info.kind}; use small_cnn or resnet20 "
                "for images and mlp for vectors"
            )
        return cls(info=info, **options)

    def slots(self, x: Tensor) -> dict[str, Tensor]:
        """Indices of the time of day and of the weekday of every input step, each ``[batch, time]`` int64."""
        counts = {TIME_OF_DAY: self.steps_per_day, DAY_OF_WEEK: 7}
        return {
            name: (x[:, :, 0, self.places[name]] * count).round().long() % count
            for name, count in counts.items()
            if name in self.places
        }

    def last_observed(self, x: Tensor) -> Tensor:
        """Last observed target ``[batch, 1, node]``; 0 (the training mean) if the window has no observed target."""
        values = x[..., self.target]
        if self.observed is None:
            return values[:, -1:]
        order = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        latest = (x[..., self.observed] * order).argmax(dim=1, keepdim=True)
        return values.gather(1, latest)
