"""Images and vectors from scikit-learn's wheel and from .npz archives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.data.base import Data, Samples, TaskInfo, TensorSamples, count_classes
from graphprune.errors import InputError
from graphprune.files import read_npz, require_finite
from graphprune.rng import generator
from graphprune.select.base import share_by_class


def load_sklearn(
    name: str, *, test_fraction: float = 0.2, limit: int | None = None, faults: tuple[str, ...] = ()
) -> Data:
    """A data set that scikit-learn carries: ``digits`` as images ``[1, 8, 8]``, the others as vectors."""
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    x = np.asarray(bunch.images[:, None] if name == "digits" else bunch.data, dtype=np.float32)
    names = tuple(str(label) for label in bunch.target_names)
    return classification_data(
        name, x, bunch.target, class_names=names, test_fraction=test_fraction, limit=limit, faults=faults
    )


def load_npz(
    path: Path, *, test_fraction: float = 0.2, limit: int | None = None, faults: tuple[str, ...] = ()
) -> Data:
    """Arrays ``x [N, ...]``, ``y [N]`` and optionally ``x_test``, ``y_test``, ``ids [N]``."""
    arrays = read_npz(path)
    for name in ("x", "y"):
        if name not in arrays:
            raise InputError(
                f"{path} has no array '{name}' (it has {', '.join(arrays) or 'none'}); save x and y"
            )
    test = (arrays["x_test"], arrays["y_test"]) if {"x_test", "y_test"} <= arrays.keys() else None
    try:
        return classification_data(
            path.stem,
            arrays["x"],
            arrays["y"],
            ids=arrays.get("ids"),
            test=test,
            test_fraction=test_fraction,
            limit=limit,
            faults=faults,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def classification_data(
    name: str,
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    *,
    ids: npt.NDArray[Any] | None = None,
    test: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None,
    class_names: tuple[str, ...] = (),
    test_fraction: float = 0.2,
    limit: int | None = None,
    faults: tuple[str, ...] = (),
) -> Data:
    """`Data` from arrays: images ``[N, C, H, W]`` (uint8 or float) or vectors ``[N, D]``, labels ``[N]`` integers.

    Without ``test`` a stratified share of the samples is held out, the same for every seed of a job.
    Inputs are standardised per channel (images) or feature (vectors) with the training part's statistics.
    """
    x, y = _check(x, y, "")
    if ids is not None and np.asarray(ids).dtype.kind not in "iu":
        raise InputError(f"ids are {np.asarray(ids).dtype}; they must be integers, one per sample")
    order_ids = np.arange(len(x), dtype=np.int64) if ids is None else np.asarray(ids, dtype=np.int64)
    if len(order_ids) != len(x):
        raise InputError(f"{len(x)} samples but {len(order_ids)} ids; give one id each")
    if len(np.unique(order_ids)) != len(order_ids):
        raise InputError("some ids stand more than once; ids must be unique, without repetition")
    order = np.argsort(order_ids, kind="stable")
    x, y, order_ids = x[order], y[order], order_ids[order]
    if limit is not None and limit < len(x):
        rows = stratified(y, limit, purpose="limit")
        x, y, order_ids = x[rows], y[rows], order_ids[rows]
    if test is None:
        held = stratified(y, max(1, round(test_fraction * len(y))), purpose="test part")
        rest = np.setdiff1d(np.arange(len(y)), held)
        (x, x_test), (y, y_test) = (x[rest], x[held]), (y[rest], y[held])
        order_ids, test_ids = order_ids[rest], order_ids[held]
    else:
        (x_test, y_test), test_ids = _check(*test, "_test"), np.arange(len(test[0]), dtype=np.int64)
        if x_test.shape[1:] != x.shape[1:]:
            raise InputError(
                f"x_test has samples of shape {x_test.shape[1:]}, x of {x.shape[1:]}; make them alike"
            )
    classes = count_classes(y, y_test)
    names = class_names or tuple(str(label) for label in range(classes))
    mean, std = _statistics(x)
    info = TaskInfo(
        "classification", tuple(x.shape[1:]), num_classes=max(classes, len(names)), class_names=names
    )

    def samples(part: npt.NDArray[Any], labels: npt.NDArray[Any], part_ids: npt.NDArray[np.int64]) -> Samples:
        return TensorSamples(
            torch.from_numpy(np.ascontiguousarray(part)), labels, ids=part_ids, mean=mean, std=std
        )

    return Data(name, samples(x, y, order_ids), samples(x_test, y_test, test_ids), info, faults)


def stratified(
    labels: npt.NDArray[np.int64], count: int, *, purpose: str, seed: int = 0
) -> npt.NDArray[np.int64]:
    """``count`` rows, every class with its share, ascending."""
    draws = generator(seed, purpose)
    rows = []
    for label, share in share_by_class(torch.from_numpy(labels), count).items():
        members = np.flatnonzero(labels == label)
        rows.append(members[torch.randperm(len(members), generator=draws)[:share].numpy()])
    return np.sort(np.concatenate(rows))


def _check(
    x: npt.NDArray[Any], y: npt.NDArray[Any], suffix: str
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    if x.ndim not in (2, 4) or x.dtype.kind not in "fiu" or not len(x):
        raise InputError(
            f"x{suffix} is {x.dtype} {list(x.shape)}; it must be numbers [N, D] or [N, C, H, W], N > 0"
        )
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(f"y{suffix} is {y.dtype} {list(y.shape)}; it must be integer class labels [N]")
    if len(x) != len(y):
        raise InputError(f"x{suffix} has {len(x)} samples but y{suffix} {len(y)}; give one label each")
    if (y < 0).any():
        raise InputError(f"y{suffix} holds negative labels, the first at row {int(np.flatnonzero(y < 0)[0])}")
    if x.dtype != np.uint8:
        x = x.astype(np.float32)
        require_finite(x, f"x{suffix}")
    return x, y.astype(np.int64)


def _statistics(x: npt.NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    axes = (0,) if x.ndim == 2 else (0, 2, 3)
    factor = 255.0 if x.dtype == np.uint8 else 1.0
    mean = x.mean(axis=axes, dtype=np.float64) / factor
    std = x.std(axis=axes, dtype=np.float64) / factor
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
