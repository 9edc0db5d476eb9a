"""Models for images, vectors and sensor windows."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.models.graph_wavenet import GraphWaveNet as GraphWaveNet
    from graphprune.models.mlp import MLP as MLP
    from graphprune.models.resnet import ResNet18 as ResNet18
    from graphprune.models.resnet import ResNet20 as ResNet20
    from graphprune.models.small_cnn import SmallCNN as SmallCNN
    from graphprune.models.staeformer import STAEformer as STAEformer
    from graphprune.models.stid import STID as STID

__getattr__, __dir__, __all__ = lazy_exports(__name__)
