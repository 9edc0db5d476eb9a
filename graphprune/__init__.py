"""Score a small seed of the data, let a graph extend the scores to all of it, train on what matters."""

from typing import TYPE_CHECKING

from graphprune.runtime.lazy import lazy_exports
from graphprune.runtime.version import __version__ as __version__

if TYPE_CHECKING:
    from graphprune.config.job import Config as Config
    from graphprune.config.load import load_config as load_config
    from graphprune.config.load import parse_config as parse_config
    from graphprune.data.base import Data as Data
    from graphprune.data.map_style import data_from_datasets as data_from_datasets
    from graphprune.embed.module import embed_samples as embed_samples
    from graphprune.errors import InputError as InputError
    from graphprune.evaluation.agreement import evaluate as evaluate
    from graphprune.extrapolate.base import Inputs as Inputs
    from graphprune.graph.knn import KNNGraph as KNNGraph
    from graphprune.jobs.pipeline import run as run
    from graphprune.jobs.result import RunResult as RunResult
    from graphprune.registry import create as create
    from graphprune.registry import entries as entries
    from graphprune.registry import register as register
    from graphprune.scores.recorder import Recorder as Recorder
    from graphprune.select.base import Selection as Selection
    from graphprune.table import ScoreTable as ScoreTable
    from graphprune.train.loop import train_model as train_model
    from graphprune.train.paradigms.base import Paradigm as Paradigm

__getattr__, __dir__, __all__ = lazy_exports(__name__)
