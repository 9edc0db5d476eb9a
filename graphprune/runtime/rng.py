"""Random numbers that depend on a seed and a purpose, never on what ran before."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, e.g. ``derive_seed(0, "epoch", 3)``; stable over machines and versions."""
    text = "\x1f".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """An own generator for one purpose."""
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))


# Torch's global generators belong to all threads; whoever seeds them here has them alone until they are restored.
_GLOBAL = threading.RLock()


@contextmanager
def restored_rng(devices: Sequence[torch.device | int] = ()) -> Iterator[None]:
    """Restores torch's global generators after the block; other threads wait here until it ends.

    A thread that draws from them without this, in code outside graphprune, still changes what the block draws.

    Args:
        devices: CUDA devices whose generators are restored, too.
    """
    with _GLOBAL, torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def isolated_rng(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seeds torch's global generators inside the block (layers' init and dropout use them) and restores them."""
    with restored_rng(range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield
