"""The experiment's tables as Markdown, MAE against cost, and a picture of which windows are kept.

    python -m experiments.st_prune.tables [results] [--data DIR]

Prints to stdout; writes OUT/mae_<set>.svg (needs matplotlib), and OUT/kept_<set>.svg from OUT/work where the arms'
visits lie.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from experiments.equal_cost import BASELINES, Run, by_arm, differences, family, verdict
from experiments.equal_cost import draw as draw_against_cost
from experiments.tables import markdown, read_lines, spread, write_svg

HERE = Path(__file__).parent
SHOWN = ("static_top@0.50", "static_ccs@0.50", "infobatch@0.50", "st_prune@0.50")
CELL = 13
# CPU seconds of one thread are wall-clock on an idle machine; what else runs stretches them by a tenth or more.
COSTS = {"cost_share": "passes / full", "cpu_seconds": "CPU seconds / full"}

Line = dict[str, Any]


def head_room(lines: list[Line]) -> str:
    """Last value, historical average, the shortest ``full_short`` and full: what there is to gain."""
    rows = []
    for name, own in _by(lines, "set").items():
        maes = {arm: _spread([e["errors"]["all"]["mae"] for e in es]) for arm, es in _by(own, "arm").items()}
        wanted = ("last_value", "historical_average", "full_short@0.30", "full_short@0.50", "full")
        rows.append([name, *(maes.get(arm, "") for arm in wanted)])
    return markdown(["set", "last value", "historical average", "full, 30 %", "full, 50 %", "full"], rows)


def errors(lines: list[Line]) -> str:
    """All arms: MAE, RMSE and MAPE, MAE by step, what was trained, and what it took."""
    header = ["set", "arm", "MAE", "RMSE", "MAPE", "step 3", "step 6", "step 12"]
    header += ["backward passes", *COSTS.values(), "n"]
    rows = []
    for name, own in _by(lines, "set").items():
        costs = {cost: by_arm(runs_of(own, cost)) for cost in COSTS}
        for arm, some in _by(own, "arm").items():
            row = [name, arm]
            row += [_spread([line["errors"]["all"][m] for line in some]) for m in ("mae", "rmse", "mape")]
            row += [
                _spread([line["errors"].get(s, {}).get("mae") for line in some]) for s in ("3", "6", "12")
            ]
            row.append(_spread([line.get("backward_share") for line in some]))
            row += [_spread([run.cost for run in found.get(arm, [])]) for found in costs.values()]
            rows.append([*row, str(len(some))])
    return markdown(header, rows)


def runs_of(lines: list[Line], cost: str) -> list[Run]:
    """The trainings of one set: cost in mean full runs, all overheads in, and test MAE."""
    trained = [line for line in lines if cost in line and "total_seconds" in line]
    whole = [line[cost] for line in trained if line["arm"] == "full"]
    if not whole:
        return []
    full = statistics.fmean(whole)
    return [
        Run(line["arm"], line["state"], line[cost] / full, line["errors"]["all"]["mae"]) for line in trained
    ]


def equal_cost(lines: list[Line], cost: str) -> str:
    """Each arm's MAE minus that of the baselines at the same cost; below zero the arm is better."""
    header = ["set", "arm", "n", COSTS[cost], "MAE"]
    header += [part for baseline in BASELINES for part in (f"minus {baseline}", "")]
    rows = []
    for name, own in _by(lines, "set").items():
        runs = runs_of(own, cost)
        for arm, these in by_arm(runs, larger=False).items():
            row = [name, arm, str(len(these))]
            row += [_spread([run.cost for run in these]), _spread([run.value for run in these], 3)]
            for baseline in BASELINES:
                found = differences(runs, arm, baseline)
                row += [spread(found, 3, sign=True), verdict([-difference for difference in found])]
            rows.append(row)
    return markdown(header, rows)


def cost_picture(lines: list[Line], path: Path) -> None:
    """MAE of one set's arms against cost, as far up as twice what the baselines span.

    ST-Prune's parts, what the truth is worth, and arms further up are left to the tables.
    """
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(13, 6), layout="constrained", sharey=True)
    shown = [line for line in lines if not any(word in line["arm"] for word in ("without", "truth"))]
    for (cost, label), panel in zip(COSTS.items(), panels, strict=True):
        draw_against_cost(panel, runs_of(shown, cost))
        panel.set_xlabel(f"{label}, all overheads in")
    means = {
        arm: statistics.fmean(run.value for run in runs)
        for arm, runs in by_arm(runs_of(shown, "cost_share")).items()
    }
    lowest = min(means.values())
    span = max(value for arm, value in means.items() if family(arm) in (*BASELINES, "full")) - lowest
    panels[0].set_ylim(lowest - 0.3 * span, lowest + 2 * span)
    states = len({line["state"] for line in lines})
    panels[0].set_ylabel(
        f"test MAE (n = {states} random states); lower is better, far worse arms are cut off"
    )
    write_svg(figure, path)


