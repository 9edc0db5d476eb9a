"""Images and vectors from scikit-learn and from .npz archives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.data.base import Data, Samples, TensorSamples, class_info
from graphprune.data.labels import class_labels, listed, uncovered
from graphprune.errors import InputError
from graphprune.files import read_npz, require_finite
from graphprune.runtime.math import share_by_class
from graphprune.runtime.rng import generator

_ARRAYS = ("x", "y", "x_test", "y_test", "ids")
_BLOCK = 1024
# If images of one part lie within 0..1 and those of the other exceed this, their scales differ.
_NO_UNIT_SCALE = 16


def load_sklearn(
    name: str, *, test_fraction: float = 0.2, limit: int | None = None, faults: tuple[str, ...] = ()
) -> Data:
    """Load a data set of scikit-learn: ``digits`` as images ``[1, 8, 8]``, the others as vectors.

    >>> data = load_sklearn("digits")
    >>> len(data.train), len(data.test), data.info.input_shape
    (1438, 359, (1, 8, 8))
    """
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
    """Load arrays ``x [N, ...]``, ``y [N]`` and optionally ``x_test``, ``y_test``, ``ids [N]``; others are reported.

    Raises:
        InputError: the file or an array is missing, or the arrays are not valid (see `classification_data`).
    """
    arrays = read_npz(path)
    similar = {name: _plain(name) for name in arrays if name not in _ARRAYS}
    for name, plain in similar.items():
        if plain in map(_plain, _ARRAYS):
            meant = next(known for known in _ARRAYS if _plain(known) == plain)
            raise InputError(f"{path} has an array '{name}'; rename it to '{meant}' or remove it")
    for name in ("x", "y"):
        if name not in arrays:
            raise InputError(
                f"{path} has no array '{name}' (its arrays: {', '.join(arrays) or 'none'}); save x and y"
            )
    if ("x_test" in arrays) != ("y_test" in arrays):
        one, other = ("x_test", "y_test") if "x_test" in arrays else ("y_test", "x_test")
        raise InputError(f"{path} has an array '{one}' but no '{other}'; save both or neither")
    if similar:
        faults = (*faults, f"{path}: ignored the arrays {listed(sorted(similar))}")
    try:
        return classification_data(
            path.stem,
            arrays["x"],
            arrays["y"],
            ids=arrays.get("ids"),
            test=(arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None,
            test_fraction=test_fraction,
            limit=limit,
            faults=faults,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def classification_data(
    name: str,
    x: npt.NDArray[Any],
    y: npt.NDArray[Any],
    *,
    ids: npt.NDArray[Any] | None = None,
    test: tuple[npt.NDArray[Any], npt.NDArray[Any]] | None = None,
    test_ids: npt.NDArray[np.int64] | None = None,
    class_names: tuple[str, ...] = (),
    test_fraction: float = 0.2,
    limit: int | None = None,
    faults: tuple[str, ...] = (),
) -> Data:
    """Create `Data` from arrays: images ``[N, C, H, W]`` or vectors ``[N, D]``, and integer labels ``[N]``.

    Without ``test``, a stratified fraction of the samples is held out; it is the same for every seed of a job. Inputs
    are standardized per channel (images) or feature (vectors) with statistics of the training part. Integral values
    from 0 to 255 are the same pixels in every dtype; both parts must be on one scale (see `one_scale`).

    Raises:
        InputError: shapes, dtypes, labels or ids are not valid, values are not finite, or the two parts do not match.

    >>> x, y = np.arange(40.0).reshape(20, 2), np.arange(20) % 2
    >>> data = classification_data("toy", x, y, test_fraction=0.25)
    >>> len(data.train), len(data.test), data.info.num_classes
    (15, 5, 2)
    """
    x, y = _check(x, y, "")
    order_ids = _ids(ids, len(x))
    if test is not None:
        x_test, y_test = _check(*test, "_test")
        if x_test.shape[1:] != x.shape[1:]:
            raise InputError(
                f"x_test has samples of shape {x_test.shape[1:]} but x of {x.shape[1:]}; give both the same shape"
            )
        x, x_test = one_scale(x, x_test)
        test_ids = np.arange(len(x_test), dtype=np.int64) if test_ids is None else test_ids
    else:
        (x,) = one_scale(x)
    order = np.argsort(order_ids, kind="stable")
    if (np.diff(order_ids) < 0).any():
        x, y, order_ids = x[order], y[order], order_ids[order]
    if limit is not None and limit < len(x):
        rows = stratified(y, limit, purpose="limit")
        x, y, order_ids = x[rows], y[rows], order_ids[rows]
    if test is None:
        held = stratified(y, max(1, round(test_fraction * len(y))), purpose="test part")
        rest = np.setdiff1d(np.arange(len(y)), held)
        if not len(rest):
            raise InputError(
                f"test_fraction {test_fraction:g} of {len(y)} samples leaves none to train on; lower it"
            )
        (x, x_test), (y, y_test) = (x[rest], x[held]), (y[rest], y[held])
        order_ids, test_ids = order_ids[rest], order_ids[held]
    info = class_info(x.shape[1:], y, y_test, class_names)
    mean, std = _statistics(x)

    def samples(
        part: npt.NDArray[Any], labels: npt.NDArray[Any], part_ids: npt.NDArray[np.int64] | None
    ) -> Samples:
        return TensorSamples(
            torch.from_numpy(np.ascontiguousarray(part)), labels, ids=part_ids, mean=mean, std=std
        )

    found = (*faults, *(uncovered(y, y_test, info.class_names) if test is not None else ()))
    return Data(name, samples(x, y, order_ids), samples(x_test, y_test, test_ids), info, found)


def _ids(ids: npt.NDArray[Any] | None, n: int) -> npt.NDArray[np.int64]:
    if ids is None:
        return np.arange(n, dtype=np.int64)
    ids = np.asarray(ids)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InputError(f"ids are {ids.dtype} {list(ids.shape)}; they must be integers, one per sample")
    if len(ids) != n:
        raise InputError(f"{n} samples but {len(ids)} ids; give one id per sample")
    if len(ids) and int(ids.max()) > np.iinfo(np.int64).max:
        raise InputError(f"ids reach {int(ids.max())}, which does not fit int64; give smaller ids")
    if len(np.unique(ids)) != len(ids):
        raise InputError("some ids are duplicates; give every sample a unique id")
    return ids.astype(np.int64)


def stratified(
    labels: npt.NDArray[np.int64], count: int, *, purpose: str, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Draw ``count`` rows in proportion to the class sizes; the rows are ascending."""
    draws = generator(seed, purpose)
    rows = []
    for label, share in share_by_class(torch.from_numpy(labels), count).items():
        members = np.flatnonzero(labels == label)
        rows.append(members[torch.randperm(len(members), generator=draws)[:share].numpy()])
    return np.sort(np.concatenate(rows))


