"""Process settings for idle threads and freed memory."""

from __future__ import annotations

import ctypes
import os

# Parameters of glibc's mallopt (malloc.h), and our values in bytes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_AT_MOST, _LARGEST_REUSED = 1 << 30, 1 << 28
# With less address space torch does not load; with somewhat more it always does, and a job may still need more.
_LEAST_ADDRESS_SPACE = 800 * 2**20


def prepare_process() -> None:
    """Set the fastest process settings for a job on CPUs; settings in the user's environment take precedence.

    Call it before torch is imported. The command line calls it; your own scripts may call it.

    * Idle OpenMP threads sleep. If other processes use the same cores, spinning threads cost a factor of ten or more.
    * Freed memory is kept for the next step (up to 1 GiB, single blocks up to 256 MiB) instead of being returned to
      the system. Otherwise the activations of every step can cause new page faults, a hundred times as many in
      experiments/speed_trainer. This applies to Linux with glibc only.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")) for name in os.environ):
        _keep_freed_memory()


def require_address_space() -> None:
    """Check a limit of the address space (``ulimit -v``) before libraries load, which may crash if it is too small.

    Raises:
        MemoryError: the limit is below 800 MiB.
    """
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _LEAST_ADDRESS_SPACE:
        raise MemoryError


def _keep_freed_memory() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_TRIM_THRESHOLD, _KEPT_AT_MOST)
    mallopt(_MMAP_THRESHOLD, _LARGEST_REUSED)
