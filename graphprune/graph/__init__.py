"""The kNN graph over embeddings or windows."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.graph.knn import KNNGraph as KNNGraph
    from graphprune.graph.spectral import fiedler_vector as fiedler_vector

__getattr__, __dir__, __all__ = lazy_exports(__name__)
