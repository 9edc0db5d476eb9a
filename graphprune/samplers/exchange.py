"""Exchange of per-sample values between training processes."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError


def gather_rows(rows: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Gathers the rows and values of all ranks in rank order; every rank must call it.

    Rows are sent as int64 (float32 is exact only up to 16,777,216) and values as float32.

    Args:
        rows: ``[M]`` int64; M may differ between ranks.
        values: ``[M, C]`` float32.

    Returns:
        ``[sum M]`` int64 and ``[sum M, C]`` float32 on the device of ``rows``.
    """
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        raise InputError(
            "the sampler is sharded but torch.distributed is not initialized; start the program with torchrun"
        )
    device = rows.device
    if distributed.get_backend() == "gloo":
        rows, values = rows.cpu(), values.cpu()
    ranks = distributed.get_world_size()
    size = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.empty_like(size) for _ in range(ranks)]
    distributed.all_gather(sizes, size)
    counts = [int(s) for s in sizes]
    gathered = []
    for tensor in (rows, values):
        # all_gather requires equal shapes, so shorter parts are padded and cut again.
        padded = tensor.new_zeros((max(counts), *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        parts = [torch.empty_like(padded) for _ in range(ranks)]
        distributed.all_gather(parts, padded)
        whole = torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])
        gathered.append(whole.to(device))
    return gathered[0], gathered[1]
