"""Selection rules: choose the samples to train on before training starts."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.select.base import Selection as Selection
    from graphprune.select.base import SelectionRule as SelectionRule
    from graphprune.select.beta import Beta as Beta
    from graphprune.select.ccs import CCS as CCS
    from graphprune.select.d2 import D2 as D2
    from graphprune.select.moderate import Moderate as Moderate
    from graphprune.select.random import Random as Random
    from graphprune.select.random_per_class import RandomPerClass as RandomPerClass
    from graphprune.select.semdedup import SemDeDup as SemDeDup
    from graphprune.select.top import Top as Top
    from graphprune.select.top_per_class import TopPerClass as TopPerClass
    from graphprune.select.window import Window as Window

__getattr__, __dir__, __all__ = lazy_exports(__name__)
