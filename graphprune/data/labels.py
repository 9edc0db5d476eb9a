"""Class labels: validation, and matching of the labels of two parts of a data set."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa

# A message lists at most this many names.
_LISTED = 10


@dataclass(frozen=True)
class ClassLabels:
    """Labels of one part of a data set.

    Args:
        codes: Class numbers ``[N]`` int64.
        names: Name of each class number, or None if the source has no names.
        from_text: Whether the source contains the names themselves, so the numbers were assigned here.
    """

    codes: npt.NDArray[np.int64]
    names: tuple[str, ...] | None = None
    from_text: bool = False


def class_labels(values: Any, what: str) -> npt.NDArray[np.int64]:
    """Convert integers or booleans of any width to labels ``[N]`` int64.

    Raises:
        InputError: they are floats, strings, missing, negative, or several per sample; the message calls them ``what``.

    >>> class_labels(np.array([0, 2, 1], np.uint8), "y").tolist()
    [0, 2, 1]
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
    try:
        array = np.asarray(values)
    except (
        ValueError,
        TypeError,
        RuntimeError,
        OverflowError,
    ) as error:  # ragged lists, objects of other libraries
        raise InputError(
            f"{what} cannot be converted to integer class labels [N]; give one label per sample"
        ) from error
    if array.dtype.kind == "O" and any(value is None for value in array.flat):
        missing = sum(value is None for value in array.flat)
        raise InputError(f"{what} has {missing} missing labels (None); drop these samples")
    if array.shape == (0,):
        return np.zeros(0, dtype=np.int64)
    if array.ndim != 1 or array.dtype.kind not in "biu":
        raise InputError(
            f"{what} is {array.dtype} {list(array.shape)}; it must be integer class labels [N], one per sample"
        )
    if (array < 0).any():
        row = int(np.flatnonzero(array < 0)[0])
        raise InputError(
            f"{what} contains negative labels, the first at row {row} ({int(array[row])}); number the classes from 0"
        )
    if len(array) and int(array.max()) > np.iinfo(np.int64).max:
        raise InputError(f"{what} reaches {int(array.max())}; number the classes from 0, without gaps")
    return array.astype(np.int64)


def labels_from_arrow(column: pa.ChunkedArray, names: tuple[str, ...] | None, what: str) -> ClassLabels:
    """Convert an Arrow column of integers, booleans or strings to labels; ``names`` come from a ClassLabel.

    The classes of a string column are numbered in the order of their sorted names.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if column.null_count:
        row = pc.index(column.is_null(), True).as_py()
        raise InputError(
            f"{what} has {column.null_count} nulls among {len(column)} labels, the first at row {row}; "
            "drop these rows"
        )
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        found = sorted(pc.unique(column).to_pylist())
        if len(found) == len(column) > 1:
            raise InputError(
                f"{what} contains {len(found)} different strings in {len(column)} rows, so they are not class names; "
                "name the column of class labels with data.label"
            )
        codes = pc.index_in(column, value_set=pa.array(found, type=kind))
        return ClassLabels(np.asarray(codes.to_numpy(), dtype=np.int64), class_names(found, what), True)
    if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise InputError(f"{what} is {kind}; it must be integer class labels or class names, one per row")
    codes = class_labels(column.to_numpy(), what)
    if names is not None and len(codes) and codes.max() >= len(names):
        raise InputError(f"{what} reaches {codes.max()} but has {len(names)} class names; correct the labels")
    return ClassLabels(codes, None if names is None else class_names(names, what))


def class_names(names: Any, what: str) -> tuple[str, ...]:
    """Normalize names to one Unicode form without undecodable bytes; names that become equal are refused."""
    clean = tuple(
        unicodedata.normalize("NFC", name.encode("utf-8", "backslashreplace").decode()) for name in names
    )
    if len(set(clean)) != len(clean):
        twice = next(name for name in clean if clean.count(name) > 1)
        raise InputError(f"{what} has two classes called '{twice}'; rename or merge them")
    return clean


def match_classes(
    train: ClassLabels, test: ClassLabels, what: str
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Renumber the test labels like the training classes of the same names; also returns known issues to report.

    Raises:
        InputError: ``what`` (the test part) has samples of classes that the training part does not name, or only one
            part has class names and the numbers of the other part cannot be matched to them.

    >>> train = ClassLabels(np.array([0, 1]), ("dog", "cat"))
    >>> match_classes(train, ClassLabels(np.array([0, 0, 1]), ("cat", "dog")), "test")[0].tolist()
    [1, 1, 0]
    """
    if train.names == test.names:
        return test.codes, ()
    if train.names is None or test.names is None:
        if train.from_text or test.from_text:
            raise InputError(
                f"{what} and the training part must both have class names or both class numbers; convert one"
            )
        return test.codes, (
            f"only one of the training part and {what} has class names; classes were matched by number",
        )
    number = {name: code for code, name in enumerate(train.names)}
    extra = [test.names[code] for code in np.unique(test.codes) if test.names[code] not in number]
    if extra:
        raise InputError(
            f"{what} has classes that the training part lacks: {listed(extra)} "
            f"(training classes: {listed(train.names)}); use the same names in both, or remove these samples"
        )
    renumbered = np.array([number.get(name, -1) for name in test.names], dtype=np.int64)
    return renumbered[test.codes], ()


def uncovered(
    train: npt.NDArray[np.int64], test: npt.NDArray[np.int64], names: tuple[str, ...]
) -> tuple[str, ...]:
    """One sentence for the classes without training samples, and one for those without test samples."""
    one, two = np.unique(train), np.unique(test)
    found = []
    for part, classes in (("training", np.setdiff1d(two, one)), ("test", np.setdiff1d(one, two))):
        if len(classes):
            found.append(
                f"{len(classes)} of {len(np.union1d(one, two))} classes have no {part} sample: "
                f"{listed([names[code] for code in classes])}"
            )
    return tuple(found)


def listed(names: Any, most: int = _LISTED) -> str:
    """The first names, and the number of the others.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    names = [str(name).encode("utf-8", "backslashreplace").decode() for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
