"""Windows of sensor series as samples: views into one tensor, split in time without leakage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.base import Batch, Data, Samples, TaskInfo
from graphprune.data.scaling import Scaler, calendar, fit_scaler, refuse_infinite
from graphprune.data.sensors import SensorSeries, checked_clock, embedded, read_sensors, with_links
from graphprune.data.timesplit import split_windows
from graphprune.errors import InputError
from graphprune.files import array_digest
from graphprune.runtime.devices import indexed

Granularity = Literal["network", "sensor"]
Ids = npt.NDArray[np.int64]
_BLOCK_VALUES = 1 << 22

# Names of the channels that are appended to the channels of a series, in this order.
OBSERVED, TIME_OF_DAY, DAY_OF_WEEK, SENSOR = "observed", "time_of_day", "day_of_week", "sensor"


class WindowSamples(Samples):
    """Windows of a sensor series: ``window`` input steps, then ``delay`` steps, then ``horizon`` target steps.

    A sample is the whole network at a start (``id = start``) or one sensor at a start
    (``id = start * n_sensors + sensor``). A batch gathers its steps from the single ``[T, N, C]`` array; windows are
    not stored. The channels of ``x`` are those of the series, standardized and 0 if missing, followed by the requested
    ones of ``observed`` (1 if the target channel was observed, otherwise 0), ``time_of_day`` (fraction of the day),
    ``day_of_week`` (Monday 0, Sunday 6/7) and, for sensor-time windows, ``sensor`` (its index).

    Args:
        series: The readings; only the parts of a memory map that windows need are read.
        starts: First steps of the windows, ascending int64.
        window: Input steps.
        horizon: Target steps.
        delay: Steps between input and target (default: 0).
        granularity: ``network`` (default) or ``sensor``.
        target: Index of the channel to forecast (default: 0).
        scaler: Mean and standard deviation per channel, fitted on the training part.
        features: Additional channels.

    Shapes:
        ``x [B, window, nodes, channels]`` and ``y [B, horizon, nodes]`` float32, ``y`` in standardized units with NaN
        if missing; ``nodes`` is N, or 1 for sensor-time windows.

    Cost: O(B window nodes channels) time and memory per batch; O(windows) memory for ids.
    """

    def __init__(
        self,
        series: SensorSeries,
        starts: Ids,
        *,
        window: int,
        horizon: int,
        delay: int = 0,
        granularity: Granularity = "network",
        target: int = 0,
        scaler: Scaler,
        features: tuple[str, ...] = (TIME_OF_DAY, DAY_OF_WEEK),
    ) -> None:
        self.series, self.window, self.horizon, self.delay = series, window, horizon, delay
        self.granularity, self.target, self.scaler, self.features = granularity, target, scaler, features
        self.span = window + delay + horizon
        if len(starts) and int(starts[-1]) + self.span > len(series):
            raise InputError(
                f"a window of {self.span} steps from step {starts[-1]} exceeds the series of {len(series)} steps; "
                "choose earlier starts"
            )
        self.n_sensors = series.n_sensors
        starts = np.asarray(starts, dtype=np.int64)
        if granularity == "sensor":
            self.ids = (starts[:, None] * self.n_sensors + np.arange(self.n_sensors)).reshape(-1)
        else:
            self.ids = starts
        self._resident: tuple[torch.device, Tensor, Tensor] | None = None

    @property
    def starts(self) -> Ids:
        """First step of each sample ``[n]``."""
        return self.ids // self.n_sensors if self.granularity == "sensor" else self.ids

    @property
    def sensors(self) -> Ids | None:
        """Sensor of each sample ``[n]``; None for whole-network windows."""
        return self.ids % self.n_sensors if self.granularity == "sensor" else None

    @property
    def nodes(self) -> int:
        """Nodes of one sample: N, or 1 for sensor-time windows."""
        return 1 if self.granularity == "sensor" else self.n_sensors

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(window, nodes, channels)`` of one ``x``."""
        return self.window, self.nodes, len(self.series.channels) + len(self.features)

    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        device = indexed(device)
        values, clock = self._on(device)
        scaler = Scaler(self.scaler.mean.to(device), self.scaler.std.to(device))
        reach = torch.cat([torch.arange(self.window), torch.arange(self.window + self.delay, self.span)])
        for rows in order:
            steps, sensor = self._locate(rows, reach)
            steps = steps.to(device, non_blocking=True)
            sensor = None if sensor is None else sensor.to(device, non_blocking=True)
            readings = self._read(values, steps, sensor, scaler)
            x = self._inputs(readings[:, : self.window], clock[steps[:, : self.window]], sensor)
            yield Batch(
                rows.to(device, non_blocking=True), x, readings[:, self.window :, :, self.target].contiguous()
            )

    def readings(self, rows: Tensor, *, past: bool) -> Tensor:
        """Target channel of the samples ``rows [B]``: ``[B, steps, nodes]`` float32 on the CPU, NaN if missing.

        Values are in standardized units; the steps are those of the input window (``past``) or of the horizon.
        """
        values, _ = self._on(torch.device("cpu"))
        reach = torch.arange(self.window) if past else torch.arange(self.window + self.delay, self.span)
        only = slice(self.target, self.target + 1)
        scaler = Scaler(self.scaler.mean[only], self.scaler.std[only])
        return self._read(values[:, :, only], *self._locate(rows, reach), scaler)[..., 0]

    def blocks(self, size: int | None = None) -> tuple[Tensor, ...]:
        """All rows in order, in blocks of ``size`` (default: a size that bounds the memory of their readings)."""
        return torch.split(torch.arange(len(self)), size or max(1, _BLOCK_VALUES // (self.span * self.nodes)))

    def digest(self) -> bytes:
        """Hash of the samples: ids, window lengths, names, scaling, clock, links, and the readings they span.

        Every array is hashed with its name, dtype and shape.
        """
        series = self.series
        settings = (self.window, self.horizon, self.delay, self.granularity, self.target, self.features)
        names = (self.series.sensor_ids, self.series.channels)
        digest = hashlib.blake2b(repr((settings, names)).encode())
        mean, std, series = self.scaler.mean.numpy(), self.scaler.std.numpy(), self.series
        digest.update(
            array_digest(ids=self.ids, mean=mean, std=std, stamps=series.timestamps, links=series.links)
        )
        if len(self.ids):
            first, stop = int(self.starts[0]), int(self.starts[-1]) + self.span
            for start in range(first, stop, self.series.steps_per_block()):
                digest.update(
                    array_digest(values=series.block(start, min(stop, start + series.steps_per_block())))
                )
        return digest.digest()

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if self._resident is None or self._resident[0] != device:
            values = torch.from_numpy(self.series.values).to(device)
            clock = torch.from_numpy(calendar(self.series.timestamps)).to(device)
            wanted = [i for i, name in enumerate((TIME_OF_DAY, DAY_OF_WEEK)) if name in self.features]
            self._resident = (device, values, clock[:, wanted])
        return self._resident[1], self._resident[2]

    def _locate(self, rows: Tensor, reach: Tensor) -> tuple[Tensor, Tensor | None]:
        ids = torch.from_numpy(self.ids)[rows.cpu()]
        if self.granularity == "network":
            return ids[:, None] + reach, None
        return (ids // self.n_sensors)[:, None] + reach, ids % self.n_sensors

    def _read(self, values: Tensor, steps: Tensor, sensor: Tensor | None, scaler: Scaler) -> Tensor:
        readings = values[steps] if sensor is None else values[steps, sensor[:, None]][:, :, None]
        readings = readings.to(torch.float32)
        if self.series.missing is not None:
            readings = readings.masked_fill(readings == self.series.missing, torch.nan)
        return (readings - scaler.mean) / scaler.std

    def _inputs(self, past: Tensor, clock: Tensor, sensor: Tensor | None) -> Tensor:
        channels = len(self.series.channels)
        missing = past.isnan()
        x = past.new_empty(*past.shape[:3], channels + len(self.features))
        x[..., :channels] = past.masked_fill(missing, 0.0)
        if OBSERVED in self.features:
            x[..., channels] = ~missing[..., self.target]
        if SENSOR in self.features and sensor is not None:
            x[..., -1] = sensor[:, None, None]
        first = channels + (OBSERVED in self.features)
        x[..., first : first + clock.shape[-1]] = clock[:, :, None]
        return x


def load_sensors(
    path: Path | str | None = None,
    name: str | None = None,
    *,
    window: int = 12,
    horizon: int = 12,
    stride: int = 1,
    delay: int = 0,
    target: int | str = 0,
    granularity: Granularity = "network",
    missing: float | None = None,
    test_fraction: float = 0.2,
    limit: int | None = None,
    steps_per_day: int | None = None,
    adjacency: Path | str | None = None,
    distance: Path | str | None = None,
    faults: tuple[str, ...] = (),
) -> Data:
    """Load training and test windows of a series, from a file or embedded in the package.

    Args:
        path: File or folder that `read_sensors` can read; or
        name: name of an embedded series (``traffic_counts``).
        window: Input steps (default: 12).
        horizon: Target steps (default: 12).
        stride: Steps from one window start to the next (default: 1).
        delay: Steps between input and target (default: 0).
        target: Channel to forecast, by name or index (default: 0).
        granularity: ``network``: a sample is a window of all sensors; ``sensor``: a window of one sensor.
        missing: Value that marks a missing reading, in addition to NaN.
        test_fraction: Fraction of the time steps held out for testing, the last ones (default: 0.2).
        limit: Use only this many time steps from the start (default: all).
        steps_per_day: Readings per day, for files without time stamps; it must agree with any time stamps.
        adjacency: File with link strengths between sensors, matched by name if both files contain names; or
        distance: file with their distances.
        faults: Known issues to print with every result.

    Raises:
        InputError: the file or an argument is not valid, windows are longer than the series, the test part has no
            reading to forecast, or a reading is infinite.

    >>> data = load_sensors(name="traffic_counts", window=8, horizon=4, limit=400)
    >>> data.info.input_shape, len(data.train), len(data.test)
    ((8, 22, 3), 309, 69)
    """
    if (path is None) == (name is None):
        raise InputError("sensor data need either a path or the name of an embedded series; give exactly one")
    series = (
        checked_clock(embedded(name), steps_per_day)
        if name is not None
        else read_sensors(path or "", steps_per_day=steps_per_day)
    )
    series = with_links(series, adjacency, distance)
    if missing is not None:
        series = replace(series, missing=missing)
    return window_data(
        series if limit is None else series.head(limit),
        window=window,
        horizon=horizon,
        stride=stride,
        delay=delay,
        target=target,
        granularity=granularity,
        test_fraction=test_fraction,
        faults=faults,
    )


def window_data(
    series: SensorSeries,
    *,
    window: int = 12,
    horizon: int = 12,
    stride: int = 1,
    delay: int = 0,
    target: int | str = 0,
    granularity: Granularity = "network",
    test_fraction: float = 0.2,
    faults: tuple[str, ...] = (),
) -> Data:
    """Create training and test windows of a series; for the arguments see `load_sensors`.

    Everything is fitted on the steps of training windows: the scaler, and the choice of calendar features (only those
    whose values in the test part all occur in the training part).
    """
    channel = series.channel(target)
    starts = split_windows(
        len(series), window=window, horizon=horizon, delay=delay, stride=stride, test_fraction=test_fraction
    )
    train_stop = int(starts[0][-1]) + window + delay + horizon
    scaler, gaps = fit_scaler(series, train_stop, channel)
    _check_rest(series, train_stop, int(starts[1][0]), channel)
    features = (
        *((OBSERVED,) if gaps else ()),
        *_covered(series, train_stop),
        *((SENSOR,) if granularity == "sensor" else ()),
    )
    train, test = (
        WindowSamples(
            series,
            part,
            window=window,
            horizon=horizon,
            delay=delay,
            granularity=granularity,
            target=channel,
            scaler=scaler,
            features=features,
        )
        for part in starts
    )
    info = TaskInfo(
        kind="forecasting",
        input_shape=train.input_shape,
        horizon=horizon,
        steps_per_day=series.steps_per_day,
        target_std=float(scaler.std[channel]),
        target_mean=float(scaler.mean[channel]),
        channels=(*series.channels, *features),
        target=channel,
        n_sensors=series.n_sensors,
        links=series.links,
    )
    return Data(series.name, train, test, info, faults=(*series.faults, *faults))


def _covered(series: SensorSeries, train_stop: int) -> tuple[str, ...]:
    values = calendar(series.timestamps)
    unseen = [np.setdiff1d(values[train_stop:, i], values[:train_stop, i]) for i in range(2)]
    return tuple(name for name, new in zip((TIME_OF_DAY, DAY_OF_WEEK), unseen, strict=True) if not len(new))


def _check_rest(series: SensorSeries, train_stop: int, test_start: int, target: int) -> None:
    """Refuse infinite readings after the training part, and a test part without any reading to forecast."""
    read = False
    for start in range(train_stop, len(series), series.steps_per_block()):
        block = series.block(start, start + series.steps_per_block())
        refuse_infinite(series, block, start)
        read |= not np.isnan(block[max(0, test_start - start) :, :, target]).all()
    if not read:
        raise InputError(
            f"{series.name}: channel '{series.channels[target]}' has no reading in the test part; "
            "choose another target or test_fraction"
        )
