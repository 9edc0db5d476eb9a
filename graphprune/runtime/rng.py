"""Random numbers that depend only on a seed and a purpose, never on earlier draws."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Derive a 63-bit seed for one purpose; it is the same on all machines and versions.

    >>> derive_seed(0, "epoch", 3) == derive_seed(0, "epoch", 4)
    False
    """
    text = "\x1f".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A separate generator for one purpose.

    >>> one, other = (torch.rand(2, generator=generator(0, "example")) for _ in range(2))
    >>> bool((one == other).all())
    True
    """
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))


# Torch's global generators are shared by all threads; the lock gives one thread exclusive use of them.
_GLOBAL = threading.RLock()


@contextmanager
def restored_rng(devices: Sequence[torch.device | int] = ()) -> Iterator[None]:
    """Restore torch's global generators after the block; other threads wait here until it ends.

    A thread that draws from them without this function, in code outside graphprune, still changes the draws of the
    block.

    Args:
        devices: CUDA devices whose generators are also restored.
    """
    with _GLOBAL, torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def isolated_rng(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed torch's global generators inside the block (used by layer initialization and dropout), then restore them."""
    with restored_rng(range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield
