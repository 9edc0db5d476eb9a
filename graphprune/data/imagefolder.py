"""Image folders with one sub-folder per class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt

from graphprune.data.base import Data
from graphprune.data.decode import Cell, image_suffixes
from graphprune.data.encoded import EncodedImages, ImageOptions, image_data
from graphprune.data.labels import ClassLabels, class_names, listed
from graphprune.errors import InputError

_BLOCK = 64
_TRAIN_WORDS = ("train", "training")
_TEST_WORDS = ("val", "valid", "validation", "test", "testing", "dev", "eval", "evaluation")


def load_imagefolder(
    path: Path,
    *,
    test_path: Path | None = None,
    image: str | None = None,
    label: str | None = None,
    **options: Unpack[ImageOptions],
) -> Data:
    """Load folders with one sub-folder of images per class.

    Every image below a class folder belongs to that class, at any depth. Classes are sorted by name; test classes are
    matched by name. The id of a sample is the position of its file among the sorted paths. Hidden files, files without
    the suffix of an image, images outside the class folders, broken links and class folders without images are skipped
    and reported.

    Args:
        path, test_path: Folders to train and to test on.
        image, label: Only for compatibility: None, ``image`` or ``label``, because a folder has no columns.
        options: See `ImageOptions`.

    Raises:
        InputError: a folder is missing or has no classes, its sub-folders are splits instead of classes, or an image
            cannot be decoded.
    """
    for what, given in (("image", image), ("label", label)):
        if given not in (None, what):
            raise InputError(f"data.{what}: an image folder has no columns; leave '{given}' out")
    train = _open(path)
    if train.labels.names is not None and len(train.labels.names) < 2:
        only = train.labels.names[0]
        raise InputError(
            f"{path} has one folder with images, '{only}'; give a folder with one sub-folder per class "
            f"(is it {path / only}?)"
        )
    test = None if test_path is None else _open(test_path)
    return image_data(path.name, train, test, **options)


@dataclass
class _Listing:
    """Image files of one folder by class, and the skipped files."""

    files: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, kind: str, name: str) -> None:
        self.others.setdefault(kind, []).append(name)

    def faults(self, root: Path) -> tuple[str, ...]:
        """One sentence about all skipped files."""
        kinds = [f"{len(names)} {kind} ({listed(sorted(names))})" for kind, names in self.others.items()]
        return (f"{root}: skipped {'; '.join(kinds)}",) if kinds else ()


def _open(root: Path) -> EncodedImages:
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give a folder with one sub-folder of images per class")
    try:
        listing = _list(root)
    except OSError as error:
        raise InputError(f"{root} could not be listed ({error}); check the permissions") from error
    if not listing.files:
        raise InputError(f"{root} has no sub-folder with images; create one sub-folder per class")
    _refuse_splits(root, listing)
    classes = sorted(listing.files)
    names = class_names(classes, str(root))
    files = [name for label in classes for name in listing.files[label]]
    codes = np.repeat(np.arange(len(classes)), [len(listing.files[label]) for label in classes])

    def blocks(rows: npt.NDArray[np.int64]) -> Iterator[list[Cell]]:
        for start in range(0, len(rows), _BLOCK):
            paths = [root / files[row] for row in rows[start : start + _BLOCK].tolist()]
            yield [(listed([path]), path) for path in paths]

    return EncodedImages(str(root), ClassLabels(codes, names), blocks, listing.faults(root))


def _list(root: Path) -> _Listing:
    listing = _Listing()
    for entry in sorted(os.scandir(root), key=lambda entry: entry.name):
        if not entry.is_dir():
            _sort_in(listing, entry, entry.name, None)
        elif not entry.name.startswith("."):
            found: list[str] = []
            _walk(root, entry.name, listing, found, (os.path.realpath(entry.path),))
            if found:
                listing.files[entry.name] = sorted(found)
            else:
                listing.leave_out("folders without images", entry.name)
    return listing


def _walk(root: Path, folder: str, listing: _Listing, found: list[str], above: tuple[str, ...]) -> None:
    """Add the images below ``folder`` to ``found``; links to a folder in ``above`` are not followed."""
    for entry in os.scandir(root / folder):
        name = f"{folder}/{entry.name}"
        if not entry.is_dir():
            _sort_in(listing, entry, name, found)
            continue
        real = os.path.realpath(entry.path)
        if entry.name.startswith("."):
            continue
        if real in above:
            listing.leave_out("links to a parent folder", name)
        else:
            _walk(root, name, listing, found, (*above, real))


def _sort_in(listing: _Listing, entry: os.DirEntry[str], name: str, found: list[str] | None) -> None:
    is_image = os.path.splitext(entry.name)[1].lower() in image_suffixes()
    if entry.name.startswith("."):
        if is_image:
            listing.leave_out("hidden images", name)
    elif not entry.is_file():
        listing.leave_out("broken links or special files", name)
    elif not is_image:
        listing.leave_out("files without the suffix of an image", name)
    elif found is None:
        listing.leave_out("images outside the class folders", name)
    else:
        found.append(name)


def _refuse_splits(root: Path, listing: _Listing) -> None:
    """Refuse folders called train, val or test that contain class folders: they are splits, not classes."""
    splits = [name for name in listing.files if name.lower() in _TRAIN_WORDS + _TEST_WORDS]
    inner = {
        name: {file.split("/")[1] for file in listing.files[name] if file.count("/") > 1} for name in splits
    }
    nested = [name for name in splits if inner[name] and all(f.count("/") > 1 for f in listing.files[name])]
    alike = len(nested) > 1 and set.intersection(*(inner[name] for name in nested))
    if len(splits) < len(listing.files) and not alike:
        return
    train = next((root / name for name in splits if name.lower() in _TRAIN_WORDS), root / splits[0])
    test = next((root / name for name in splits if name.lower() in _TEST_WORDS), None)
    fix = f"set data.path: {train}" + (f" and data.test_path: {test}" if test and test != train else "")
    raise InputError(f"the folders {listed(splits)} of {root} are splits, not classes; {fix}")
