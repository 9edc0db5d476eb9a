"""Scores: one number per sample from the dynamics of a training run."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.scores.aum import AUM as AUM
    from graphprune.scores.base import Score as Score
    from graphprune.scores.confidence import Confidence as Confidence
    from graphprune.scores.dual import DUAL as DUAL
    from graphprune.scores.dynamic_uncertainty import DynamicUncertainty as DynamicUncertainty
    from graphprune.scores.dynamic_uncertainty_online import (
        DynamicUncertaintyOnline as DynamicUncertaintyOnline,
    )
    from graphprune.scores.el2n import EL2N as EL2N
    from graphprune.scores.entropy import Entropy as Entropy
    from graphprune.scores.forgetting import Forgetting as Forgetting
    from graphprune.scores.grand import GraNd as GraNd
    from graphprune.scores.loss import Loss as Loss
    from graphprune.scores.margin import Margin as Margin
    from graphprune.scores.recorder import Recorder as Recorder
    from graphprune.scores.st_complexity import STComplexity as STComplexity
    from graphprune.scores.st_level import STLevel as STLevel
    from graphprune.scores.st_spatial import STSpatial as STSpatial
    from graphprune.scores.st_temporal import STTemporal as STTemporal
    from graphprune.scores.tdds import TDDS as TDDS

__getattr__, __dir__, __all__ = lazy_exports(__name__)
