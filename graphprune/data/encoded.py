"""Create `Data` from encoded images with labels, which come from a Parquet file, a folder or the Hub."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

from graphprune.data.base import Data
from graphprune.data.decode import Blocks, Cell, Decoded, decode_images
from graphprune.data.images import classification_data, stratified
from graphprune.data.labels import ClassLabels, match_classes
from graphprune.errors import InputError


@dataclass(frozen=True)
class EncodedImages:
    """One part of a data set: its labels, and access to its encoded images.

    Args:
        where: Name of the part in messages.
        labels: One label per image.
        blocks: Function that yields the cells of given rows in order.
        faults: Known issues to print with every result.
    """

    where: str
    labels: ClassLabels
    blocks: Blocks
    faults: tuple[str, ...] = ()


def named_cell(where: str, row: int, value: Any, beside: Path | None = None) -> Cell:
    """A cell with a name that contains its row and path; a relative path refers to the folder ``beside``."""
    name = f"{where}: image {row}"
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        name += f" ({value['path']})"
        if beside is not None:
            value = {**value, "path": beside / value["path"]}
    return name, value


class ImageOptions(TypedDict, total=False):
    """Options shared by all sources of encoded images.

    - ``image_size``: side length of the squares to resize to (default None: all images must have the same size)
    - ``limit``: use only this many training images, drawn in proportion to the class sizes (default None: all)
    - ``test_fraction``: fraction held out if there is no test part (default 0.2)
    - ``faults``: known issues to print with every result (default: none)
    - ``skip_broken``: skip and report images that cannot be decoded (default False)
    """

    image_size: int | None
    limit: int | None
    test_fraction: float
    faults: tuple[str, ...]
    skip_broken: bool


def image_data(
    name: str,
    train: EncodedImages,
    test: EncodedImages | None,
    *,
    image_size: int | None = None,
    limit: int | None = None,
    test_fraction: float = 0.2,
    faults: tuple[str, ...] = (),
    skip_broken: bool = False,
) -> Data:
    """Create `Data` whose ids are positions in the source, so a skipped image does not change the ids of others.

    Test labels are matched to the training classes by name.
    """
    labels = train.labels.codes
    rows = np.arange(len(labels), dtype=np.int64)
    if not len(rows):
        raise InputError(f"{train.where} has no images; check the path")
    if limit is not None and limit < len(rows):
        rows = stratified(labels, limit, purpose="limit")
    found, held, test_rows = [*faults, *train.faults], None, None
    if test is not None:
        test_labels, more = match_classes(train.labels, test.labels, test.where)
        found += [*test.faults, *more]

    def decode(part: EncodedImages, wanted: npt.NDArray[np.int64]) -> Decoded:
        decoded = decode_images(part.blocks, wanted, part.where, size=image_size, skip_broken=skip_broken)
        found.extend(decoded.faults)
        if len(decoded.rows) < len(wanted):
            warnings.warn(decoded.faults[-1], stacklevel=4)
        return decoded

    kept = decode(train, rows)
    if test is not None:
        if not len(test_labels):
            raise InputError(f"{test.where} has no images; check the path")
        tested = decode(test, np.arange(len(test_labels), dtype=np.int64))
        held, test_rows = (tested.images, test_labels[tested.rows]), tested.rows
    return classification_data(
        name,
        kept.images,
        labels[kept.rows],
        ids=kept.rows,
        test=held,
        test_ids=test_rows,
        class_names=train.labels.names or (),
        test_fraction=test_fraction,
        faults=tuple(found),
    )
