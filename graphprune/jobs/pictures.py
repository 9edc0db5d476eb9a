"""What the report shows of single samples: a 2-D map, images, curves and times."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.data.base import Data, TensorSamples
from graphprune.data.windows import WindowSamples
from graphprune.report.windows import Sensors

# Beyond this number the page draws a random part, and its galleries show no curves.
_CURVES_SHOWN = 500_000


def principal_plane(embeddings: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the first two principal components ``[N, 2]`` of embeddings ``[N, D]`` with fixed signs. O(N D^2)."""
    points = np.asarray(embeddings, dtype=np.float32)
    centered = points - points.mean(axis=0)
    _, vectors = np.linalg.eigh(centered.T @ centered)
    axes = vectors[:, ::-1][:, :2]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    plane = np.zeros((len(points), 2), dtype=np.float32)
    plane[:, : axes.shape[1]] = centered @ axes
    return plane


def pictures(data: Data) -> dict[str, Any]:
    """Return labels, images, curves and times of the training samples as arguments of `SampleMap`."""
    train = data.train
    shown: dict[str, Any] = {"labels": train.labels, "class_names": data.info.class_names}
    if isinstance(train, TensorSamples) and train.x.dim() == 4:
        shown["images"] = _bytes(train.x.numpy())
    if isinstance(train, WindowSamples):
        stamps = train.series.timestamps[train.starts + train.window].astype("datetime64[h]")
        hours = stamps.astype(np.int64)
        # 1970-01-01 was a Thursday, weekday 3.
        shown |= {"hour": hours % 24, "weekday": (hours // 24 + 3) % 7, "series": _curves(train)}
        if train.sensors is not None:
            names, positions = train.series.sensor_ids, train.series.positions
            shown["sensors"] = Sensors(train.sensors, names, positions)
    return shown


def _curves(train: WindowSamples) -> npt.NDArray[np.float32] | None:
    """Return the mean input of each window over its sensors ``[N, window]``, NaN where no sensor has a reading."""
    if len(train) > _CURVES_SHOWN:
        return None
    past = [train.readings(rows, past=True).nanmean(dim=2) for rows in train.blocks()]
    return torch.cat(past).numpy()


def _bytes(x: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if x.dtype != np.uint8:
        low, high = float(x.min()), float(x.max())
        x = ((x - low) * (255 / (high - low or 1))).astype(np.uint8)
    channels = x.transpose(0, 2, 3, 1)
    return channels[..., 0] if channels.shape[-1] not in (3, 4) else channels[..., :3]
