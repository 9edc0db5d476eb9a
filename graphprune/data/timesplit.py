"""Parts of a time line between which no window overlaps: training and test, seeds and held-out seeds."""

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
    """Starts of training and test windows: the last part of the time is for testing.

    A window spans ``window + delay + horizon`` steps. Every step of a test window lies in the last
    ``test_fraction`` of the steps and every step of a training window before, so the first test start is at
    least one span after the last training start.

    Raises:
        InputError: the series is too short for a window in both parts.

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
            raise InputError(f"{name} is {value}; it must be at least 1")
    if not 0 < test_fraction < 1:
        raise InputError(f"test_fraction is {test_fraction:g}; it must lie between 0 and 1")
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
    """Seeds as contiguous blocks of time, one at a random place in each of ``n_blocks`` equal sections.

    Windows of different blocks never overlap. Where the fraction is too large for the gaps, there are fewer
    blocks (one always fits).

    Args:
        starts: Start of each sample ``[n]``, ascending; sensor-time windows repeat a start once per sensor.
        fraction: Of the distinct starts, above 0 and below 1.
        window, horizon, delay: Steps of a window; their sum is what blocks are kept apart by.
        n_blocks: Blocks wanted (default: 8).
        generator: The only source of randomness.

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
            f"a fraction of {fraction:g} of {len(distinct)} window starts leaves no seeds or no others"
        )
    gap = _steps_apart(distinct, window + delay + horizon)
    blocks = max(1, min(n_blocks, count, (len(distinct) - count) // gap))
    edges = np.arange(blocks + 1) * len(distinct) // blocks
    lengths = np.diff(np.arange(blocks + 1) * count // blocks)
    # The last gap - 1 starts of a section stay free, so that the next section's block may begin at its edge.
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
    """Splits seeds into those to fit on and those held out, whose windows do not overlap.

    Whole blocks of seeds are held out as far as they fit into ``fraction``; what is still missing is cut from
    the end of one more block, and fitting seeds that would overlap it are dropped.

    Args:
        starts: Start of each seed ``[m]``, ascending, with repetitions for sensor-time windows.
        fraction: Of the distinct starts to hold out, above 0 and below 1.
        window, horizon, delay: Steps of a window.
        generator: The only source of randomness.

    Returns:
        Positions in ``starts``, ascending int64: ``(fit, heldout)``.

    Raises:
        InputError: too few seeds to leave both parts non-empty.
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
    # Only what comes before a cut can overlap it: cuts end where their block ends, and blocks lie apart.
    fit = distinct[(at == len(heldout)) | (until >= span)]
    if not len(fit):
        raise InputError(
            f"{len(distinct)} seed starts are too few to hold out {fraction:g} with a gap of {span} steps; "
            "draw more seeds or shorten window and horizon"
        )
    return np.flatnonzero(np.isin(starts, fit)), np.flatnonzero(np.isin(starts, heldout))


def clear_of(starts: Ints, seeds: Ints, span: int) -> npt.NDArray[np.bool_]:
    """Whether windows of ``span`` steps from ``starts [n]`` share no step with any from ``seeds [m]``, ascending.

    What is predicted for a window that overlaps a seed is half known; only clear ones show what a prediction of
    times never seen is worth. Cost: O(n log m).

    >>> clear_of(np.array([0, 5, 9, 20]), np.array([10, 11]), 4)
    array([ True,  True, False,  True])
    """
    after = np.searchsorted(seeds, starts)
    before, behind = seeds[np.maximum(after - 1, 0)], seeds[np.minimum(after, len(seeds) - 1)]
    clear: npt.NDArray[np.bool_] = np.minimum(np.abs(starts - before), np.abs(behind - starts)) >= span
    return clear


def sharing(starts: Ints, span: int) -> int:
    """The most windows of ``span`` steps, from ascending ``starts [n]``, that share a step with the first of them.

    So many neighbours are not independent: a bootstrap draws them together. Cost: O(n log n).

    >>> sharing(np.array([0, 3, 6, 9, 40]), 8)
    3
    """
    return int((np.searchsorted(starts, starts + span) - np.arange(len(starts))).max(initial=1))


def _steps_apart(distinct: Ints, span: int) -> int:
    """How many places apart two of the ascending starts are surely ``span`` steps apart."""
    spacing = int(np.diff(distinct).min()) if len(distinct) > 1 else 1
    return -(-span // spacing)
