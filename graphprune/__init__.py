"""Score a small seed of the data, let a graph extend the scores to all of it, train on what matters."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Imported on first use, so that the command line answers --help without loading torch.
_HOMES = {
    "Config": "graphprune.config.job",
    "Data": "graphprune.data.base",
    "Inputs": "graphprune.extrapolate.base",
    "InputError": "graphprune.errors",
    "KNNGraph": "graphprune.graph.knn",
    "Paradigm": "graphprune.train.paradigms.base",
    "Recorder": "graphprune.scores.recorder",
    "ScoreTable": "graphprune.table",
    "Selection": "graphprune.select.base",
    "create": "graphprune.registry",
    "data_from_datasets": "graphprune.data.map_style",
    "embed_samples": "graphprune.embed.module",
    "entries": "graphprune.registry",
    "evaluate": "graphprune.evaluation.agreement",
    "load_config": "graphprune.config.load",
    "parse_config": "graphprune.config.load",
    "register": "graphprune.registry",
    "run": "graphprune.jobs.pipeline",
    "train_model": "graphprune.train.loop",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'graphprune' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
