"""Read embeddings that were computed elsewhere, from .npy, Parquet or safetensors files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.errors import InputError
from graphprune.files import must_exist, read_npy, require_finite

_ID_NAMES = ("sample_id", "ids", "id")
_NAMES = ("embeddings", "embedding", "features", "vector", "emb")


def read_embeddings(
    path: Path, n: int | None = None, *, ids: npt.NDArray[np.int64] | None = None
) -> npt.NDArray[Any]:
    """Reads embeddings ``[N, D]`` float16 or float32, with rows in the order of the samples.

    A ``.npy`` file is memory-mapped. A ``.parquet`` file needs a column of lists of equal length, and a
    ``.safetensors`` file a tensor ``[N, D]`` (bfloat16 becomes float32). If there are several, the one named
    ``embeddings`` or ``embedding`` is used. float64 is refused because it is probably a mistake.

    If a Parquet file has an integer column ``sample_id``, ``ids`` or ``id``, rows are matched by it. With ``ids``, the
    rows of those samples are returned in the order of ``ids`` (the file may contain more rows, in any order). Without
    ``ids``, the column must be ascending.

    Args:
        path: The file.
        n: Expected number of samples.
        ids: Sample ids ``[n]``, ascending; they determine ``n``.

    Raises:
        InputError: wrong shape or dtype, a number of rows other than ``n``, a missing id, NaN or infinite values.
    """
    n = len(ids) if ids is not None else n
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        embeddings = _from_parquet(path, ids)
    elif suffix == ".safetensors":
        embeddings = _from_safetensors(path)
    else:
        embeddings = read_npy(path, mmap=True)
    if embeddings.ndim != 2 or embeddings.dtype not in (np.float16, np.float32) or 0 in embeddings.shape:
        raise InputError(
            f"{path} is {embeddings.dtype} {list(embeddings.shape)}; embeddings must be float16 or float32 [N, D]; "
            "convert them with .astype(numpy.float32)"
        )
    if n is not None and len(embeddings) != n:
        raise InputError(
            f"{path} has {len(embeddings)} rows but the data has {n} samples; provide one row per sample"
        )
    require_finite(embeddings, str(path))
    return embeddings


def _from_parquet(path: Path, ids: npt.NDArray[np.int64] | None) -> npt.NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    from graphprune.table import locate, read_parquet

    table = read_parquet(path, required=())
    kinds = (pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)
    lists = [field.name for field in table.schema if any(is_kind(field.type) for is_kind in kinds)]
    name = _choose(path, lists, "column of lists of numbers", table.column_names)
    column, where = table[name], f"{path}: column '{name}'"
    if not pa.types.is_floating(column.type.value_type):
        raise InputError(f"{where} contains {column.type.value_type}; embeddings must be float16 or float32")
    lengths = np.asarray(pc.list_value_length(column).to_numpy())
    if column.null_count or any(chunk.flatten().null_count for chunk in column.chunks):
        raise InputError(f"{where} has null values; provide a vector for every sample")
    if len(lengths) and (lengths != lengths[0]).any():
        row = int(np.flatnonzero(lengths != lengths[0])[0])
        raise InputError(
            f"{where} has {lengths[row]} values in row {row} but {lengths[0]} in row 0; "
            "provide vectors of equal length"
        )
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks if len(chunk)]
    values = parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0, np.float32)])
    vectors = np.asarray(values).reshape(len(lengths), int(lengths[0]) if len(lengths) else 0)
    own = _ids(path, table)
    if own is None or (ids is not None and np.array_equal(own, ids)):
        return vectors
    order = np.argsort(own, kind="stable")
    if (np.diff(own[order]) == 0).any():
        raise InputError(f"{path}: the id column has duplicate ids; provide one vector per sample")
    if ids is not None:
        return vectors[order[locate(own[order], ids, f"{path}: ids of the data")]]
    if (np.diff(own) < 0).any():
        raise InputError(f"{path}: the id column is not ascending; sort the rows by it")
    return vectors


def stored_ids(path: Path) -> npt.NDArray[np.int64] | None:
    """Returns the sample ids ``[N]`` stored in an embedding file, or None."""
    if path.suffix.lower() != ".parquet":
        return None
    from graphprune.table import read_parquet

    return _ids(path, read_parquet(path, required=()))


def _ids(path: Path, table: Any) -> npt.NDArray[np.int64] | None:
    from graphprune.table import integer_column

    name = next((column for column in _ID_NAMES if column in table.column_names), None)
    return None if name is None else integer_column(table, name, path)


def _from_safetensors(path: Path) -> npt.NDArray[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(must_exist(path), framework="pt") as file:
            names = list(file.keys())
            flat = [name for name in names if len(file.get_slice(name).get_shape()) == 2]
            tensor = file.get_tensor(_choose(path, flat, "tensor [N, D]", names))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is not a readable safetensors file ({error}); regenerate it") from error
    return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())


def _choose(path: Path, found: list[str], what: str, every: list[str]) -> str:
    """Returns the only candidate, or the one with a usual name."""
    if len(found) == 1:
        return found[0]
    usual = [name for name in _NAMES if name in found]
    if not usual:
        listed = ", ".join(every) or "nothing"
        raise InputError(f"{path} contains {listed}; it must contain one {what}, or one named 'embeddings'")
    return usual[0]
