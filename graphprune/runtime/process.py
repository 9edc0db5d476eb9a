"""What the process of a job does with idle threads and with freed memory."""

from __future__ import annotations

import ctypes
import os

# glibc's numbers for mallopt (malloc.h), and our values in bytes.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_AT_MOST, _LARGEST_REUSED = 1 << 30, 1 << 28


def prepare_process() -> None:
    """Sets what a job on CPUs does best with; every choice of the user's own environment stands.

    Call it before torch is imported. The command line does; a script of one's own may.

    * Idle OpenMP threads sleep: where others use the cores, too, spinning costs a factor of ten or more.
    * Freed memory is kept for the next step (up to 1 GiB, single blocks up to 256 MiB) rather than given back
      to the system: otherwise the activations of each step may be page faults again, a hundred times as many in
      experiments/speed_trainer. Linux with glibc only; other systems are left as they are.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not any(name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")) for name in os.environ):
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_TRIM_THRESHOLD, _KEPT_AT_MOST)
    mallopt(_MMAP_THRESHOLD, _LARGEST_REUSED)
