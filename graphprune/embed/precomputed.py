"""Embeddings that somebody else computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.files import read_npy, require_finite


def read_embeddings(path: Path, n: int | None = None) -> npt.NDArray[Any]:
    """``[N, D]`` float16 or float32 from a ``.npy`` file, memory-mapped; float64 is refused as a likely mistake.

    Raises:
        InputError: wrong shape or dtype, another length than ``n``, NaN or infinite values.
    """
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
