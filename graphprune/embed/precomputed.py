"""Embeddings that somebody else computed, from the files that people keep them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.errors import InputError
from graphprune.files import must_exist, read_npy, require_finite

_NAMES = ("embeddings", "embedding", "features", "vector", "emb")


def read_embeddings(path: Path, n: int | None = None) -> npt.NDArray[Any]:
    """``[N, D]`` float16 or float32, rows in the order of the samples.

    ``.npy`` is memory-mapped. ``.parquet`` holds a column of fixed-size lists, ``.safetensors`` one tensor
    ``[N, D]`` (bfloat16 becomes float32); with several, the one called ``embeddings`` or ``embedding`` is taken.
    float64 is refused as a likely mistake.

    Raises:
        InputError: wrong shape or dtype, another length than ``n``, NaN or infinite values.
    """
    readers = {".parquet": _from_parquet, ".safetensors": _from_safetensors}
    reader = readers.get(path.suffix.lower())
    embeddings = read_npy(path, mmap=True) if reader is None else reader(path)
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


def _from_parquet(path: Path) -> npt.NDArray[Any]:
    import pyarrow as pa

    from graphprune.table import integer_column, read_parquet

    table = read_parquet(path, required=())
    lists = [
        field.name
        for field in table.schema
        if pa.types.is_fixed_size_list(field.type) and field.type.list_size
    ]
    name = _choose(path, lists, "column of fixed-size lists", table.column_names)
    column = table[name].combine_chunks()
    if column.null_count or column.flatten().null_count:
        raise InputError(f"{path}: column '{name}' has nulls; give every sample its vector")
    if "sample_id" in table.column_names and (np.diff(integer_column(table, "sample_id", path)) <= 0).any():
        raise InputError(f"{path}: sample_id does not ascend; sort the rows by it")
    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values).reshape(-1, column.type.list_size)


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
