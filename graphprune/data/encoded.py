"""Encoded images with labels, from a Parquet file, folder or the hub, to `Data`."""

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
    """One part of a data set: its labels, and how to get at the encoded images.

    Args:
        where: What it is called in messages.
        labels: One per image.
        blocks: Yields the cells of given rows in order.
        faults: What a reader of any figure must know.
    """

    where: str
    labels: ClassLabels
    blocks: Blocks
    faults: tuple[str, ...] = ()


def named_cell(where: str, row: int, value: Any, beside: Path | None = None) -> Cell:
    """A cell under a name that says its row and path; a relative path is looked up in the folder ``beside``."""
    name = f"{where}: image {row}"
    if isinstance(value, dict) and isinstance(value.get("path"), str):
        name += f" ({value['path']})"
        if beside is not None:
            value = {**value, "path": beside / value["path"]}
    return name, value


class ImageOptions(TypedDict, total=False):
    """Options that all sources of encoded images share.

    - ``image_size``: side of the squares to resize to (default None: all images must have one size)
    - ``limit``: class-balanced draw of so many training images (default None: all)
    - ``test_fraction``: held out where there is no test part (default 0.2)
    - ``faults``: known issues to print beside every figure (default none)
    - ``skip_broken``: leave images out that cannot be decoded, and report them (default False)
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
    """`Data` whose ids are positions in the source, so that a skipped image changes no other image's id.

    Test labels are matched with the training classes by name.
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
