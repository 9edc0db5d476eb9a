"""The table and the drawing of the stages in docs/architecture.md: `python docs/architecture_page.py`.

Both are made from the list that jobs work through, so they cannot drift from it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graphprune.config.load import parse_config
from graphprune.jobs.job import Job
from graphprune.jobs.pipeline import open_job
from graphprune.jobs.plan.account import PlannedRun
from graphprune.jobs.stage import Estimate, Stage
from graphprune.jobs.stage_list import STAGES
from graphprune.runtime.cost import Cost

HERE = Path(__file__).parent
BEGIN, END = "<!-- stages: made by architecture_page.py -->\n", "<!-- end of stages -->\n"
_IMAGES = {
    "name": "images",
    "data": {"kind": "sklearn", "name": "digits", "limit": 150},
    "seeds": {"fraction": 0.4},
    "model": {"name": "mlp", "width": 8, "depth": 1},
    "seed_training": {"epochs": 12, "batch_size": 32},
    "extrapolators": ["auto", {"name": "knn", "k": 5}],
    "oracle": {"runs": 1},
    "audit": {},
    "arms": [
        {"name": "kept", "score": "dynamic_uncertainty", "rule": "d2"},
        {"name": "chosen", "sampler": {"name": "jest", "reference_losses": "run"}},
    ],
    "training": {"random_states": [0]},
}
_FOUND = {**_IMAGES, "paradigm": {"name": "unsupervised", "iterations": 2, "classes": 3}, "arms": []}
_WINDOWS = {
    **_IMAGES,
    "data": {"kind": "sensors", "name": "traffic_counts", "limit": 300},
    "model": {"name": "stid"},
    "scores": ["st_complexity"],
    "arms": [{"name": "kept", "score": "st_complexity"}],
    "training": {"random_states": [0], "sampler": {"name": "st_prune"}},
}
_NAMES = (
    (r"^extrapolate/.*", "extrapolate/SCORE/METHOD"),
    (r"^(oracle|audit)/.*", r"\1/RUN"),
    (r"^reference/.*", "reference/MODEL"),
    (r"^windows/.*", "windows/OPTION"),
    (r"^select/.*", "select/ARM"),
    (r"^(train|errors)/.*", r"\1/ARM/SEED"),
)


@dataclass
class Row:
    """One kind of stage."""

    place: int
    needs: dict[str, None] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    together: bool = False


def rows() -> dict[str, Row]:
    """Every kind of stage in the order of the list, from three small jobs that together have all of them."""
    found: dict[str, Row] = {}
    makers: dict[str, str] = {}
    for raw in (_FOUND, _IMAGES, _WINDOWS):
        with tempfile.TemporaryDirectory() as scratch:
            run = PlannedRun(Path(scratch) / "run")
            with run.locked():
                job = open_job(parse_config(raw), run)
                for place, stage in enumerated(job):
                    # What later stages go by is done; everything else only has to cost something.
                    if stage.name in ("labels", "seeds"):
                        run.ensure(stage)
                    else:
                        costs = {
                            entry: Cost(1, 1, 100, 0)
                            for product in stage.products
                            for entry in product.entries
                        }
                        run.book(stage, Estimate(costs))
                    name = kind(stage.name)
                    row = found.setdefault(name, Row(place))
                    makers |= {product.name: name for product in stage.products}
                    row.needs |= dict.fromkeys(makers[need] for need in stage.needs)
                    row.files |= dict.fromkeys(
                        pattern(f) for product in stage.products for f in product.files
                    )
                    row.together |= stage.together
    return dict(sorted(found.items(), key=lambda item: item[1].place))


def enumerated(job: Job) -> Iterator[tuple[int, Stage]]:
    """The stages of a job, each with the position of its maker in the list."""
    for place, make in enumerate(STAGES):
        for stage in make(job):
            yield place, stage


def kind(name: str) -> str:
    """The stage with its variable parts in capitals."""
    for expression, replacement in _NAMES:
        name = re.sub(expression, replacement, name)
    return name


def pattern(file: str) -> str:
    """A file of the run folder with its variable parts in capitals."""
    for expression, replacement in (
        (r"^(scores|selections)/.*(\..*)$", r"\1/NAME\2"),
        (r"^(predictions|heldout)/.*(\..*)$", r"\1/SCORE/METHOD\2"),
        (r"^(oracle|audit)/\d+/.*(\..*)$", r"\1/RUN/SCORE\2"),
        (r"^reference/.*", "reference/MODEL"),
        (r"^windows/.*", "windows/OPTION.npy"),
        (r"^arms/[^/]+/\d+\.", "arms/ARM/SEED."),
    ):
        file = re.sub(expression, replacement, file)
    return file


def table(found: dict[str, Row]) -> str:
    """The stages as a Markdown table."""
    lines = ["| stage | needs | writes | done by |", "|---|---|---|---|"]
    for name, row in found.items():
        needs, files = (", ".join(f"`{item}`" for item in items) or "—" for items in (row.needs, row.files))
        lines.append(
            f"| `{name}` | {needs} | {files} | {'all processes' if row.together else 'the first process'} |"
        )
    return "\n".join(lines) + "\n"


def drawing(found: dict[str, Row]) -> str:
    """The stages as an SVG: each one to the right of all that it needs."""
    depth: dict[str, int] = {}
    for name, row in found.items():
        depth[name] = 1 + max((depth[need] for need in row.needs), default=-1)
    columns: dict[int, list[str]] = {}
    for name in found:
        columns.setdefault(depth[name], []).append(name)
    wide, high, gap_x, gap_y = 168, 26, 46, 18
    tallest = max(map(len, columns.values()))
    place = {
        name: (
            10 + column * (wide + gap_x),
            10 + round((tallest - len(names)) * (high + gap_y) / 2) + position * (high + gap_y),
        )
        for column, names in columns.items()
        for position, name in enumerate(names)
    }
    width = 20 + len(columns) * (wide + gap_x) - gap_x
    height = 20 + tallest * (high + gap_y) - gap_y
    namespace, font = 'xmlns="http://www.w3.org/2000/svg"', 'font-family="monospace" font-size="11"'
    parts = [
        f'<svg {namespace} viewBox="0 0 {width} {height}" {font}>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for name, row in found.items():
        x, y = place[name]
        for need in row.needs:
            from_x, from_y = place[need][0] + wide, place[need][1] + high // 2
            middle = (from_x + x) // 2
            curve = f"M{from_x} {from_y}C{middle} {from_y} {middle} {y + high // 2} {x} {y + high // 2}"
            parts.append(f'<path d="{curve}" fill="none" stroke="#90a4ae"/>')
    for name, (x, y) in place.items():
        fill = "#cfd8dc" if found[name].together else "#eceff1"
        parts.append(
            f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="4" fill="{fill}" stroke="#546e7a"/>'
        )
        parts.append(
            f'<text x="{x + wide // 2}" y="{y + 17}" text-anchor="middle" fill="#263238">{name}</text>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def written(page: str, found: dict[str, Row]) -> str:
    """The page with a new table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + "\n" + table(found) + "\n" + END + rest.partition(END)[2]


def main() -> None:
    """Writes the table into the page, and the drawing beside it."""
    found, page = rows(), HERE / "architecture.md"
    page.write_text(written(page.read_text(encoding="utf-8"), found), encoding="utf-8")
    (HERE / "images/stages.svg").write_text(drawing(found), encoding="utf-8")


if __name__ == "__main__":
    main()
