"""Splits in time without overlapping windows: training and test, seeds and held-out seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from graphprune.errors import InputError

Ints = npt.NDArray[np.int64]


def split_windows(
    n_steps: int,
    *,
    window: int,
    horizon: int,
    delay: int = 0,
    stride: int = 1,
    test_fraction: float = 0.2,
) -> tuple[Ints, Ints]:
    """Split windows in time and return the starts of the training and the test windows.

    A window spans ``window + delay + horizon`` steps. All steps of test windows lie in the last ``test_fraction`` of
    the steps and all steps of training windows before it, so the first test start is at least one span after the last
    training start.

    Raises:
        InputError: the series is too short for one window in each part.

    >>> split_windows(20, window=2, horizon=2, test_fraction=0.25)[1]
    array([15, 16])
    """
    for name, value in (
        ("window", window),
        ("horizon", horizon),
        ("stride", stride),
        ("delay + 1", delay + 1),
    ):
        if value < 1:
            raise InputError(f"{name} is {value}; give at least 1")
    if not 0 < test_fraction < 1:
        raise InputError(f"test_fraction is {test_fraction:g}; give a number between 0 and 1")
    span = window + delay + horizon
    boundary = n_steps - round(test_fraction * n_steps)
    if min(boundary, n_steps - boundary) < span:
        raise InputError(
            f"a series of {n_steps} steps is too short: window {window} + delay {delay} + horizon {horizon} "
            f"must fit into the first {boundary} steps (training) and the last {n_steps - boundary} (test)"
        )
    train = np.arange(0, boundary - span + 1, stride, dtype=np.int64)
    test = np.arange(boundary, n_steps - span + 1, stride, dtype=np.int64)
    return train, test


def draw_time_blocks(
    starts: Ints,
    fraction: float,
    *,
    window: int,
    horizon: int,
    delay: int = 0,
    n_blocks: int = 8,
    generator: torch.Generator,
) -> Ints:
    """Draw seeds as contiguous blocks of time, one at a random place in each of ``n_blocks`` equal sections.

    Windows of different blocks never overlap. If the fraction is too large for the gaps, there are fewer blocks; one
    block always fits.

    Args:
        starts: Start of each sample ``[n]``, ascending; sensor-time windows repeat every start once per sensor.
        fraction: Fraction of the distinct starts to draw, above 0 and below 1.
        window, horizon, delay: Steps of a window; their sum is the distance between blocks.
        n_blocks: Number of blocks (default: 8).
        generator: Source of all random draws.

    Returns:
        Rows ``[m]`` int64 ascending: all samples of the ``round(fraction * distinct starts)`` drawn starts.

    >>> draws = torch.Generator().manual_seed(0)
    >>> rows = draw_time_blocks(np.arange(1000), 0.2, window=12, horizon=12, n_blocks=2, generator=draws)
    >>> len(rows), int((np.diff(rows) > 1).sum())
    (200, 1)
    """
    distinct = np.unique(starts)
    count = round(fraction * len(distinct))
    if not 0 < fraction < 1 or not 0 < count < len(distinct):
        raise InputError(
            f"a fraction of {fraction:g} of {len(distinct)} window starts leaves no seeds or no others; "
            "change seeds.fraction or use more windows"
        )
    gap = _steps_apart(distinct, window + delay + horizon)
    blocks = max(1, min(n_blocks, count, (len(distinct) - count) // gap))
    edges = np.arange(blocks + 1) * len(distinct) // blocks
    lengths = np.diff(np.arange(blocks + 1) * count // blocks)
    # The last gap - 1 starts of a section stay free, so the block of the next section may begin at its edge.
    room = np.diff(edges) - lengths - (gap - 1 if blocks > 1 else 0)
    offsets = torch.rand(blocks, generator=generator, dtype=torch.float64).numpy()
    first = edges[:-1] + np.floor(offsets * (room + 1)).astype(np.int64)
    chosen = np.concatenate([np.arange(a, a + n) for a, n in zip(first, lengths, strict=True)])
    return np.flatnonzero(np.isin(starts, distinct[chosen]))


def heldout_blocks(
    starts: Ints,
    fraction: float,
    *,
    window: int,
    horizon: int,
    delay: int = 0,
    generator: torch.Generator,
) -> tuple[Ints, Ints]:
    """Split seeds into those to fit on and those held out, without overlapping windows.

    Whole blocks of seeds are held out as long as they fit into ``fraction``. The rest is cut from the end of one more
    block, and the seeds to fit on that would overlap it are dropped.

    Args:
        starts: Start of each seed ``[m]``, ascending; sensor-time windows repeat starts.
        fraction: Fraction of the distinct starts to hold out, above 0 and below 1.
        window, horizon, delay: Steps of a window.
        generator: Source of all random draws.

    Returns:
        Positions in ``starts``, ascending int64: ``(fit, heldout)``.

    Raises:
        InputError: there are too few seeds for two non-empty parts.
    """
    distinct = np.unique(starts)
    span = window + delay + horizon
    wanted = max(1, round(fraction * len(distinct)))
    blocks = np.split(distinct, np.flatnonzero(np.diff(distinct) >= span) + 1)
    order = torch.randperm(len(blocks), generator=generator).tolist()
    held: list[Ints] = []
    for block in (blocks[i] for i in order):
        missing = wanted - sum(map(len, held))
        if missing > 0:
            held.append(block[-missing:])
    heldout = np.sort(np.concatenate(held))
    at = np.searchsorted(heldout, distinct)
    until = heldout[np.minimum(at, len(heldout) - 1)] - distinct
    # Only starts before a cut can overlap it: a cut ends where its block ends, and blocks do not overlap.
    fit = distinct[(at == len(heldout)) | (until >= span)]
    if not len(fit):
        raise InputError(
            f"{len(distinct)} seed starts are too few to hold out {fraction:g} with a gap of {span} steps; "
            "draw more seeds or shorten window and horizon"
        )
    return np.flatnonzero(np.isin(starts, fit)), np.flatnonzero(np.isin(starts, heldout))


def clear_of(starts: Ints, seeds: Ints, span: int) -> npt.NDArray[np.bool_]:
    """Whether windows of ``span`` steps from ``starts [n]`` are disjoint from those from ascending ``seeds [m]``.

    A window that overlaps a seed window is partly known, so only disjoint windows measure the quality of predictions
    for unseen times. Cost: O(n log m).

    >>> clear_of(np.array([0, 5, 9, 20]), np.array([10, 11]), 4)
    array([ True,  True, False,  True])
    """
    after = np.searchsorted(seeds, starts)
    before, behind = seeds[np.maximum(after - 1, 0)], seeds[np.minimum(after, len(seeds) - 1)]
    clear: npt.NDArray[np.bool_] = np.minimum(np.abs(starts - before), np.abs(behind - starts)) >= span
    return clear


def sharing(starts: Ints, span: int) -> int:
    """Largest number of windows of ``span`` steps, from ascending ``starts [n]``, that overlap the first of them.

    Neighboring windows within this number are not independent, so a bootstrap draws them as one block.
    Cost: O(n log n).

    >>> sharing(np.array([0, 3, 6, 9, 40]), 8)
    3
    """
    return int((np.searchsorted(starts, starts + span) - np.arange(len(starts))).max(initial=1))


def _steps_apart(distinct: Ints, span: int) -> int:
    """Number of places after which two ascending starts are at least ``span`` steps apart."""
    spacing = int(np.diff(distinct).min()) if len(distinct) > 1 else 1
    return -(-span // spacing)
