"""What a job's process does with threads and memory, and that the user's own choice stands."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, resource
# PR_SET_THP_DISABLE: pages of 4 KiB, whatever the kernel is set to.
getattr(ctypes.CDLL(None), "prctl", max)(41, 1, 0, 0, 0)
from graphprune.runtime.process import prepare_process
prepare_process()
import numpy as np

def step():
    blocks = [np.ones(4_000_000) for _ in range(3)]

step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, os.environ["OMP_WAIT_POLICY"])
"""


def faults(**environment):
    """Page faults of five steps that free 96 MB each, and the policy of idle threads."""
    outside = {
        k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "OMP_", "GLIBC_", "LD_PRELOAD"))
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=outside | environment, capture_output=True, text=True, check=True
    )
    count, policy = done.stdout.split()
    return int(count), policy


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_freed_memory_is_used_again_unless_the_user_chose_otherwise():
    kept, _ = faults()
    given_back, _ = faults(MALLOC_TRIM_THRESHOLD_="100000")
    assert kept < 1_000
    # Five times 96 MB in pages of 4 KiB are 117,000.
    assert given_back > 50_000


def test_idle_threads_sleep_unless_the_user_chose_otherwise():
    assert faults()[1] == "PASSIVE"
    assert faults(OMP_WAIT_POLICY="ACTIVE")[1] == "ACTIVE"
