"""Common ground: one thread per test process, and property tests that try the same examples every time."""

from pathlib import Path

import pytest
import torch
from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ci")
torch.set_num_threads(1)

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is absent")
    return SHARED
