"""Sensor series, and reading them from files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import import_module, resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.data.links import link_strengths
from graphprune.errors import InputError, unknown_name
from graphprune.files import must_exist

DAY = np.timedelta64(86_400, "s")
_BLOCK_VALUES = 1 << 22

# Modules of graphprune.data.formats by suffix.
_FORMATS = {
    ".npz": "npz",
    ".npy": "npy",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".csv": "table",
    "folder": "basicts",
}

_EMBEDDED = {
    "traffic_counts": (
        "4 of 2,496 time stamps are missing (NaN rows)",
        "the detectors have no positions; sensor links are computed from correlations",
    )
}


@dataclass(frozen=True, eq=False)
class SensorSeries:
    """Readings of N sensors at T equidistant times.

    Args:
        name: Name in reports and messages.
        values: ``[T, N, C]`` floating-point, NaN if missing; may be a memory map, which is then read in blocks.
        timestamps: ``[T]`` ``datetime64[s]``, equidistant.
        sensor_ids: N unique names.
        channels: C unique names.
        missing: Value that also marks a missing reading (a sentinel such as 0), or None.
        adjacency: Link strengths ``[N, N]`` float32, or None.
        distance_km: Distances ``[N, N]`` float32 (in kilometers if the file has this unit), infinite without a link,
            or None.
        correlation: ``[N, N]`` float32, or None.
        positions: Latitude and longitude ``[N, 2]`` in degrees, for maps, or None.
        faults: Known issues to print with every result.

    Raises:
        InputError: shapes do not match, names are duplicates, the clock is not equidistant, a link is infinite, or a
            sensor has no reading at all.

    >>> clock = np.datetime64("2024-01-01T00:00:00", "s") + np.arange(3) * np.timedelta64(3600, "s")
    >>> series = SensorSeries("toy", np.ones((3, 2, 1), np.float32), clock, ("a", "b"), ("speed",))
    >>> len(series), series.n_sensors, series.steps_per_day
    (3, 2, 24)
    """

    name: str
    values: npt.NDArray[Any]
    timestamps: npt.NDArray[np.datetime64]
    sensor_ids: tuple[str, ...]
    channels: tuple[str, ...]
    missing: float | None = None
    adjacency: npt.NDArray[np.float32] | None = None
    distance_km: npt.NDArray[np.float32] | None = None
    correlation: npt.NDArray[np.float32] | None = None
    positions: npt.NDArray[np.float32] | None = None
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.dtype not in (np.float16, np.float32, np.float64):
            found = f"{self.values.dtype} {list(self.values.shape)}"
            raise InputError(f"{self.name}: values are {found}; give floating-point [time, sensor, channel]")
        steps, sensors, channels = self.values.shape
        if min(steps, sensors, channels) < 1:
            raise InputError(
                f"{self.name}: values {[steps, sensors, channels]} are empty; give at least one of each"
            )
        lengths = {
            "timestamps": (len(self.timestamps), steps),
            "sensor_ids": (len(self.sensor_ids), sensors),
            "channels": (len(self.channels), channels),
        }
        for what, (found_length, wanted) in lengths.items():
            if found_length != wanted:
                raise InputError(
                    f"{self.name}: {found_length} {what} for {wanted} in values; give as many as in values"
                )
        for what in ("sensor_ids", "channels"):
            found = getattr(self, what)
            if len(set(found)) < len(found):
                again = next(name for i, name in enumerate(found) if name in found[:i])
                raise InputError(f"{self.name}: duplicate entry '{again}' in {what}; give unique names")
        self._refuse_bad_links()
        self._refuse_bad_missing()
        gaps = np.diff(self.timestamps.astype("datetime64[s]"))
        if len(gaps) and not (gaps == gaps[0]).all():
            at = self.timestamps[1 + int(np.argmax(gaps != gaps[0]))]
            raise InputError(
                f"{self.name}: the clock jumps at {at}; insert rows of NaN for the missing time stamps"
            )
        if len(gaps) and gaps[0] <= np.timedelta64(0, "s"):
            raise InputError(f"{self.name}: timestamps do not ascend; sort the rows by time")
        self._refuse_silent_sensors()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def n_sensors(self) -> int:
        """Number of sensors N."""
        return int(self.values.shape[1])

    @property
    def steps_per_day(self) -> int:
        """Readings per day, at least 1."""
        if len(self) < 2:
            return 1
        return max(1, round(float(DAY / (self.timestamps[1] - self.timestamps[0]))))

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """``[T, N, C]`` bool, True if a reading was observed; reads the whole series."""
        return ~np.isnan(self.block(0, len(self)))

    def block(self, start: int, stop: int) -> npt.NDArray[np.float32]:
        """Readings of steps ``start..stop-1`` as a float32 copy ``[stop - start, N, C]``, NaN if missing."""
        with np.errstate(over="ignore"):  # larger values become infinite, which is refused later
            values = np.array(self.values[start:stop], dtype=np.float32)
        if self.missing is not None:
            values[values == np.float32(self.missing)] = np.nan
        return values

    def steps_per_block(self) -> int:
        """Time steps per block in a pass over the series, which bounds its memory."""
        return max(1, _BLOCK_VALUES // int(np.prod(self.values.shape[1:])))

    def head(self, steps: int) -> SensorSeries:
        """The first ``steps`` time steps."""
        return replace(self, values=self.values[:steps], timestamps=self.timestamps[:steps])

    @property
    def links(self) -> npt.NDArray[np.float32] | None:
        """Link strengths ``[N, N]`` in [0, 1] (see `link_strengths`), or None if the series has no links."""
        return link_strengths(
            adjacency=self.adjacency, distance_km=self.distance_km, correlation=self.correlation
        )

    def channel(self, which: str | int) -> int:
        """Index of a channel that is given by name or index."""
        if isinstance(which, str) and which not in self.channels:
            raise unknown_name(f"channel of {self.name}", which, self.channels)
        index = self.channels.index(which) if isinstance(which, str) else which
        if not 0 <= index < len(self.channels):
            raise InputError(
                f"{self.name}: channel {index} does not exist; give an index from 0 to {len(self.channels) - 1}"
            )
        return index

    def _refuse_bad_links(self) -> None:
        n = self.n_sensors
        for what in ("adjacency", "distance_km", "correlation"):
            matrix = getattr(self, what)
            if matrix is None:
                continue
            if matrix.shape != (n, n):
                raise InputError(f"{self.name}: {what} is {list(matrix.shape)}; give [{n}, {n}]")
            bad, allowed = (
                (matrix < 0, "at least 0 (infinite means no link)")
                if what == "distance_km"
                else (np.isinf(matrix), "finite (0 means no link)")
            )
            if bad.any():
                row, column = np.argwhere(bad)[0]
                ends = f"'{self.sensor_ids[row]}' to '{self.sensor_ids[column]}'"
                raise InputError(
                    f"{self.name}: {what} from {ends} is {matrix[row, column]:g}; it must be {allowed}"
                )
        if self.positions is not None and self.positions.shape != (n, 2):
            raise InputError(f"{self.name}: positions are {list(self.positions.shape)}; give [{n}, 2]")
        if self.positions is not None and not np.isfinite(self.positions).all():
            row = int(np.argmin(np.isfinite(self.positions).all(axis=1)))
            raise InputError(
                f"{self.name}: sensor '{self.sensor_ids[row]}' has no finite position; give all positions or none"
            )

    def _refuse_bad_missing(self) -> None:
        largest = float(np.finfo(np.float32).max)
        if self.missing is not None and largest < abs(self.missing) < np.inf:
            raise InputError(
                f"{self.name}: missing is {self.missing:g}; give a value that fits float32 (at most {largest:g})"
            )

    def _refuse_silent_sensors(self) -> None:
        silent = np.ones(self.n_sensors, dtype=bool)
        for start in range(0, len(self), self.steps_per_block()):
            block = self.block(start, start + self.steps_per_block())
            silent &= np.isnan(block).all(axis=(0, 2))
            if not silent.any():
                return
        first = self.sensor_ids[int(np.argmax(silent))]
        raise InputError(
            f"{self.name}: {silent.sum()} of {self.n_sensors} sensors have no reading, the first is '{first}'; "
            "remove them from the file or correct 'missing'"
        )


def read_sensors(
    path: Path | str,
    *,
    missing: float | None = None,
    steps_per_day: int | None = None,
    adjacency: Path | str | None = None,
    distance: Path | str | None = None,
) -> SensorSeries:
    """Read a sensor series from a file or folder; the layout is recognized by its suffix and keys.

    Args:
        path: ``.npz`` (ours: ``values [T, N, C]`` or ``[T, N]``, optionally ``mask``, true if observed,
            ``timestamps``, ``sensor_ids``, ``channels``, ``adjacency``, ``distance_km``, ``correlation``, ``lat``,
            ``lon``; PEMS03/04/07/08 and LargeST's ``his.npz``: ``data [T, N, C]``), ``.h5`` (pandas frames: METR-LA,
            PEMS-BAY, LargeST by year, tsl), ``.csv`` (one row per time, one column per sensor: UrbanEV,
            ST-EVCDP), ``.npy``, or a BasicTS folder.
        missing: Value that marks a missing reading in all channels, in addition to NaN.
        steps_per_day: Readings per day, for files without time stamps; it must agree with any time stamps.
        adjacency: File with link strengths; or
        distance: file with distances in any unit (see `graphprune.data.formats.links.read_links`). Links are matched to
            the sensors by name if both files contain names, otherwise by position.

    Raises:
        InputError: the file is missing, truncated, a pickle, inconsistent, or has an unknown layout.
    """
    path = Path(path)
    suffix = "folder" if path.is_dir() else must_exist(path).suffix.lower()
    if suffix in (".pkl", ".pickle"):
        raise InputError(
            f"{path} is a pickle, which can run code when it is loaded; save the values with numpy.savez"
        )
    if suffix not in _FORMATS:
        raise InputError(
            f"{path} has the suffix '{suffix}'; sensor files end in {', '.join(sorted(_FORMATS))}; convert it to .npz"
        )
    reader = import_module(f"graphprune.data.formats.{_FORMATS[suffix]}")
    series: SensorSeries = reader.read(path, missing=missing, steps_per_day=steps_per_day)
    return with_links(checked_clock(series, steps_per_day), adjacency, distance)


def checked_clock(series: SensorSeries, steps_per_day: int | None) -> SensorSeries:
    """Return the series; raise an `InputError` if its clock disagrees with the given number of steps per day."""
    if steps_per_day is not None and len(series) > 1 and series.steps_per_day != steps_per_day:
        raise InputError(
            f"{series.name}: its clock has {series.steps_per_day} steps per day but steps_per_day is {steps_per_day}; "
            "remove steps_per_day or correct the clock"
        )
    return series


def with_links(
    series: SensorSeries, adjacency: Path | str | None = None, distance: Path | str | None = None
) -> SensorSeries:
    """Replace the links of a series by those of a file, matched by name if there are names."""
    if adjacency is None and distance is None:
        return series
    if adjacency is not None and distance is not None:
        raise InputError("sensor data take an adjacency or a distance file, not both; remove one")
    from graphprune.data.formats.links import read_links

    if adjacency is not None:
        strengths, faults = read_links(adjacency, series.sensor_ids, absent=0)
        linked = replace(series, adjacency=strengths, distance_km=None, correlation=None)
    else:
        lengths, faults = read_links(distance or "", series.sensor_ids, absent=np.inf)
        linked = replace(series, adjacency=None, distance_km=lengths, correlation=None)
    return replace(linked, faults=(*series.faults, *faults))


def embedded(name: str) -> SensorSeries:
    """Load a series that is part of the package (``traffic_counts``).

    >>> series = embedded("traffic_counts")
    >>> series.values.shape, series.steps_per_day
    ((2496, 22, 1), 96)
    """
    if name not in _EMBEDDED:
        raise unknown_name("embedded sensor series", name, _EMBEDDED)
    with resources.as_file(resources.files("graphprune.data") / "embedded" / f"{name}.npz") as path:
        return replace(read_sensors(path), name=name, faults=_EMBEDDED[name])
