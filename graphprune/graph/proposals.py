"""Approximate distances of many pairs by a matrix product in the fastest number format of the hardware."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from graphprune.graph.points import BLOCK, Points

Precision = Literal["auto", "float32", "bfloat16", "int8"]


def formats(database: Points, precision: Precision = "auto") -> list[torch.dtype]:
    """Number formats of the product, fastest first; the search moves on if a coarse format cannot separate the points.

    ``auto`` depends on the hardware only: int8 on CPUs with the flag ``avx512_vnni`` or ``amx_int8``, then bfloat16
    on CPUs with ``avx512_bf16`` or ``amx_bf16`` and on CUDA from capability 8.0, and always float32 last. Below
    4,096 points or 64 dimensions it is float32 alone, because ranking the candidates costs more than the product.
    """
    if precision != "auto":
        coarse = [getattr(torch, precision)]
    elif database.n < 4096 or database.dim < 64:
        coarse = []
    else:
        coarse = [torch.int8] if native_int8(database.device) else []
        coarse += [torch.bfloat16] if native_bfloat16(database.device) else []
    return [*(dtype for dtype in coarse if dtype != torch.float32), torch.float32]


def native_int8(device: torch.device) -> bool:
    """Whether a CPU multiplies int8 matrices without saturation (the CUDA kernel rejects some shapes)."""
    return device.type == "cpu" and hasattr(torch, "_int_mm") and _cpu_has("avx512_vnni", "amx_int8")


def native_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 matrices natively."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _cpu_has("avx512_bf16", "amx_bf16")


def _cpu_has(*flags: str) -> bool:
    known = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(known.get(flag) for flag in flags)


class Proposer:
    r"""Proposer: approximate scores of pairs, larger for nearer ones, and the distances they correspond to.

    In floating-point formats the score is :math:`-\tfrac12\lVert q-y\rVert^2`, computed by one product: additional
    columns contain the half norms of the rounded vectors, each split into enough numbers to represent it, so the
    error is relative to the distance and not to the norms. In int8 the score is :math:`q y - \tfrac12\lVert
    y\rVert^2` of vectors in steps of 1/127 of their largest entry, or of 8 times their root mean square if that is
    smaller (larger entries are clipped, which can only bring points closer). ``inner`` needs no norms.
    """

    def __init__(self, database: Points, dtype: torch.dtype) -> None:
        self.inner = database.metric == "inner"
        self.dtype = dtype
        self._center = torch.zeros_like(database.center) if self.inner else database.center
        self.step = self._step(database) if dtype == torch.int8 else 1.0
        self.least = torch.iinfo(torch.int32).min if dtype == torch.int8 else -torch.inf
        self._out = torch.int32 if dtype == torch.int8 else dtype

    def queries(self, q: Tensor) -> Tensor:
        """Left factor of the product for ``q [B, D]``."""
        return self._operand(q, query=True)

    def candidates(self, y: Tensor) -> tuple[Tensor, Tensor | None]:
        """Right factor ``[K, n]`` for ``y [n, D]``, and half norms ``[n]`` to subtract, or None."""
        right = self._operand(y, query=False)
        if self.dtype != torch.int8:
            return right.T, None
        return right.T.contiguous(), None if self.inner else self._half_norms(right)

    def buffer(self, size: int, device: torch.device) -> Tensor:
        """Memory for ``size`` scores."""
        return torch.empty(size, dtype=self._out, device=device)

    def scores(self, left: Tensor, right: tuple[Tensor, Tensor | None], buffer: Tensor) -> Tensor:
        """Scores ``[B, n]`` written into the ``buffer``."""
        shape = len(left), right[0].shape[1]
        out = buffer[: shape[0] * shape[1]].view(shape)
        if self.dtype != torch.int8:
            torch.mm(left, right[0], out=out)
            return out
        torch._int_mm(left, right[0], out=out)
        return out if right[1] is None else out.sub_(right[1])

    def comparable(self, scores: Tensor, left: Tensor) -> Tensor:
        """Scores ``[B, m]`` float32 as squared distances, or as minus the inner product."""
        if self.inner:
            return scores * -(self.step**2)
        if self.dtype != torch.int8:
            return -2 * scores
        return 2 * self.step**2 * (self._half_norms(left)[:, None] - scores)

    def rounding(self, worst: Tensor) -> Tensor:
        """Smallest error ``[B]`` to assume at the approximate distances ``worst [B]``: four standard deviations of
        the rounding in int8, the spacing of the numbers in floating-point formats."""
        if self.dtype == torch.int8:
            return torch.zeros_like(worst) if self.inner else 3.3 * self.step * worst.abs().sqrt()
        return (2.0**-8 if self.dtype == torch.bfloat16 else 2.0**-20) * worst.abs()

    def _operand(self, x: Tensor, *, query: bool) -> Tensor:
        x = x - self._center
        if self.dtype == torch.int8:
            return (x / self.step).round_().clamp_(-127, 127).to(torch.int8)
        x = x.to(self.dtype)
        if self.inner:
            return x
        rest = x.to(torch.float32).square().sum(dim=1, keepdim=True) / -2
        pieces = []
        for _ in range(3 if self.dtype == torch.bfloat16 else 1):
            pieces.append(rest.to(self.dtype))
            rest = rest - pieces[-1]
        ones = [torch.ones_like(pieces[0])] * len(pieces)
        return torch.cat([x, *ones, *pieces] if query else [x, *pieces, *ones], dim=1)

    def _step(self, database: Points) -> float:
        largest, squares = 0.0, 0.0
        for start in range(0, database.n, BLOCK):
            x = database.block(start, start + BLOCK) - self._center
            largest = max(largest, float(x.abs().max()))
            squares += float(x.square().sum(dtype=torch.float64))
        mean = (squares / (database.n * database.dim)) ** 0.5
        return min(largest, 8 * mean) / 127 or 1.0

    @staticmethod
    def _half_norms(x: Tensor) -> Tensor:
        # Rounding down costs at most half a squared step, far less than the rounding of the vectors.
        return torch.div(x.to(torch.int32).square().sum(dim=1), 2, rounding_mode="floor").to(torch.int32)