def agreement(lines: list[Line]) -> str:
    """Spearman correlation of predicted ST-complexity, mean over random states."""
    header = ["set", "seeds", "method", "unseen windows", "clear of seeds", "held-out seeds", "n"]
    header += ["seed run on its seeds", "full against full"]
    rows = []
    for name, own in _by(lines, "set").items():
        for fraction, some in _by(own, "fraction").items():
            for method, these in _by(some, "method").items():
                row = [name, f"{100 * float(fraction):.0f} %", method]
                for where in ("unseen", "clear", "heldout"):
                    row.append(_spread([line["spearman"].get(where) for line in these], digits=3))
                ceilings = [
                    _spread([x["ceiling"][c] for x in these], 3) for c in ("seed_vs_full", "full_vs_full")
                ]
                rows.append([*row, str(len(these)), *ceilings])
    return markdown(header, rows)


def kept_picture(shares: dict[str, np.ndarray[Any, Any]], hour: Any, weekday: Any) -> str:
    """SVG: a heat map for each arm, a row for each weekday; dark is kept always, white never."""
    from graphprune.report.windows import DAYS, clock_figure

    width, height = 24 * CELL + 60, 7 * CELL + 46
    parts = []
    for number, (arm, share) in enumerate(shares.items()):
        top = number * height
        parts.append(f'<text x="44" y="{top + 16}" font-weight="bold">{arm}</text>')
        for day, row in enumerate(clock_figure(share, hour, weekday)["data"][0]["z"]):
            y = top + 24 + day * CELL
            parts.append(f'<text x="38" y="{y + 10}" text-anchor="end">{DAYS[day]}</text>')
            for h, percent in enumerate(row):
                fill = "#eee" if percent is None else f"rgb({_shade(percent)})"
                parts.append(
                    f'<rect x="{44 + h * CELL}" y="{y}" width="{CELL - 1}" height="{CELL - 1}" fill="{fill}"/>'
                )
        for h in range(0, 24, 6):
            parts.append(f'<text x="{44 + h * CELL}" y="{top + height - 8}">{h}:00</text>')
    size = f'width="{width}" height="{height * len(shares)}"'
    style = 'font-family="sans-serif" font-size="10"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n' + "\n".join(parts) + "\n</svg>\n"


def sensor_picture(share: np.ndarray[Any, Any], sensor: Any, positions: Any, names: Iterable[str]) -> str:
    """SVG: the sensors where they stand, dark where most of their windows are kept."""
    from graphprune.report.windows import Sensors, sensor_figure

    trace = sensor_figure(share, Sensors(sensor, list(names), positions))["data"][0]
    x, y = np.array(trace["x"]), np.array(trace["y"])
    across = max(np.ptp(x), np.ptp(y)) or 1.0
    dots = [
        f'<circle cx="{20 + 360 * (a - x.min()) / across:.1f}" cy="{380 - 360 * (b - y.min()) / across:.1f}" r="6" '
        f'stroke="#888" fill="rgb({_shade(percent or 0)})"><title>{escape(text.replace("<br>", ": "))}</title></circle>'
        for a, b, percent, text in zip(x, y, trace["marker"]["color"], trace["hovertext"], strict=True)
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="400">\n' + "\n".join(dots) + "\n</svg>\n"
    )


def draw(out: Path, data: Path | None) -> None:
    """Pictures of the arms in `SHOWN`, mean over random states, for the sets whose file is in ``data``."""
    from experiments.st_prune.settings import SETTINGS
    from graphprune.data.windows import WindowSamples, load_sensors

    for name, setting in SETTINGS.items():
        shares = {}
        for arm in SHOWN:
            visits = [np.load(path)["visits"] for path in sorted((out / "work").glob(f"{name}-{arm}-*.npz"))]
            if visits:
                shares[arm] = np.clip(np.mean(visits, axis=0), 0, 1)
        if not shares or data is None:
            continue
        train = load_sensors(data / setting.file, **setting.data).train
        assert isinstance(train, WindowSamples)
        if any(len(share) != len(train) for share in shares.values()):
            print(f"{name}: the visits are of other windows (a smoke test?); no picture")
            continue
        hours = train.series.timestamps[train.starts + train.window].astype("datetime64[h]").astype(np.int64)
        if train.sensors is not None:
            for arm, share in shares.items():
                where = train.series.positions, train.series.sensor_ids
                (out / f"sensors_{arm}.svg").write_text(sensor_picture(share, train.sensors, *where))
        picture = kept_picture(shares, hours % 24, (hours // 24 + 3) % 7)
        (out / f"kept_{name}.svg").write_text(picture)


def _shade(percent: float) -> str:
    return ",".join(str(round(255 - percent / 100 * (255 - dark))) for dark in (20, 80, 140))


def _by(lines: list[Line], key: str) -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if key in line:
            groups[str(line[key])].append(line)
    return groups


def _spread(values: list[float | None], digits: int = 2) -> str:
    return spread([value for value in values if value is not None], digits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=HERE / "results")
    parser.add_argument("--data", type=Path, default=None, help="Folder of the .npz files, for the pictures.")
    options = parser.parse_args()
    lines = read_lines(options.out / "lines.jsonl")
    trained = [line for line in lines if "errors" in line]
    judged = [line for line in lines if line["job"] == "judge"]
    compared = [equal_cost(trained, cost) for cost in COSTS]
    print(head_room(trained), *compared, errors(trained), agreement(judged), sep="\n\n")
    for name, own in _by(trained, "set").items():
        if any(line["arm"] == "full" for line in own):
            cost_picture(own, options.out / f"mae_{name}.svg")
    draw(options.out, options.data)


if __name__ == "__main__":
    main()
