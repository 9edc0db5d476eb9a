"""Features of the samples for extrapolators: columns selected by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import torch
from pydantic import Field
from torch import Tensor

from graphprune.errors import InputError, unknown_name
from graphprune.graph.features import one_hot
from graphprune.graph.points import as_tensor, unit
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.math import standardize

if TYPE_CHECKING:
    from graphprune.extrapolate.base import Inputs

Feature = Literal["label", "embedding", "density", "agreement", "probes"]
FEATURES: tuple[Feature, ...] = get_args(Feature)
Features = Annotated[Sequence[Feature], Field(min_length=1)]


def node_features(inputs: Inputs, names: Sequence[str], *, normalize: bool = False) -> Tensor:
    """Computes columns ``[N, F]`` float32 for every sample, in the order of ``names``.

    ``label``: one-hot class (omitted without labels); ``embedding``: as given, or scaled to length 1; ``density``: mean
    distance to the graph neighbors; ``agreement``: share of the graph neighbors with the sample's label; ``probes``:
    true-label probability, margin, entropy and loss at every checkpoint (without labels: largest probability, margin
    and entropy). Columns of the last three are standardized.

    Args:
        inputs: All samples.
        names: Names of features, from the five above.
        normalize: Scale embeddings to length 1 (default: False).

    Raises:
        InputError: a name is unknown, or its input is missing.

    >>> from graphprune import Inputs, KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, labels=torch.tensor([0, 0, 1, 1]))
    >>> node_features(inputs, ["label", "embedding"]).tolist()
    [[1.0, 0.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 2.0], [0.0, 1.0, 3.0]]
    """
    columns = []
    for name in names:
        if name not in FEATURES:
            raise unknown_name("feature", name, FEATURES)
        if name == "label" and inputs.labels is not None:
            columns.append(one_hot(inputs.labels, inputs.n))
        elif name == "embedding":
            x = as_tensor(inputs.embeddings).to(torch.float32)
            columns.append(unit(x) if normalize else x)
        elif name == "density":
            columns.append(standardize(density(inputs)[:, None]))
        elif name == "agreement":
            columns.append(standardize(1 - disagreement(inputs)[:, None]))
        elif name == "probes":
            columns.append(standardize(probe_columns(inputs)))
    if not columns:
        raise InputError(f"features {list(names)} are empty without labels; add 'embedding'")
    return torch.cat(columns, dim=1)


def check_features(names: Sequence[str], job: JobFacts) -> None:
    """Raises `InputError` for features whose input a job lacks."""
    for name, needed in (("agreement", "labels"), ("probes", "probes")):
        if name in names and job.lacks(needed):
            raise InputError(
                f"feature '{name}' needs {needed}, which this job does not have; remove the feature"
            )
    if set(names) <= {"label"} and job.lacks("labels"):
        raise InputError(f"features {list(names)} are empty without labels; add 'embedding'")


def density(inputs: Inputs) -> Tensor:
    """Mean distance to the graph neighbors ``[N]``; 0 for a sample without neighbors."""
    distances = inputs.graph.distances
    real = distances.isfinite()
    return torch.where(real, distances, 0).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def disagreement(inputs: Inputs) -> Tensor:
    """Share of the graph neighbors with another label ``[N]`` float32; 0 for a sample without neighbors."""
    if inputs.labels is None:
        raise InputError(
            "feature 'agreement' needs labels; pass labels (--labels Y.npy) or remove the feature"
        )
    real = inputs.graph.distances.isfinite()
    other = inputs.labels[inputs.graph.indices.to(torch.int64)] != inputs.labels[:, None]
    return (other & real).sum(dim=1) / real.sum(dim=1).clamp(min=1).to(torch.float32)


def probe_columns(inputs: Inputs) -> Tensor:
    """Statistics of the class probabilities in ``probes``, ``[N, 4 P]`` (``[N, 3 P]`` without labels)."""
    if inputs.probes is None:
        raise InputError("feature 'probes' needs probes; pass --probes Q.npz or remove the feature")
    columns = []
    for p in inputs.probes.to(torch.float32):
        entropy = torch.special.entr(p).sum(dim=1)
        if inputs.labels is None:
            first, second = p.topk(2, dim=1).values.unbind(dim=1)
            columns += [first, first - second, entropy]
        else:
            own = p.gather(1, inputs.labels[:, None])
            rival = p.scatter(1, inputs.labels[:, None], -1.0).amax(dim=1)
            own = own.squeeze(1)
            columns += [own, own - rival, entropy, -own.clamp(min=1e-8).log()]
    return torch.stack(columns, dim=1)
