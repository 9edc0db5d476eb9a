"""What a selection rule is: scores in, kept rows and weights out."""

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
    """The samples to train on.

    Args:
        ids: Kept sample ids ``[K]`` int64, ascending and unique.
        weights: Loss weights ``[K]`` float32 (all 1 for plain rules).
        metadata: Of the scores that it goes by, as in `ScoreTable`.
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
            raise InputError(f"selection: {len(self.ids)} ids but {len(self.weights)} weights; give one each")
        if not len(self.ids):
            raise InputError("selection: it keeps no sample; keep a larger fraction")
        if (np.diff(self.ids) <= 0).any():
            raise InputError("selection: ids must be ascending without repetition; sort and deduplicate them")
        if not (np.isfinite(self.weights).all() and (self.weights >= 0).all()):
            raise InputError(
                "selection: weights must be finite and not negative; repair them or leave them out"
            )
        if not self.weights.any():
            raise InputError(
                "selection: all weights are 0, so nothing would be learned; give positive weights"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def to_arrow(self) -> pa.Table:
        """Columns ``sample_id, weight``; the metadata are in the schema."""
        table = pa.table({"sample_id": pa.array(self.ids), "weight": pa.array(self.weights)})
        return table.replace_schema_metadata({METADATA_KEY: json.dumps(self.metadata, sort_keys=True)})

    @classmethod
    def from_arrow(cls, table: pa.Table, what: str = "table") -> Selection:
        """The selection of Arrow columns ``sample_id`` and, if there, ``weight`` (else 1), in any order."""
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
        """Writes ``sample_id, weight``; the file is whole or absent."""
        table = self.to_arrow()
        write_atomic(Path(path), lambda p: pq.write_table(table, p))

    @classmethod
    def from_parquet(cls, path: Path | str) -> Selection:
        """Reads ``sample_id`` and, if there, ``weight`` (else 1), in any order."""
        return cls.from_arrow(read_parquet(Path(path), required=("sample_id",)), str(path))


@dataclass(frozen=True)
class Candidates:
    """What rules may read, by row: ``scores [N]`` float, ``labels [N]`` int64, ``embeddings [N, D]``,
    ``second_scores [N]`` float.
    """

    scores: Tensor
    labels: Tensor | None = None
    graph: KNNGraph | None = None
    embeddings: Tensor | None = None
    second_scores: Tensor | None = None
    generator: torch.Generator | None = None


class SelectionRule(ABC):
    """Base of all static rules. Ties go to the lower id, so that equal scores give the same set everywhere.

    Subclasses implement ``_select`` and name the optional inputs they cannot do without in ``requires``;
    ``reads_second`` says whether they read second scores at all.
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
        """Keeps ``round(keep * N)`` samples (at least 1).

        Args:
            table: Scores of the N samples; a larger one means "keep".
            keep: Fraction kept of all N samples, in (0, 1].
            labels: ``[N]`` integers in the order of the table's ids.
            graph: The shared kNN graph over the same samples.
            embeddings: ``[N, D]`` float16 or float32 (default: those of the graph).
            second_scores: Another score of the same samples, for rules that read two.
            seed: Of the rule's own generator.

        Raises:
            InputError: ``keep`` is out of range, an input is missing or covers other samples, second scores
                are given to a rule that does not read them.
        """
        check_keep(keep)
        if not len(table):
            raise InputError("the score table is empty; there is nothing to select from")
        if embeddings is None and graph is not None and graph.embeddings is not None:
            embeddings = torch.as_tensor(graph.embeddings)
        if embeddings is not None and "embeddings" in self.requires:
            embeddings = embeddings.cpu()
            require_finite(embeddings.float().numpy(), "embeddings", table.ids)
        if labels is not None and not np.issubdtype(np.asarray(labels).dtype, np.integer):
            raise InputError(f"labels are {np.asarray(labels).dtype}; they must be integers, one per sample")
        self.check(JobFacts(n=len(table), neighbors=None if graph is None else graph.k))
        second = None if second_scores is None else self._second(table, second_scores)
        available = {"labels": labels, "graph": graph, "embeddings": embeddings, "second_scores": second}
        for name in self.requires:
            if available[name] is None:
                option = name.replace("_", "-")
                raise InputError(f"rule {type(self).__name__} needs {name}; pass them (--{option})")
        for name, value in available.items():
            length = len(table) if value is None else value.n if isinstance(value, KNNGraph) else len(value)
            if length != len(table):
                raise InputError(
                    f"{name} covers {length} samples but the scores {len(table)}; use the same data"
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
        """Refuses a job that lacks an input of the rule, or is too small for it, before anything is computed."""
        for name in self.requires:
            if job.lacks(name):
                raise InputError(
                    f"{type(self).__name__} needs {name}, which this job has not; use another rule"
                )

    def _second(self, table: ScoreTable, second: ScoreTable) -> Tensor:
        if not self.reads_second:
            raise InputError(f"rule {type(self).__name__} reads one score; leave the second scores out")
        table.require_same_data(second)
        return torch.from_numpy(second.values[second.rows_of(table.ids, "second scores: ids of the scores")])

    @abstractmethod
    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        """``count`` kept rows int64, in any order, and their weights float32."""

    def get_params(self) -> dict[str, Any]:
        """The arguments this rule was made with."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}


def check_keep(keep: float) -> float:
    """``keep`` itself if it is a fraction above 0 and at most 1."""
    if not 0 < keep <= 1:
        raise InputError(f"keep is {keep:g}; it is the fraction kept, above 0 and at most 1")
    return keep


def count_kept(n: int, keep: float) -> int:
    """How many of ``n`` samples a keep fraction means: rounded half up, at least 1."""
    return max(1, math.floor(keep * n + 0.5))


def without_hardest(scores: Tensor, drop_hardest: float, count: int) -> Tensor:
    """Rows by descending score without the first ``round(drop_hardest * N)``; at least ``count`` remain."""
    n = len(scores)
    return highest(scores, n)[min(math.floor(drop_hardest * n + 0.5), n - count) :]
