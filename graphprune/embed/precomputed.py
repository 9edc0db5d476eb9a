"""Embeddings that somebody else computed, from the files that people keep them in."""

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
    """``[N, D]`` float16 or float32, rows in the order of the samples.

    ``.npy`` is memory-mapped. ``.parquet`` holds a column of lists of one length, ``.safetensors`` one tensor
    ``[N, D]`` (bfloat16 becomes float32); with several, the one called ``embeddings`` or ``embedding`` is taken.
    float64 is refused as a likely mistake.

    A Parquet file with a column ``sample_id``, ``ids`` or ``id`` of integers is matched by it: with ``ids``, the rows
    of those samples in their order (the file may have more, in any order); without, the rows must ascend by it.

    Args:
        path: The file.
        n: Samples that there must be.
        ids: ``[n]`` of the samples, ascending; they give ``n``.

    Raises:
        InputError: wrong shape or dtype, another length than ``n``, an absent id, NaN or infinite values.
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
            f"{path} has {len(embeddings)} rows but the data {n} samples; give one row per sample"
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
        raise InputError(f"{where} holds {column.type.value_type}; embeddings must be float16 or float32")
    lengths = np.asarray(pc.list_value_length(column).to_numpy())
    if column.null_count or any(chunk.flatten().null_count for chunk in column.chunks):
        raise InputError(f"{where} has nulls; give every sample its vector")
    if len(lengths) and (lengths != lengths[0]).any():
        row = int(np.flatnonzero(lengths != lengths[0])[0])
        raise InputError(
            f"{where} has {lengths[row]} values in row {row} but {lengths[0]} in row 0; give every sample a vector "
            "of one length"
        )
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks if len(chunk)]
    values = parts[0] if len(parts) == 1 else np.concatenate(parts or [np.empty(0, np.float32)])
    vectors = np.asarray(values).reshape(len(lengths), int(lengths[0]) if len(lengths) else 0)
    own = _ids(path, table)
    if own is None or (ids is not None and np.array_equal(own, ids)):
        return vectors
    order = np.argsort(own, kind="stable")
    if (np.diff(own[order]) == 0).any():
        raise InputError(f"{path}: some ids of its samples are duplicates; give one vector per sample")
    if ids is not None:
        return vectors[order[locate(own[order], ids, f"{path}: ids of the data")]]
    if (np.diff(own) < 0).any():
        raise InputError(f"{path}: the id column does not ascend; sort the rows by it")
    return vectors


def stored_ids(path: Path) -> npt.NDArray[np.int64] | None:
    """The ids ``[N]`` that a file holds beside its embeddings, or None."""
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
        raise InputError(f"{path} is not a readable safetensors file ({error}); write it anew") from error
    return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())


def _choose(path: Path, found: list[str], what: str, every: list[str]) -> str:
    """The only one, or the one with a usual name."""
    if len(found) == 1:
        return found[0]
    usual = [name for name in _NAMES if name in found]
    if not usual:
        listed = ", ".join(every) or "nothing"
        raise InputError(f"{path} must hold one {what}, or one called 'embeddings' (it has {listed})")
    return usual[0]
