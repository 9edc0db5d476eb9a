"""Facts about a job that are known before anything is computed; methods check their options against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class JobFacts:
    """Facts about a job. None means not known yet, and no check may fail because of it.

    Args:
        n: Number of training samples.
        epochs: Epochs of the training that a score records or a sampler controls.
        num_classes: Number of classes; None for forecasts.
        task: ``classification`` or ``forecasting``.
        input_shape: Shape of one sample.
        seeds: Number of seeds that an extrapolator is fitted on.
        neighbors: Neighbors of each sample in the graph.
        inputs: Optional inputs that will be available, such as ``labels``, ``graph``, ``embeddings`` and ``probes``.

    >>> JobFacts(inputs=frozenset({"labels"})).lacks("graph"), JobFacts().lacks("graph")
    (True, False)
    """

    n: int | None = None
    epochs: float | None = None
    num_classes: int | None = None
    task: Literal["classification", "forecasting"] | None = None
    input_shape: tuple[int, ...] | None = None
    seeds: int | None = None
    neighbors: int | None = None
    inputs: frozenset[str] | None = None

    def lacks(self, name: str) -> bool:
        """Whether an optional input is known to be unavailable."""
        return self.inputs is not None and name not in self.inputs