def one_scale(*parts: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Convert the parts ``[N, ...]`` of a data set to one dtype, uint8 or float32, without changing values.

    Integers from 0 to 255 become uint8, whatever their dtype was. Floating-point parts become float32, unless the other
    part contains integers and theirs are integral values from 0 to 255, too. Other integers become float32.

    Raises:
        InputError: one part is integer and the other has fractions, or images of one part lie within 0..1 and those
            of the other reach far beyond, so their scales must differ.

    >>> [part.dtype.name for part in one_scale(np.array([[0, 255]]), np.array([[3.0, 7.0]]))]
    ['uint8', 'uint8']
    """
    integers = [part.dtype.kind in "iu" for part in parts]
    if len(parts) > 1:
        _refuse_two_scales(parts, integers)
    if any(integers) and all(_are_bytes(part) for part in parts):
        return [part.astype(np.uint8, copy=False) for part in parts]
    with np.errstate(over="ignore"):
        small = [part.astype(np.float32, copy=False) for part in parts]
    for one, part, suffix in zip(small, parts, ("", "_test"), strict=False):
        if part.dtype.itemsize > one.dtype.itemsize:
            require_finite(one, f"x{suffix} in float32 (at most 3.4e38)")
    return small


def _refuse_two_scales(parts: tuple[npt.NDArray[Any], ...], integers: list[bool]) -> None:
    ranges = [(float(part.min()), float(part.max())) for part in parts]
    described = " and ".join(
        f"x{suffix} is {part.dtype} from {low:g} to {high:g}"
        for part, suffix, (low, high) in zip(parts, ("", "_test"), ranges, strict=True)
    )
    fractions = any(integers) and not all(
        whole or _are_whole(part) for part, whole in zip(parts, integers, strict=True)
    )
    (_, least), (_, most) = sorted(ranges, key=lambda pair: pair[1])
    positive = min(low for low, _ in ranges) >= 0
    if fractions or (parts[0].ndim == 4 and positive and least <= 1 and most > _NO_UNIT_SCALE):
        raise InputError(f"{described}; convert both to one scale and dtype")


def _are_whole(part: npt.NDArray[Any]) -> bool:
    return all((block == np.rint(block)).all() for block in _blocks(part))


def _are_bytes(part: npt.NDArray[Any]) -> bool:
    if part.dtype == np.uint8:
        return True
    return bool(part.min() >= 0 and part.max() <= 255) and (part.dtype.kind in "iu" or _are_whole(part))


def _blocks(part: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (part[start : start + _BLOCK] for start in range(0, len(part), _BLOCK))


def _check(
    x: npt.NDArray[Any], y: npt.NDArray[Any], suffix: str
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    if x.ndim not in (2, 4) or x.dtype.kind not in "fiu" or 0 in x.shape:
        raise InputError(
            f"x{suffix} is {x.dtype} {list(x.shape)}; it must be numbers [N, D] or [N, C, H, W] with N > 0 and no "
            "empty dimension"
        )
    if x.ndim == 4 and x.shape[3] in (1, 3, 4) and min(x.shape[1:3]) > 4:
        raise InputError(
            f"x{suffix} is {list(x.shape)}, which seems to be [N, H, W, C]; channels must come first: "
            "use x.transpose(0, 3, 1, 2)"
        )
    labels = class_labels(y, f"y{suffix}")
    if len(x) != len(labels):
        raise InputError(
            f"x{suffix} has {len(x)} samples but y{suffix} {len(labels)} labels; give one label per sample"
        )
    if x.dtype.kind == "f":
        require_finite(x, f"x{suffix}")
    return x, labels


def _statistics(x: npt.NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    axes = (0,) if x.ndim == 2 else (0, 2, 3)
    factor = 255.0 if x.dtype == np.uint8 else 1.0
    mean = x.mean(axis=axes, dtype=np.float64) / factor
    std = x.std(axis=axes, dtype=np.float64) / factor
    return tuple(mean.tolist()), tuple(np.where(std > 0, std, 1.0).tolist())
