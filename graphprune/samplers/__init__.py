"""Samplers: choose the samples to train on during training."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.samplers.adapters.plain import EpochLoader as EpochLoader
    from graphprune.samplers.adapters.plain import step_loss as step_loss
    from graphprune.samplers.base import EpochSampler as EpochSampler
    from graphprune.samplers.es import ES as ES
    from graphprune.samplers.eswp import ESWP as ESWP
    from graphprune.samplers.gstds import GSTDS as GSTDS
    from graphprune.samplers.infobatch import InfoBatch as InfoBatch
    from graphprune.samplers.jest import JEST as JEST
    from graphprune.samplers.random import Random as Random
    from graphprune.samplers.rs2 import RS2 as RS2
    from graphprune.samplers.score_weighted import ScoreWeighted as ScoreWeighted
    from graphprune.samplers.seta import SeTa as SeTa
    from graphprune.samplers.st_prune import STPrune as STPrune
    from graphprune.samplers.static import StaticSampler as StaticSampler

__getattr__, __dir__, __all__ = lazy_exports(__name__)
