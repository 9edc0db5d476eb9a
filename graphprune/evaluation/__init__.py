"""How well predicted scores agree with measured ones."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.evaluation.agreement import evaluate as evaluate
    from graphprune.evaluation.agreement import noise_ceiling as noise_ceiling

__getattr__, __dir__, __all__ = lazy_exports(__name__)
