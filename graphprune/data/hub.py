"""Image data sets of the Hugging Face Hub, read with the library `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from graphprune.data.base import Data
from graphprune.data.decode import Cell
from graphprune.data.encoded import EncodedImages, ImageOptions, image_data, named_cell
from graphprune.data.labels import labels_from_arrow
from graphprune.data.parquet import IMAGE_NAMES, LABEL_NAMES, column_named
from graphprune.errors import InputError

_BLOCK = 64


def load_hub(
    name: str,
    *,
    subset: str | None = None,
    train_split: str = "train",
    test_split: str | None = "test",
    image: str | None = None,
    label: str | None = None,
    **options: Unpack[ImageOptions],
) -> Data:
    """Load a data set of the Hub by name; it is downloaded to the cache folder of the library `datasets`.

    Args:
        name, subset: Name and configuration of the data set on the Hub.
        train_split, test_split: Splits to train and to test on.
        image, label: Columns (default: the first with a usual name).
        options: See `ImageOptions`.

    Raises:
        InputError: the data set cannot be loaded, a column is missing, or an image cannot be decoded.
    """
    load = _loader()
    parts = {}
    try:
        for split in (train_split, test_split):
            if split is not None:
                parts[split] = load(name, subset, split=split)
    except Exception as error:  # different exceptions for a missing data set or split, no network, and so on
        cause = error.__cause__ or error
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise InputError(
            f"data set '{name}' could not be loaded from the Hub ({reason}); check the name, the split and the network"
        ) from error
    train = _part(parts[train_split], f"{name}, split {train_split}", image, label)
    test = (
        None if test_split is None else _part(parts[test_split], f"{name}, split {test_split}", image, label)
    )
    return image_data(name, train, test, **options)


def _loader() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            "data.kind: hub needs Hugging Face datasets; install it with: pip install 'graphprune[hf]'"
        ) from error
    datasets.disable_progress_bars()
    # Failures are reported once, by the exception.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    return datasets.load_dataset


def _part(table: Any, where: str, image: str | None, label: str | None) -> EncodedImages:
    import datasets

    image = column_named(table.column_names, image, IMAGE_NAMES, "image", where)
    label = column_named(table.column_names, label, LABEL_NAMES, "label", where)
    names = getattr(table.features[label], "names", None)
    column = table.select_columns([label]).with_format("arrow")[:].column(label)
    labels = labels_from_arrow(column, tuple(names) if names else None, f"{where}: label column '{label}'")
    pictures = table.select_columns([image])
    if isinstance(table.features[image], datasets.Image):
        pictures = pictures.cast_column(image, datasets.Image(decode=False))

    def blocks(rows: npt.NDArray[np.int64]) -> Iterator[list[Cell]]:
        for start in range(0, len(rows), _BLOCK):
            chosen = rows[start : start + _BLOCK].tolist()
            cells = pictures[chosen][image]
            yield [named_cell(where, row, cell) for row, cell in zip(chosen, cells, strict=True)]

    return EncodedImages(where, labels, blocks)
