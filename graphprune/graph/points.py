"""Embeddings in the form that the neighbor search reads: validated once, then float32 blocks in the metric's space."""

from __future__ import annotations

import copy
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.runtime.devices import fits_on

Metric = Literal["euclidean", "cosine", "inner"]
Array = npt.NDArray[Any] | Tensor

BLOCK = 65_536
RESIDENT_BYTES = 2**30


class Points:
    """Points: ``[N, D]`` vectors that are read in blocks; with ``cosine`` every row is scaled to length 1.

    Up to 1 GiB of float32 is kept in memory, on CUDA as much as `fits_on` the device; larger arrays are converted
    block by block, so that memory-mapped embeddings stay on disk. If the largest value is beyond 2^40 or below
    2^-40, all values are divided by a power of two (exactly), because their squares would exceed the range of
    float32.

    Args:
        array: ``[N, D]`` floating or integer array, memory map or tensor.
        metric: ``euclidean``, ``cosine`` or ``inner``.
        device: Device of the blocks (default: the tensor's own device, or the CPU).

    Attributes:
        scale: Divisor of the vectors.
        center: Mean vector ``[D]``; subtracting it keeps distances and reduces rounding errors.

    Raises:
        InputError: the shape or type is wrong, values are NaN or infinite, or vectors are zero with ``cosine``.
    """

    def __init__(self, array: Array, metric: Metric, *, device: torch.device | str | None = None) -> None:
        if metric not in get_args(Metric):
            raise InputError(f"metric is '{metric}'; use one of {', '.join(get_args(Metric))}")
        shape = tuple(array.shape)
        if len(shape) != 2 or 0 in shape:
            raise InputError(
                f"embeddings have shape {list(shape)}; pass [N, D] with at least one row and column"
            )
        kind = array.dtype if isinstance(array, Tensor) else np.dtype(array.dtype)
        real = not kind.is_complex if isinstance(kind, torch.dtype) else kind.kind in "fiu"
        if not real or kind in (torch.bool,):
            raise InputError(f"embeddings are {kind}; pass real numbers such as float32")
        self.metric = metric
        self.n, self.dim = shape
        own = array.device if isinstance(array, Tensor) else "cpu"
        self.device = torch.device(own if device is None else device)
        self._array = array
        self._resident: Tensor | None = None
        self.scale = 1.0
        self.scale, self.center = self._inspect()
        size = self.n * self.dim * 4
        if size <= RESIDENT_BYTES:
            self._resident = self._prepare(array)
        elif self.device.type == "cuda" and fits_on(self.device, size):
            self._resident = torch.empty(self.n, self.dim, device=self.device)
            for start in range(0, self.n, BLOCK):
                self._resident[start : start + BLOCK] = self._prepare(array[start : start + BLOCK])

    def block(self, start: int, stop: int) -> Tensor:
        """Rows ``start`` to ``stop`` as float32 ``[stop - start, D]`` on the device."""
        if self._resident is not None:
            return self._resident[start:stop]
        return self._prepare(self._array[start:stop])

    def take(self, rows: Tensor, *, out: Tensor | None = None) -> Tensor:
        """A copy of rows ``rows [...]`` int64 as float32 ``[..., D]`` on the device.

        The copy may be placed in ``out``, which must have enough rows: allocating memory costs more than copying.
        """
        flat = rows.reshape(-1).to(self.device)
        if self._resident is None:
            numpy = not isinstance(self._array, Tensor)
            picked = self._prepare(self._array[flat.cpu().numpy() if numpy else flat.to(self._array.device)])
        elif out is None:
            picked = self._resident.index_select(0, flat)
        else:
            picked = torch.index_select(self._resident, 0, flat, out=out[: len(flat)])
        return picked.view(*rows.shape, self.dim)

    def subset(self, rows: Tensor) -> Points:
        """Only the points ``rows [M]`` int64, in memory, with the same scale."""
        part = copy.copy(self)
        part._resident = self.take(rows)
        part.n = len(rows)
        return part

    def beside(self, array: Array) -> Points:
        """Other vectors ``[M, D]``, for example queries, with the scale and center of these."""
        if array.ndim != 2 or array.shape[1] != self.dim:
            raise InputError(
                f"points have shape {list(array.shape)}; pass [M, {self.dim}] like the embeddings"
            )
        other = Points(array, self.metric, device=self.device)
        other.center = self.center
        if other.scale != self.scale:
            other.scale = self.scale
            other._resident = other._prepare(array)
        return other

    def _inspect(self) -> tuple[float, Tensor]:
        """Scale and center; rejects values of which no distance can be computed."""
        largest, bad, zeros = 0.0, 0, 0
        first_bad = first_zero = -1
        total = torch.zeros(self.dim, dtype=torch.float64, device=self.device)
        for start in range(0, self.n, BLOCK):
            x = _float32(self._array[start : start + BLOCK], self.device)
            size = x.abs().amax(dim=1)
            broken = ~size.isfinite()
            if (count := int(broken.sum())) and not bad:
                first_bad = start + int(broken.nonzero()[0])
            bad += count
            empty = size == 0
            if (count := int(empty.sum())) and not zeros:
                first_zero = start + int(empty.nonzero()[0])
            zeros += count
            largest = max(largest, float(size.max()))
            total += (unit(x) if self.metric == "cosine" else x).sum(dim=0, dtype=torch.float64)
        if bad:
            raise InputError(
                f"embeddings: {bad} of {self.n} samples contain NaN or infinite values, "
                f"the first is row {first_bad}; drop or repair them"
            )
        if zeros and self.metric == "cosine":
            raise InputError(
                f"embeddings: {zeros} of {self.n} samples are zero vectors, which have no cosine, "
                f"the first is row {first_zero}; drop them or use metric 'euclidean'"
            )
        plain = self.metric == "cosine" or largest == 0 or 2.0**-40 < largest < 2.0**40
        # Both the scale and its reciprocal must be normal float32 numbers.
        scale = 1.0 if plain else 2.0 ** min(max(int(np.frexp(largest)[1]), -126), 126)
        return scale, (total / (self.n * scale)).to(torch.float32)

    def _prepare(self, part: Array) -> Tensor:
        x = _float32(part, self.device)
        if self.metric == "cosine":
            return unit(x)
        return x if self.scale == 1.0 else x / self.scale


def unit(x: Tensor) -> Tensor:
    """Rows of ``x [N, D]`` scaled to length 1; zero rows stay zero, and lengths may exceed the range of float32."""
    size = x.abs().amax(dim=1, keepdim=True)
    x = x / torch.where(size > 0, size, 1)
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(length > 0, length, 1)


def as_tensor(array: Array) -> Tensor:
    """The array as a tensor; NumPy arrays are copied, because torch needs writable memory and maps are read-only."""
    return array.detach() if isinstance(array, Tensor) else torch.from_numpy(np.array(array))


def _float32(part: Array, device: torch.device) -> Tensor:
    return as_tensor(part).to(device=device, dtype=torch.float32)
