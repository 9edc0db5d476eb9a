"""What is known of a job before anything is computed: what the methods' own checks go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class JobFacts:
    """What a method can be checked against; None where it is not known yet, which no check holds against a method.

    Args:
        n: Training samples.
        epochs: Of the training that a score watches or a sampler steers.
        num_classes: Classes; None for forecasts.
        task: What kind of data it is.
        input_shape: Of one sample.
        seeds: Seeds that an extrapolator is fitted on.
        neighbors: Neighbors of each sample in the graph.
        inputs: Optional inputs that there will be: ``labels``, ``graph``, ``embeddings``, ``probes`` and the like.
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
        """Whether it is known that an optional input will not be there."""
        return self.inputs is not None and name not in self.inputs
