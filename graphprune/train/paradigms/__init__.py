"""Training paradigms: losses, signals and the metric of a task."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.train.paradigms.adversarial import Adversarial as Adversarial
    from graphprune.train.paradigms.base import Paradigm as Paradigm
    from graphprune.train.paradigms.forecasting import Forecasting as Forecasting
    from graphprune.train.paradigms.supervised import Supervised as Supervised
    from graphprune.train.paradigms.unsupervised import Unsupervised as Unsupervised

__getattr__, __dir__, __all__ = lazy_exports(__name__)
