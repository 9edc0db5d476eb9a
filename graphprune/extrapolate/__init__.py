"""Extrapolators: predict the scores of unmeasured samples from measured ones."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.extrapolate.auto import Auto as Auto
    from graphprune.extrapolate.base import Extrapolator as Extrapolator
    from graphprune.extrapolate.base import Inputs as Inputs
    from graphprune.extrapolate.controls.class_mean import ClassMean as ClassMean
    from graphprune.extrapolate.controls.input_complexity import InputComplexity as InputComplexity
    from graphprune.extrapolate.controls.label_disagreement import LabelDisagreement as LabelDisagreement
    from graphprune.extrapolate.controls.mean import Mean as Mean
    from graphprune.extrapolate.controls.mlp import MLP as MLP
    from graphprune.extrapolate.controls.rank_sum import RankSum as RankSum
    from graphprune.extrapolate.controls.ridge import Ridge as Ridge
    from graphprune.extrapolate.controls.seed_confidence import SeedConfidence as SeedConfidence
    from graphprune.extrapolate.controls.seed_entropy import SeedEntropy as SeedEntropy
    from graphprune.extrapolate.controls.seed_errors import SeedErrors as SeedErrors
    from graphprune.extrapolate.controls.short_run import ShortRun as ShortRun
    from graphprune.extrapolate.controls.short_run_el2n import ShortRunEL2N as ShortRunEL2N
    from graphprune.extrapolate.controls.short_run_variance import ShortRunVariance as ShortRunVariance
    from graphprune.extrapolate.ensemble import Ensemble as Ensemble
    from graphprune.extrapolate.gat import GAT as GAT
    from graphprune.extrapolate.gcn import GCN as GCN
    from graphprune.extrapolate.knn import KNN as KNN
    from graphprune.extrapolate.label_propagation import LabelPropagation as LabelPropagation
    from graphprune.extrapolate.pprgo import PPRGo as PPRGo
    from graphprune.extrapolate.sage import SAGE as SAGE
    from graphprune.extrapolate.sign import SIGN as SIGN

__getattr__, __dir__, __all__ = lazy_exports(__name__)
