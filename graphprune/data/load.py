"""Load the data set described by the ``data`` section of a config."""

from __future__ import annotations

from graphprune.config.data import (
    HubData,
    ImageFolderData,
    NpzData,
    ObjectData,
    ParquetData,
    SensorsData,
    SklearnData,
)
from graphprune.data.base import Data, TensorSamples
from graphprune.errors import InputError

AnyData = SklearnData | HubData | ParquetData | ImageFolderData | NpzData | SensorsData | ObjectData


def load_data(config: AnyData) -> Data:
    """Load the data set that the config describes.

    Raises:
        InputError: a file is missing or not valid, or the data must be passed by a Python program.
    """
    data = _load(config)
    for part in (data.train, data.test):
        if isinstance(part, TensorSamples):
            part.placement = getattr(config, "placement", part.placement)
    return data


def _load(config: AnyData) -> Data:
    options = config.model_dump(exclude={"kind", "placement"})
    match config:
        case SklearnData():
            from graphprune.data.images import load_sklearn

            return load_sklearn(**options)
        case NpzData():
            from graphprune.data.images import load_npz

            return load_npz(**options)
        case HubData():
            from graphprune.data.hub import load_hub

            return load_hub(**options)
        case ParquetData():
            from graphprune.data.parquet import load_parquet

            return load_parquet(**options)
        case ImageFolderData():
            from graphprune.data.imagefolder import load_imagefolder

            return load_imagefolder(**options)
        case SensorsData():
            from graphprune.data.windows import load_sensors

            return load_sensors(**options)
        case ObjectData():
            raise InputError(
                "data.kind: object is for Python programs; call graphprune.run(config, data=...)"
            )
