"""Placement of point labels in a plot without overlaps."""

from __future__ import annotations

from collections.abc import Sequence

# Size of the axes in pixels for which labels are placed; at other sizes they only shift a little.
PLOT_SIZE = (880.0, 340.0)
_PLACES = (
    "middle right",
    "middle left",
    "top center",
    "bottom center",
    "top right",
    "bottom right",
    "top left",
    "bottom left",
)

Box = tuple[float, float, float, float]


def label_places(
    points: Sequence[tuple[float, float]], labels: Sequence[str], heights: tuple[float, float]
) -> list[str]:
    """A text position for each point, so that labels avoid points and other labels where possible.

    The search is greedy from left to right over eight positions.

    Args:
        points: x (from 0) and y of each point.
        labels: The label of each point.
        heights: The smallest and the largest y of the plot.

    Cost: O(n^2) for n points.
    """
    right = max(x for x, _ in points) or 1.0
    low, span = heights[0], (heights[1] - heights[0]) or 1.0
    pixels = [(x / right * PLOT_SIZE[0], (y - low) / span * PLOT_SIZE[1]) for x, y in points]
    boxes = [(x - 9, y - 9, x + 9, y + 9) for x, y in pixels]
    chosen = [""] * len(points)
    for row in sorted(range(len(points)), key=lambda r: pixels[r]):
        width = 7.5 * len(labels[row])
        options = {place: _label_box(*pixels[row], width, place) for place in _PLACES}
        best = min(options, key=lambda place: _crowding(options[place], boxes, row))
        chosen[row] = best
        boxes.append(options[best])
    return chosen


def _label_box(x: float, y: float, width: float, place: str) -> Box:
    vertical, horizontal = place.split()
    left = {"right": x + 12, "left": x - 12 - width, "center": x - width / 2}[horizontal]
    bottom = {"middle": y - 8, "top": y + 10, "bottom": y - 26}[vertical]
    return left, bottom, left + width, bottom + 16


def _crowding(box: Box, boxes: Sequence[Box], own: int) -> float:
    left, bottom, right, top = box
    outside = max(0.0, -left) + max(0.0, right - PLOT_SIZE[0] - 20)
    overlap = sum(
        max(0.0, min(right, r) - max(left, x)) * max(0.0, min(top, t) - max(bottom, b))
        for row, (x, b, r, t) in enumerate(boxes)
        if row != own
    )
    return 50 * outside + overlap
