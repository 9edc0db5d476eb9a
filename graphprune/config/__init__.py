"""The configuration of a job."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from graphprune.config.job import Config as Config
    from graphprune.config.load import load_config as load_config
    from graphprune.config.load import parse_config as parse_config

__getattr__, __dir__, __all__ = lazy_exports(__name__)
