"""Samples: images, vectors and windows of sensor series."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.data.base import Data as Data
    from graphprune.data.base import Samples as Samples
    from graphprune.data.base import TensorSamples as TensorSamples
    from graphprune.data.load import load_data as load_data
    from graphprune.data.map_style import data_from_datasets as data_from_datasets
    from graphprune.data.windows import WindowSamples as WindowSamples
    from graphprune.data.windows import load_sensors as load_sensors

__getattr__, __dir__, __all__ = lazy_exports(__name__)
