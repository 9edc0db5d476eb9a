"""Base class of extrapolators: fitted on the scores of the seeds, they predict the scores of all samples."""

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
from graphprune.options import check_options
from graphprune.runtime.facts import JobFacts
from graphprune.table import float32_scores, locate, require_ids

# How to provide each optional input, for the error of a method that lacks it.
_REMEDY = {
    "labels": "pass labels (--labels Y.npy)",
    "probes": "pass the class probabilities of the seed model on samples outside its training set (--probes Q.npz)",
    "short_run": "pass the probabilities of a short run on all data (--short-run T.npz)",
    **dict.fromkeys(
        ("input_complexity", "seed_errors"), "it exists only for windows of sensor data (data.kind: sensors)"
    ),
}


@dataclass(frozen=True)
class EpochSignals:
    """Signals that a training run recorded for every sample in K epochs or evaluation passes, each ``[K, N]`` float.

    Args:
        p_true: Probability of the true label.
        entropy: Entropy of the prediction in nats.
        el2n: Distance of the prediction from the one-hot label.
        loss: Mean loss of a forecast (for data without classes).

    Raises:
        InputError: no signal at all, or signals of different shapes.

    >>> signals = EpochSignals(p_true=torch.tensor([[0.25, 0.5], [0.75, 1.0]]))
    >>> signals.n, signals.mean("p_true").tolist(), signals.mean("p_true", last=0.5).tolist()
    (2, [0.5, 0.75], [0.75, 1.0])
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
            raise InputError(
                f"epoch signals have the shapes {shapes}; provide at least one signal, all of the same shape [K, N]"
            )

    @property
    def signals(self) -> dict[str, Tensor]:
        """The recorded signals by name."""
        named = {name: getattr(self, name) for name in ("p_true", "entropy", "el2n", "loss")}
        return {name: signal for name, signal in named.items() if signal is not None}

    @property
    def n(self) -> int:
        """Number of samples."""
        return next(iter(self.signals.values())).shape[1]

    def mean(self, name: str, *, last: float = 1.0) -> Tensor:
        """Mean ``[N]`` float32 over the ``last`` share of the epochs; `InputError` if ``name`` was not recorded."""
        signal: Tensor | None = getattr(self, name)
        if signal is None:
            raise InputError(
                f"the short run has no signal {name}, only {', '.join(self.signals)}; "
                "log all class probabilities of the short run (probs [E, N, C] and labels)"
            )
        late = signal[-max(1, round(last * len(signal))) :]
        return late.to(torch.float32).mean(dim=0)


@dataclass(frozen=True)
class Inputs:
    """Inputs of extrapolators for all N samples, without scores. Tensors are moved to the CPU for computation.

    Args:
        graph: The shared kNN graph over the embeddings.
        embeddings: ``[N, D]`` float16 or float32.
        ids: Sample ids ``[N]`` int64 ascending (default: ``0..N-1``).
        labels: Class labels ``[N]`` int64, or None.
        probes: Out-of-sample class probabilities ``[P, N, C]`` at P checkpoints, or None.
        short_run: Epoch signals of a short run on all data, or None.
        seed_run: Epoch signals of the seed run for all samples in its last evaluation passes, or None.
        input_complexity: Complexity of each window's input ``[N]``, or None.
        seed_errors: ST-complexity of the seed model's forecast errors on each window ``[N]``, or None.

    Raises:
        InputError: ids that are not ascending, probabilities that are not finite, or inputs of different lengths.

    >>> x = torch.arange(6.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x, labels=torch.tensor([0, 0, 0, 1, 1, 1]))
    >>> inputs.n, sorted(inputs.there)
    (6, ['embeddings', 'graph', 'ids', 'labels'])
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
            raise InputError("ids must be ascending without duplicates; sort the ids and all rows with them")
        object.__setattr__(self, "ids", ids)
        if self.probes is not None and not bool(self.probes.isfinite().all()):
            raise InputError("probes contain NaN or infinite probabilities; correct them or omit the probes")
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
                    f"{name} covers {length} samples but the embeddings cover {n}; compute both on the same data"
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
    """Base class of all extrapolators.

    It follows the scikit-learn estimator API (``fit``, ``predict``, ``get_params``, ``set_params``);
    ``sklearn.base.clone`` returns an unfitted copy. Subclasses store their arguments in ``__init__`` and implement
    ``_fit``, ``_predict`` and ``_predict_std``; this class maps ids to rows, validates the input, and keeps the
    measured scores of the seeds. If all seeds have the same score, there is nothing to learn: every sample gets that
    score with standard deviation 0.

    ``requires`` names the optional inputs that the method cannot work without. ``reads`` names everything that its
    order of the samples depends on: ``scores`` (of the seeds), ``embeddings``, ``graph``, ``probes``, ``looks`` (the
    field ``seed_run``), ``seed_errors``, ``input_complexity``, ``short_run``. A job computes the inputs that its
    methods read and charges their cost to them. ``reads_otherwise`` replaces ``reads`` in jobs that produce nothing
    in ``reads`` except scores.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[tuple[str, ...]] = ("scores", "embeddings", "graph", "probes")
    reads_otherwise: ClassVar[tuple[str, ...]] = ()

    @property
    def least_seeds(self) -> int:
        """Minimum number of seeds for a fit."""
        return 2

    def check(self, job: JobFacts) -> None:
        """Raises `InputError` if a job lacks a required input or enough seeds, before anything is computed."""
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
        """Fits to ``seed_ids [M]`` and ``seed_scores [M]``; raises `InputError` for invalid ids or scores."""
        self.check(JobFacts(n=inputs.n, inputs=inputs.there))
        seed_ids = require_ids(seed_ids, "seed ids")
        scores = float32_scores(seed_scores, "seed scores")
        if len(seed_ids) != len(scores):
            raise InputError(
                f"{len(seed_ids)} seed ids but {len(scores)} seed scores; provide one score per id"
            )
        unique, counts = np.unique(seed_ids, return_counts=True)
        if len(unique) != len(seed_ids):
            raise InputError(
                f"{int((counts > 1).sum())} duplicate seed ids, the first is {unique[counts > 1][0]}; "
                "keep one score per seed"
            )
        if not np.isfinite(scores).all():
            bad = ~np.isfinite(scores)
            raise InputError(
                f"{bad.sum()} of {len(scores)} seed scores are NaN or infinite, the first is id "
                f"{seed_ids[bad][0]}; remove or correct them"
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
        """Returns scores ``[N]`` float32; seeds keep their measured scores.

        With ``return_std``, also returns standard deviations ``[N]`` float32, which are 0 for seeds. The docstring of
        each method defines them.
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
                f"the predictions of {type(self).__name__} are not finite; lower its learning rate or weights"
            )

    @abstractmethod
    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        """Fits to rows ``[M]`` int64 ascending and scores ``[M]`` float32."""

    @abstractmethod
    def _predict(self) -> Tensor:
        """Predicts scores ``[N]`` float32 of all samples, on the CPU."""

    @abstractmethod
    def _predict_std(self) -> Tensor:
        """Standard deviation of each prediction ``[N]`` float32, on the CPU."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns the constructor arguments; ``deep`` adds those of nested extrapolators as ``name__key``."""
        params = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        if deep:
            for name, value in list(params.items()):
                if isinstance(value, Extrapolator):
                    params |= {f"{name}__{key}": nested for key, nested in value.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Sets arguments by name (``name__key`` in nested extrapolators); raises `InputError` for unknown names."""
        known = self.get_params()
        for name in params:
            if name not in known:
                raise unknown_name(f"argument of {type(self).__name__}", name, known)
        own = {name: value for name, value in params.items() if "__" not in name}
        for name, value in check_options(type(self).__name__, type(self), own).items():
            setattr(self, name, value)
        for name, value in params.items():
            if "__" in name:
                nested, _, key = name.partition("__")
                getattr(self, nested).set_params(**{key: value})
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params(deep=False).items())})"
