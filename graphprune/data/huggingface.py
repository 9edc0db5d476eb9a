"""Image data sets through Hugging Face `datasets`: hub names, local Parquet files, image folders."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.data.base import Data
from graphprune.data.images import classification_data, stratified
from graphprune.errors import InputError
from graphprune.files import must_exist

_IMAGE_NAMES = ("image", "img")
_LABEL_NAMES = ("label", "fine_label", "labels", "y")


def load_hub(
    name: str, *, subset: str | None, train_split: str, test_split: str | None, **options: Any
) -> Data:
    """A data set of the hub by name; downloads into the library's own cache folder."""
    load = _loader()
    try:
        train = load(name, subset, split=train_split)
        test = load(name, subset, split=test_split) if test_split else None
    except (
        Exception
    ) as error:  # the library raises a dozen kinds for "not there", "no network", "no such split"
        raise InputError(
            f"data set '{name}' could not be loaded from the hub: {_first_line(error)}"
        ) from error
    return _images(name, train, test, **options)


def load_parquet(path: Path, *, test_path: Path | None, **options: Any) -> Data:
    """Local Parquet files whose image column holds encoded bytes or ``{bytes, path}``."""
    train = _open("parquet", data_files=str(must_exist(path)))
    test = _open("parquet", data_files=str(must_exist(test_path))) if test_path else None
    return _images(path.stem, train, test, **options)


def load_imagefolder(path: Path, *, test_path: Path | None, **options: Any) -> Data:
    """Folders with one sub-folder of images per class."""
    for folder in (path, test_path):
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder} is not a folder; give one with a sub-folder of images per class")
        if folder is not None and not any(_is_image(file) for file in folder.glob("*/**/*")):
            raise InputError(f"{folder} has no sub-folder with images; make one per class")
    train = _open("imagefolder", data_dir=str(path))
    test = _open("imagefolder", data_dir=str(test_path)) if test_path else None
    return _images(path.name, train, test, **options)


def _is_image(path: Path) -> bool:
    from PIL import Image

    return path.suffix.lower() in Image.registered_extensions()


def _loader() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InputError(
            "this data kind needs Hugging Face datasets; install it with: pip install 'graphprune[hf]'"
        ) from error
    datasets.disable_progress_bars()
    # What fails is said once, by the error that `_open` raises.
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    return datasets.load_dataset


def _open(builder: str, **files: str) -> Any:
    try:
        return _loader()(builder, split="train", **files)
    except InputError:
        raise
    except Exception as error:  # as above: every failure of a reader is the input's
        raise InputError(f"{next(iter(files.values()))} could not be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def _images(
    name: str,
    train: Any,
    test: Any,
    *,
    image: str | None,
    label: str | None,
    image_size: int | None,
    limit: int | None,
    test_fraction: float,
    faults: tuple[str, ...],
) -> Data:
    image = _column(train, image, _IMAGE_NAMES, "image")
    label = _column(train, label, _LABEL_NAMES, "label")
    names = tuple(str(n) for n in getattr(train.features[label], "names", ()))
    labels = _labels(train, label)
    ids = None
    if limit is not None and limit < len(labels):
        ids = stratified(labels, limit, purpose="limit")
        train, labels = train.select(ids), labels[ids]
    x = _decode(train, image, image_size)
    held = (_decode(test, image, image_size), _labels(test, label)) if test is not None else None
    return classification_data(
        name, x, labels, ids=ids, test=held, class_names=names, test_fraction=test_fraction, faults=faults
    )


def _column(table: Any, name: str | None, usual: tuple[str, ...], what: str) -> str:
    columns = table.column_names
    if name is not None:
        if name not in columns:
            raise InputError(
                f"data.{what}: there is no column '{name}'; the columns are {', '.join(columns)}"
            )
        return name
    found = [column for column in usual if column in columns]
    if not found:
        raise InputError(
            f"no {what} column was recognised among {', '.join(columns)}; name it with data.{what}"
        )
    return found[0]


def _labels(table: Any, column: str) -> npt.NDArray[np.int64]:
    values = np.asarray(table.with_format("numpy")[column])
    if values.dtype.kind not in "iu":
        raise InputError(f"data.label: column '{column}' is {values.dtype}; it must be integer class labels")
    return values.astype(np.int64)


def _decode(table: Any, column: str, size: int | None) -> npt.NDArray[np.uint8]:
    """All images ``[N, 3, H, W]`` uint8, decoded by threads straight into one array."""
    import datasets

    if isinstance(table.features[column], datasets.Image):
        table = table.cast_column(column, datasets.Image(decode=False))
    first = _pixels(table[0][column], size, 0)
    out = np.empty((len(table), *first.shape), dtype=np.uint8)

    def fill(start: int) -> None:
        for offset, cell in enumerate(table[start : start + 256][column]):
            pixels = _pixels(cell, size, start + offset)
            if pixels.shape != first.shape:
                raise InputError(
                    f"image {start + offset} has size {pixels.shape[1:]}, the first {first.shape[1:]}; "
                    "set data.image_size to bring all to one size"
                )
            out[start + offset] = pixels

    with ThreadPoolExecutor() as pool:
        list(pool.map(fill, range(0, len(table), 256)))
    return out


def _pixels(cell: Any, size: int | None, row: int) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    raw = cell.get("bytes") if isinstance(cell, dict) else cell
    try:
        source: Any = io.BytesIO(raw) if isinstance(raw, bytes) else cell["path"]
        picture = Image.open(source).convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, TypeError, KeyError) as error:
        raise InputError(
            f"image {row} cannot be decoded ({_first_line(error).partition(' <')[0]}); remove or replace it"
        ) from error
    if size is not None and picture.size != (size, size):
        picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1)
