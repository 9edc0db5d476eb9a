"""What several experiments need to show results: lines in, Markdown and pictures out."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one a line; a line that a kill cut short counts as none."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def append_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    """Adds whole lines in one write, also behind a line that a kill cut short."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    with path.open("a+b") as handle:
        if handle.tell():
            handle.seek(-1, 2)
            text = text if handle.read() == b"\n" else "\n" + text
        handle.write(text.encode())


def spread(values: Sequence[float], digits: int = 3, *, sign: bool = False) -> str:
    """Mean and, from two values on, standard deviation.

    >>> spread([0.5, 0.7], 2), spread([0.5], 1, sign=True)
    ('0.60 ± 0.14', '+0.5')
    """
    if not values:
        return ""
    mean = f"{statistics.fmean(values):{'+' if sign else ''}.{digits}f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_svg(figure: Any, path: Path) -> None:
    """Writes a figure of matplotlib and closes it; the same figure gives the same bytes."""
    from matplotlib import pyplot, rc_context

    with rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
