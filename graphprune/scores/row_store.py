"""One row of numbers per sample, stored in memory or in a memory-mapped temporary file."""

from __future__ import annotations

import mmap
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphprune.errors import InputError

# Bytes that may be mapped before pages are released; the kernel maps up to 64 KiB around each row it reads.
_RESIDENT = 2**28
_AROUND = 2**16


class RowStore:
    """Rows ``tensor [n, width]``, read as float32 to the device of the batch and written from it.

    Cost: O(B width) per call; the tensor is O(n width) memory.
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def read(self, rows: Tensor) -> Tensor:
        """Returns rows ``[B, width]`` float32 for ``rows [B]`` int64."""
        return self.tensor[rows].to(torch.float32)

    def write(self, rows: Tensor, values: Tensor) -> None:
        """Assigns ``values [B, width]`` to ``rows [B]``."""
        self.tensor[rows] = values.to(self.tensor.dtype)


class MappedRowStore(RowStore):
    """Rows in a file of which only recently used pages are in memory; on a device, rows are copies.

    The file has no name, so two recorders cannot share it, and its space is released when the process ends.
    """

    def __init__(self, n: int, width: int, dtype: torch.dtype, folder: Path) -> None:
        kind = np.dtype(np.float16 if dtype == torch.float16 else np.float32)
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.truncate(n * width * kind.itemsize)
                self._map = mmap.mmap(file.fileno(), 0)
        except (OSError, ValueError) as error:
            raise InputError(
                f"rows_folder {folder} cannot store the rows ({error}); use an existing writable folder"
            ) from error
        super().__init__(torch.from_numpy(np.frombuffer(self._map, dtype=kind).reshape(n, width)))
        self._touched = 0

    def read(self, rows: Tensor) -> Tensor:
        return super().read(rows.cpu()).to(rows.device)

    def write(self, rows: Tensor, values: Tensor) -> None:
        super().write(rows.cpu(), values.cpu())
        self._touched += len(rows) * (self.tensor.shape[1] * self.tensor.element_size() + _AROUND)
        if self._touched >= _RESIDENT:
            self._touched = 0
            self._release()

    def _release(self) -> None:
        """Releases the mapped pages; the file keeps their contents."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)


def row_store(
    n: int, width: int, dtype: torch.dtype, device: torch.device, folder: str | Path | None
) -> RowStore:
    """Creates ``n`` rows of zeros ``[n, width]`` on ``device``, or in a file in ``folder`` if it is given."""
    if folder is not None:
        return MappedRowStore(n, width, dtype, Path(folder))
    return RowStore(torch.zeros(n, width, dtype=dtype, device=device))
