"""What an extrapolator is: fitted on the seeds' scores, it predicts everybody's."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.errors import InputError, unknown_name
from graphprune.graph.knn import KNNGraph
from graphprune.runtime.facts import JobFacts
from graphprune.table import float32_scores, locate, require_ids

# What brings an optional input, for the error of a method that lacks it.
_REMEDY = {
    "labels": "pass labels (--labels Y.npy)",
    "probes": "pass class probabilities of the seed model on samples it did not train on (--probes Q.npz)",
    "short_run": "pass the probabilities of a short run on all data (--short-run T.npz)",
    **dict.fromkeys(
        ("input_complexity", "seed_errors"), "it is for jobs on windows of sensor data (data.kind: sensors)"
    ),
}


@dataclass(frozen=True)
class EpochSignals:
    """What a training showed of every sample at K looks (epochs or passes), ``[K, N]`` float each.

    Args:
        p_true: Probability of the true label.
        entropy: Entropy of the prediction in nats.
        el2n: Distance of the prediction from the one-hot label.
        loss: Mean loss of a forecast, where there are no classes.
    """

    p_true: Tensor | None = None
    entropy: Tensor | None = None
    el2n: Tensor | None = None
    loss: Tensor | None = None

    def __post_init__(self) -> None:
        for name, signal in self.signals.items():
            object.__setattr__(self, name, signal.cpu())
        if not self.signals or len({signal.shape for signal in self.signals.values()}) > 1:
            shapes = {name: tuple(signal.shape) for name, signal in self.signals.items()}
            raise InputError(f"looks have signals of shapes {shapes}; give at least one, all [K, N]")

    @property
    def signals(self) -> dict[str, Tensor]:
        """Those that are there, by name."""
        named = {name: getattr(self, name) for name in ("p_true", "entropy", "el2n", "loss")}
        return {name: signal for name, signal in named.items() if signal is not None}

    @property
    def n(self) -> int:
        """Number of samples."""
        return next(iter(self.signals.values())).shape[1]

    def mean(self, name: str, *, last: float = 1.0) -> Tensor:
        """Mean over the ``last`` share of the looks ``[N]`` float32; `InputError` where ``name`` was not kept."""
        signal: Tensor | None = getattr(self, name)
        if signal is None:
            raise InputError(
                f"the short run has no {name}, only {', '.join(self.signals)}; "
                "log all class probabilities of the short run (probs [E, N, C] and labels)"
            )
        late = signal[-max(1, round(last * len(signal))) :]
        return late.to(torch.float32).mean(dim=0)


@dataclass(frozen=True)
class Inputs:
    """What extrapolators may look at: all N samples, no scores. Everything is moved to the CPU, where they compute.

    Args:
        graph: The shared kNN graph over the embeddings.
        embeddings: ``[N, D]`` float16 or float32.
        ids: Sample ids ``[N]`` int64 ascending (default: ``0..N-1``).
        labels: Class labels ``[N]`` int64, or None.
        probes: Out-of-sample class probabilities ``[P, N, C]`` at P checkpoints, or None.
        short_run: What a short run on all data showed epoch by epoch, or None.
        seed_run: What the seed run showed of all samples in its last looks, or None.
        input_complexity: How complex each window is by its input alone ``[N]``, or None.
        seed_errors: ST-complexity of the seed model's forecast errors on each window ``[N]``, or None.
    """

    graph: KNNGraph
    embeddings: Tensor
    ids: npt.NDArray[np.int64] | None = None
    labels: Tensor | None = None
    probes: Tensor | None = None
    short_run: EpochSignals | None = None
    seed_run: EpochSignals | None = None
    input_complexity: Tensor | None = None
    seed_errors: Tensor | None = None

    def __post_init__(self) -> None:
        n = len(self.embeddings)
        for name in ("embeddings", "labels", "probes", "input_complexity", "seed_errors"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, value.cpu())
        ids = np.arange(n, dtype=np.int64) if self.ids is None else require_ids(self.ids, "ids")
        if (np.diff(ids) <= 0).any():
            raise InputError("ids must be ascending without repetition; sort them, and all rows with them")
        object.__setattr__(self, "ids", ids)
        if self.probes is not None and not bool(self.probes.isfinite().all()):
            raise InputError("probes hold NaN or infinite probabilities; repair them or leave them out")
        lengths = {
            "graph": self.graph.n,
            "ids": len(self.sample_ids),
            "labels": n if self.labels is None else len(self.labels),
            "probes": n if self.probes is None else self.probes.shape[1],
            "short_run": n if self.short_run is None else self.short_run.n,
            "seed_run": n if self.seed_run is None else self.seed_run.n,
            "input_complexity": n if self.input_complexity is None else len(self.input_complexity),
            "seed_errors": n if self.seed_errors is None else len(self.seed_errors),
        }
        for name, length in lengths.items():
            if length != n:
                raise InputError(
                    f"{name} covers {length} samples but the embeddings {n}; compute both on the same data"
                )

    @property
    def sample_ids(self) -> npt.NDArray[np.int64]:
        """The ids ``[N]``."""
        assert self.ids is not None
        return self.ids

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.embeddings)

    @property
    def there(self) -> frozenset[str]:
        """Names of the inputs that are not None."""
        return frozenset(field.name for field in fields(self) if getattr(self, field.name) is not None)


class Extrapolator(ABC):
    """Base of all extrapolators. It follows the scikit-learn estimator API: ``fit``, ``predict``, ``get_params``,
    ``set_params``; ``sklearn.base.clone`` gives an unfitted copy.

    Subclasses store their arguments in ``__init__`` and implement ``_fit``, ``_predict`` and
    ``_predict_std``; this class maps ids to rows, validates, and keeps the seeds' measured scores. Seeds that
    all have the same score leave nothing to learn: everybody gets that score, with standard deviation 0.
    ``requires`` names the optional inputs without which the method cannot work. ``reads`` names everything that its
    order of the samples depends on: ``scores`` (of the seeds), ``embeddings``, ``graph``, ``probes``, ``looks`` (the
    field ``seed_run``), ``seed_errors``, ``input_complexity``, ``short_run``; a job computes what its methods read
    and charges it to them. ``reads_otherwise`` replaces it in jobs that make nothing in ``reads`` but scores.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ("scores", "embeddings", "graph", "probes")
    reads_otherwise: ClassVar[tuple[str, ...]] = ()

    @property
    def least_seeds(self) -> int:
        """How many seeds it takes to fit it."""
        return 2

    def check(self, job: JobFacts) -> None:
        """Refuses a job that lacks an input or seeds that the method needs, before anything is computed."""
        for name in self.requires:
            if job.lacks(name):
                raise InputError(f"{type(self).__name__} needs {name}; {_REMEDY[name]}")
        if job.seeds is not None and job.seeds < self.least_seeds:
            raise InputError(
                f"{job.seeds} seeds are too few for {type(self).__name__}; give at least {self.least_seeds}"
            )

    def fit(
        self, inputs: Inputs, seed_ids: npt.NDArray[np.int64], seed_scores: npt.NDArray[np.floating[Any]]
    ) -> Self:
        """Learns from ``seed_ids [M]`` and ``seed_scores [M]``; raises `InputError` on bad ids or scores."""
        self.check(JobFacts(n=inputs.n, inputs=inputs.there))
        seed_ids = require_ids(seed_ids, "seed ids")
        scores = float32_scores(seed_scores, "seed scores")
        if len(seed_ids) != len(scores):
            raise InputError(f"{len(seed_ids)} seed ids but {len(scores)} seed scores; give one each")
        unique, counts = np.unique(seed_ids, return_counts=True)
        if len(unique) != len(seed_ids):
            raise InputError(
                f"{int((counts > 1).sum())} seed ids stand more than once, "
                f"the first is {unique[counts > 1][0]}; keep one score per seed"
            )
        if not np.isfinite(scores).all():
            bad = ~np.isfinite(scores)
            raise InputError(
                f"{bad.sum()} of {len(scores)} seed scores are NaN or infinite, the first is id "
                f"{seed_ids[bad][0]}; drop or repair them"
            )
        rows = torch.from_numpy(locate(inputs.sample_ids, seed_ids, "seeds"))
        order = torch.argsort(rows)
        self.n_ = inputs.n
        self.seed_rows_ = rows[order]
        self.seed_scores_ = torch.from_numpy(scores)[order]
        self.constant_ = bool((self.seed_scores_ == self.seed_scores_[:1]).all())
        least = 2 if self.constant_ else self.least_seeds
        if len(rows) < least:
            raise InputError(
                f"{len(rows)} seeds are too few for {type(self).__name__}; give at least {least}"
            )
        if not self.constant_:
            self._fit(inputs, self.seed_rows_, self.seed_scores_)
        return self

    def predict(self, return_std: bool = False) -> Any:
        """Scores ``[N]`` float32, the seeds' measured ones kept.

        With ``return_std`` also their standard deviations ``[N]`` float32, 0 for seeds; what they mean stands
        in each method's docstring.
        """
        if not hasattr(self, "n_"):
            raise InputError(
                f"{type(self).__name__} is not fitted; call fit(inputs, seed_ids, seed_scores) first"
            )
        if self.constant_:
            constant = np.full(self.n_, self.seed_scores_[0], dtype=np.float32)
            return (constant, np.zeros_like(constant)) if return_std else constant
        values = self._predict().to(torch.float32).clone()
        values[self.seed_rows_] = self.seed_scores_
        self._require_finite(values)
        if not return_std:
            return values.numpy()
        std = self._predict_std().to(torch.float32).clone()
        std[self.seed_rows_] = 0
        self._require_finite(std)
        return values.numpy(), std.numpy()

    def _require_finite(self, values: Tensor) -> None:
        if not bool(values.isfinite().all()):
            raise InputError(
                f"the predictions of {type(self).__name__} are not finite; lower its rates and weights"
            )

    @abstractmethod
    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        """Learns from rows ``[M]`` int64 ascending and scores ``[M]`` float32."""

    @abstractmethod
    def _predict(self) -> Tensor:
        """Scores ``[N]`` float32 of all samples, on the CPU."""

    @abstractmethod
    def _predict_std(self) -> Tensor:
        """Standard deviation of each prediction ``[N]`` float32, on the CPU."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments this object was made with; ``deep`` adds those of nested extrapolators as ``name__key``."""
        params = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        if deep:
            for name, value in list(params.items()):
                if isinstance(value, Extrapolator):
                    params |= {f"{name}__{key}": nested for key, nested in value.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Sets arguments by name, ``name__key`` in nested extrapolators; unknown ones are an `InputError`."""
        known = self.get_params()
        for name in params:
            if name not in known:
                raise unknown_name(f"argument of {type(self).__name__}", name, known)
        for name, value in params.items():
            if "__" not in name:
                setattr(self, name, value)
        for name, value in params.items():
            if "__" in name:
                nested, _, key = name.partition("__")
                getattr(self, nested).set_params(**{key: value})
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params(deep=False).items())})"
