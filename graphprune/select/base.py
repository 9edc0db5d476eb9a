"""The interface of selection rules: scores in, kept sample ids and loss weights out."""

from __future__ import annotations

import inspect
import json
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.files import require_finite, write_atomic
from graphprune.graph.knn import KNNGraph
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.math import highest
from graphprune.runtime.rng import generator
from graphprune.table import (
    METADATA_KEY,
    ScoreTable,
    integer_column,
    json_metadata,
    numeric_column,
    read_metadata,
    read_parquet,
    require_columns,
    require_ids,
    require_numbers,
)


@dataclass(frozen=True, eq=False)
class Selection:
    """Selection: the samples to train on, with their loss weights.

    Args:
        ids: Kept sample ids ``[K]`` int64, ascending and unique.
        weights: Loss weights ``[K]`` float32 (all 1 for plain rules).
        metadata: Metadata of the scores that the selection is based on, as in `ScoreTable`.

    Raises:
        InputError: no ids, ids out of order or duplicate, or weights that are negative, not finite or all 0.

    >>> Selection([2, 5], [1.0, 0.5]).to_arrow().to_pydict()
    {'sample_id': [2, 5], 'weight': [1.0, 0.5]}
    """

    ids: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", require_ids(self.ids, "selection: ids"))
        with np.errstate(over="ignore"):
            weights = require_numbers(self.weights, "selection: weights").astype(np.float32)
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "metadata", json_metadata(self.metadata))
        if len(self.ids) != len(self.weights):
            raise InputError(
                f"selection: received {len(self.ids)} ids but {len(self.weights)} weights; give one weight per id"
            )
        if not len(self.ids):
            raise InputError("selection: ids is empty, so no sample is kept; keep a larger fraction")
        if (np.diff(self.ids) <= 0).any():
            raise InputError("selection: ids must be ascending without duplicates; sort and deduplicate them")
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise InputError(
                "selection: weights must be finite and not negative; correct them or leave them out"
            )
        if not self.weights.any():
            raise InputError(
                "selection: all weights are 0, so the model would learn nothing; give positive weights"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def to_arrow(self) -> pa.Table:
        """Converts to Arrow columns ``sample_id, weight``; the schema contains the metadata."""
        table = pa.table({"sample_id": pa.array(self.ids), "weight": pa.array(self.weights)})
        return table.replace_schema_metadata({METADATA_KEY: json.dumps(self.metadata, sort_keys=True)})

    @classmethod
    def from_arrow(cls, table: pa.Table, what: str = "table") -> Selection:
        """Builds a selection from Arrow columns ``sample_id`` and, optionally, ``weight`` (default 1), in any order."""
        require_columns(table, ("sample_id",), what)
        ids = integer_column(table, "sample_id", what)
        weights: npt.NDArray[Any] = np.ones(len(ids))
        if "weight" in table.column_names:
            weights = numeric_column(table, "weight", what)
        order = np.argsort(ids, kind="stable")
        try:
            return cls(ids[order], weights[order], read_metadata(table, what))
        except InputError as error:
            raise InputError(f"{what}: {error}") from error

    def to_parquet(self, path: Path | str) -> None:
        """Writes ``sample_id, weight`` atomically: the file is complete or absent."""
        table = self.to_arrow()
        write_atomic(Path(path), lambda p: pq.write_table(table, p))

    @classmethod
    def from_parquet(cls, path: Path | str) -> Selection:
        """Reads ``sample_id`` and, optionally, ``weight`` (default 1), in any order."""
        return cls.from_arrow(read_parquet(Path(path), required=("sample_id",)), str(path))


@dataclass(frozen=True)
class Candidates:
    """The inputs of a rule, one row per sample, and its generator.

    Shapes:
        ``scores [N]`` float, ``labels [N]`` int64, ``embeddings [N, D]``, ``second_scores [N]`` float
    """

    scores: Tensor
    labels: Tensor | None = None
    graph: KNNGraph | None = None
    embeddings: Tensor | None = None
    second_scores: Tensor | None = None
    generator: torch.Generator | None = None


class SelectionRule(ABC):
    """Base class of all selection rules. Ties go to the lower id, so equal scores give the same set everywhere.

    Subclasses implement ``_select``, list the optional inputs that they need in ``requires``, and set
    ``reads_second`` if they read second scores.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    reads_second: ClassVar[bool] = False

    def select(
        self,
        table: ScoreTable,
        keep: float,
        *,
        labels: npt.NDArray[np.int64] | None = None,
        graph: KNNGraph | None = None,
        embeddings: Tensor | None = None,
        second_scores: ScoreTable | None = None,
        seed: int = 0,
    ) -> Selection:
        """Keeps ``round(keep * N)`` samples, and at least 1.

        Args:
            table: Scores of the N samples; a larger score means "keep".
            keep: Fraction kept of all N samples, in (0, 1].
            labels: Class labels ``[N]`` (integers), in the order of the table's ids.
            graph: The kNN graph of the same samples.
            embeddings: ``[N, D]`` float16 or float32 (default: the embeddings of the graph).
            second_scores: Another score of the same samples, for rules that read two.
            seed: Seed of all random draws of the rule.

        Raises:
            InputError: ``keep`` is out of range, a required input is missing or covers other samples, or second
                scores were passed to a rule that does not read them.
        """
        check_keep(keep)
        if not len(table):
            raise InputError("the score table is empty; pass one with at least one sample")
        if embeddings is None and graph is not None and graph.embeddings is not None:
            embeddings = torch.as_tensor(graph.embeddings)
        if embeddings is not None and "embeddings" in self.requires:
            embeddings = embeddings.cpu()
            require_finite(embeddings.float().numpy(), "embeddings", table.ids)
        if labels is not None and not np.issubdtype(np.asarray(labels).dtype, np.integer):
            raise InputError(f"labels are {np.asarray(labels).dtype}; pass integers, one per sample")
        self.check(JobFacts(n=len(table), neighbors=None if graph is None else graph.k))
        second = None if second_scores is None else self._second(table, second_scores)
        available = {"labels": labels, "graph": graph, "embeddings": embeddings, "second_scores": second}
        for name in self.requires:
            if available[name] is None:
                option = name.replace("_", "-")
                raise InputError(
                    f"rule {type(self).__name__} needs {name}; pass --{option} (or {name}= in Python)"
                )
        for name, value in available.items():
            length = len(table) if value is None else value.n if isinstance(value, KNNGraph) else len(value)
            if length != len(table):
                raise InputError(
                    f"{name} covers {length} samples but the scores cover {len(table)}; use the same data for both"
                )
        candidates = Candidates(
            scores=torch.from_numpy(table.values),
            labels=None if labels is None else torch.as_tensor(labels, dtype=torch.int64),
            graph=graph,
            embeddings=embeddings,
            second_scores=second,
            generator=generator(seed, "selection"),
        )
        rows, weights = self._select(candidates, count_kept(len(table), keep))
        order = torch.argsort(rows)
        ids = table.ids[rows[order].numpy()]
        return Selection(ids, weights[order].to(torch.float32).numpy(), table.metadata)

    def check(self, job: JobFacts) -> None:
        """Raises `InputError` before anything is computed if the job lacks an input of the rule or is too small."""
        for name in self.requires:
            if job.lacks(name):
                raise InputError(
                    f"{type(self).__name__} needs {name}, which this job does not have; use another rule"
                )

    def _second(self, table: ScoreTable, second: ScoreTable) -> Tensor:
        if not self.reads_second:
            raise InputError(f"rule {type(self).__name__} reads only one score; do not pass second scores")
        table.require_same_data(second)
        return torch.from_numpy(second.values[second.rows_of(table.ids, "second scores: ids of the scores")])

    @abstractmethod
    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        """Returns ``count`` kept rows (int64, in any order) and their weights (float32)."""

    def get_params(self) -> dict[str, Any]:
        """The constructor arguments of this rule."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}


def check_keep(keep: float) -> float:
    """Returns ``keep`` if it is above 0 and at most 1, and raises `InputError` otherwise."""
    if not 0 < keep <= 1:
        raise InputError(
            f"keep is {keep:g}; it is the fraction of samples kept and must be above 0 and at most 1"
        )
    return keep


def count_kept(n: int, keep: float) -> int:
    """Number of samples kept of ``n``: ``keep * n`` rounded half up, at least 1.

    >>> count_kept(5, 0.5), count_kept(5, 0.01)
    (3, 1)
    """
    return max(1, math.floor(keep * n + 0.5))


def without_hardest(scores: Tensor, drop_hardest: float, count: int) -> Tensor:
    """Rows by descending score without the first ``round(drop_hardest * N)``; at least ``count`` rows remain.

    >>> without_hardest(torch.tensor([4.0, 3.0, 2.0, 1.0]), 0.25, 2).tolist()
    [1, 2, 3]
    """
    n = len(scores)
    return highest(scores, n)[min(math.floor(drop_hardest * n + 0.5), n - count) :]
