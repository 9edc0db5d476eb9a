"""The samples of a run: data for the map, the slider, the galleries and the heat map."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.report.payload import draw_rows, pack, pack_exact
from graphprune.report.windows import Sensors

SAMPLES_SHOWN = 50_000
SCORES_SHOWN = 12
GALLERY = 12
TILE = 48
SPRITE_PIXELS = 2_000_000


@dataclass(frozen=True)
class SampleMap:
    """SampleMap: what a report shows about the N training samples, in ascending order of their ids.

    Args:
        ids: Sample ids ``[N]`` int64.
        scores: Values of the score tables by name, ``[N]`` each; larger values are kept first.
        measured: ``[N]`` bool, True for seeds and False for predicted scores.
        xy: 2-D layout ``[N, 2]``; without it there is no map, only the slider and the galleries.
        kept: The selection of each pruned arm, ``[N]`` bool.
        visits: For each arm that selects during training, mean visits of each sample per epoch, ``[N]``.
        stds: Standard deviations of predicted scores by name, ``[N]`` each.
        labels: Class labels ``[N]`` int64, or None.
        class_names: Names of the classes (default: their numbers).
        images: ``[N, H, W]`` or ``[N, H, W, 3]`` uint8, may be memory-mapped; only the displayed images are read.
        series: ``[N, T]``, one curve per window (such as the mean over sensors), or None.
        hour, weekday: Start of each window's forecast: 0..23 and 0 (Monday)..6, ``[N]`` each, or None.
        sensors: Sensor of each sample, if a sample is the window of one sensor, or None.

    Raises:
        InputError: the length of a field is not N, or an hour or weekday is out of range.
    """

    ids: npt.NDArray[np.int64]
    scores: Mapping[str, npt.NDArray[Any]]
    measured: npt.NDArray[np.bool_]
    xy: npt.NDArray[Any] | None = None
    kept: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    visits: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    stds: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    labels: npt.NDArray[np.int64] | None = None
    class_names: Sequence[str] = ()
    images: npt.NDArray[np.uint8] | None = None
    series: npt.NDArray[Any] | None = None
    hour: npt.NDArray[Any] | None = None
    weekday: npt.NDArray[Any] | None = None
    sensors: Sensors | None = None

    def __post_init__(self) -> None:
        columns: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("measured", "xy", "labels", "images", "series", "hour", "weekday")
        }
        columns["sensors"] = None if self.sensors is None else self.sensors.index
        for group in ("scores", "stds", "kept", "visits"):
            columns |= {f"{group} of '{name}'": column for name, column in getattr(self, group).items()}
        for name, column in columns.items():
            if column is not None and len(column) != len(self.ids):
                raise InputError(
                    f"report: received {len(self.ids)} ids but {len(column)} {name}; give one per id"
                )
        for name, end in (("hour", 24), ("weekday", 7)):
            column = getattr(self, name)
            if column is not None and len(column) and (np.min(column) < 0 or np.max(column) >= end):
                raise InputError(
                    f"report: {name} ranges from {np.min(column)} to {np.max(column)} but must lie in 0..{end - 1}; "
                    "count hours from midnight and days from Monday"
                )


def samples_payload(samples: SampleMap) -> dict[str, Any]:
    """Data for the script of the page: all samples, or `SAMPLES_SHOWN` random ones, which the page then states."""
    rows = draw_rows(len(samples.ids), SAMPLES_SHOWN)
    names = list(samples.scores)[:SCORES_SHOWN]
    scores = {name: np.asarray(samples.scores[name], dtype=np.float32)[rows] for name in names}
    stds = {name: np.asarray(samples.stds[name])[rows] for name in names if name in samples.stds}
    measured = np.asarray(samples.measured, dtype=bool)[rows]
    galleries = {name: _gallery(scores[name], stds.get(name), measured) for name in names}
    payload: dict[str, Any] = {
        "n": len(samples.ids),
        "ids": pack_exact(np.asarray(samples.ids, dtype=np.int64)[rows]),
        "measured": pack_exact(measured),
        "scores": {name: pack_exact(column) for name, column in scores.items()},
        "stds": {name: pack(column) for name, column in stds.items()},
        "kept": {name: pack_exact(np.asarray(mask, dtype=bool)[rows]) for name, mask in samples.kept.items()},
        "galleries": galleries,
    }
    if samples.xy is not None:
        xy = np.asarray(samples.xy)[rows]
        payload |= {"x": pack(xy[:, 0]), "y": pack(xy[:, 1])}
    if samples.labels is not None:
        classes, codes = np.unique(np.asarray(samples.labels)[rows], return_inverse=True)
        payload |= {
            "labels": pack_exact(codes),
            "classes": [_class_name(samples, c) for c in classes.tolist()],
        }
    if samples.hour is not None and samples.weekday is not None:
        payload["hour"] = pack_exact(np.asarray(samples.hour)[rows].astype(np.int64))
        payload["weekday"] = pack_exact(np.asarray(samples.weekday)[rows].astype(np.int64))
    if samples.series is not None:
        series = np.asarray(samples.series)[rows]
        payload |= {"series": pack(series), "steps": int(series.shape[1])}
    if samples.images is not None:
        wanted = [row for parts in galleries.values() for part in parts.values() for row in part]
        payload["sprite"] = sprite(samples.images, rows, wanted)
    return payload


def sprite(
    images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64], wanted: Sequence[int]
) -> dict[str, Any]:
    """One picture with as many thumbnails as `SPRITE_PIXELS` allows.

    Args:
        images: ``[N, H, W]`` or ``[N, H, W, 3]`` uint8.
        rows: The displayed rows of ``images`` ``[n]``.
        wanted: Positions in ``rows`` whose thumbnails come first.

    Returns:
        ``uri``; ``tile``, height and width of a tile in pixels; ``columns`` and ``lines``, the numbers of tiles;
        ``at`` ``[n]``, the tile of each displayed row or -1.
    """
    from PIL import Image

    height, width = images.shape[1:3]
    scale = min(1.0, TILE / max(height, width))
    tile_h, tile_w = max(1, round(height * scale)), max(1, round(width * scale))
    room = max(1, SPRITE_PIXELS // (tile_h * tile_w))
    chosen = list(dict.fromkeys([*wanted, *range(min(len(rows), room))]))[:room]
    columns = max(1, min(len(chosen), round((len(chosen) * tile_h / tile_w) ** 0.5)))
    lines = -(-len(chosen) // columns)
    color = images.ndim == 4 and images.shape[3] == 3
    sheet = np.zeros((lines * tile_h, columns * tile_w, *((3,) if color else ())), dtype=np.uint8)
    at = np.full(len(rows), -1, dtype=np.int64)
    for tile, position in enumerate(chosen):  # a loop over the displayed thumbnails, not over all samples
        picture = np.asarray(images[rows[position]]).reshape(height, width, -1)
        picture = picture if color else picture[..., 0]
        if scale < 1:
            picture = np.asarray(Image.fromarray(picture).resize((tile_w, tile_h), Image.Resampling.BOX))
        top, left = tile // columns * tile_h, tile % columns * tile_w
        sheet[top : top + tile_h, left : left + tile_w] = picture
        at[position] = tile
    buffer = io.BytesIO()
    small = sheet.size < 1_000_000
    if small:
        Image.fromarray(sheet).save(buffer, "PNG", optimize=True)
    else:
        Image.fromarray(sheet).save(buffer, "JPEG", quality=85)
    kind = "png" if small else "jpeg"
    uri = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
    return {"uri": uri, "tile": [tile_h, tile_w], "columns": columns, "lines": lines, "at": pack_exact(at)}


def _gallery(
    scores: npt.NDArray[np.float32], std: npt.NDArray[Any] | None, measured: npt.NDArray[np.bool_]
) -> dict[str, list[int]]:
    gallery = {
        "highest": np.argsort(-scores, kind="stable")[:GALLERY].tolist(),
        "lowest": np.argsort(scores, kind="stable")[:GALLERY].tolist(),
    }
    if std is not None and (~measured).any():
        unsure = np.argsort(np.where(measured | ~np.isfinite(std), -np.inf, std), kind="stable")[::-1]
        gallery["uncertain"] = unsure[: min(GALLERY, int((~measured).sum()))].tolist()
    return gallery


def _class_name(samples: SampleMap, label: int) -> str:
    return str(samples.class_names[label]) if 0 <= label < len(samples.class_names) else str(label)
