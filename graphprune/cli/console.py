"""Terminal output: progress on stderr, tables on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


class ConsoleReporter:
    """Show a progress bar for the current stage and a line for each finished one; without a terminal, nothing."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def event(self, event: str, stage: str, seconds: float) -> None:
        """Show that a stage was started, finished or kept."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        if event == "started":
            self._task = self._bar.add_task(stage, total=1.0, note="")
        elif not self._bar.disable:
            note = "kept" if event == "kept" else f"{seconds:.1f} s"
            self._bar.console.print(f"{stage}  [dim]{note}[/dim]", highlight=False)

    def progress(self, fraction: float, note: str = "") -> None:
        """Move the bar; the note (samples per second, share kept) is shown at its end."""
        if self._task is not None:
            self._bar.update(self._task, completed=fraction, note=note)


def summary(metrics: dict[str, Any]) -> str:
    """All tables of a run and its verdict (``--verbose``); the verdict comes first if the models have not learned."""
    from graphprune.report.verdict import verdict

    parts, found = [], verdict(metrics)
    if found.kind == "not_learned":
        parts.append(f"{found.sentence}\n")
    for score, judged in metrics["extrapolation"].items():
        parts.append(_extrapolation(score, judged))
    parts.append(_training(metrics))
    if len(metrics["training"]) > 1 and found.kind != "not_learned":
        parts.append(found.sentence)
    parts += found.notes
    return "\n".join(parts)


def agreement_table(result: dict[str, Any]) -> str:
    """Format one agreement as text."""
    rows = [(key, _number(result.get(key))) for key in ("n", "spearman", "pearson", "kendall", "mse")]
    rows.insert(2, ("spearman 95 %", _interval(result.get("spearman_ci95"))))
    rows += [
        (f"overlap at keep {keep}", f"{share:.3f} (chance {keep})")
        for keep, share in result["overlap"].items()
    ]
    if result.get("reason"):
        rows.append(("note", result["reason"]))
    return _table(None, ["", ""], rows)


def methods_table(known: dict[str, list[dict[str, str]]]) -> str:
    """Format all methods by kind."""
    return "\n".join(
        _table(kind, ["name", "status", "source"], [(m["name"], m["status"], m["source"]) for m in listed])
        for kind, listed in known.items()
    )


def _extrapolation(score: str, judged: dict[str, Any]) -> str:
    from graphprune.report.agreement import clear_note, method_label

    rows = []
    # Interval and overlap belong to the last column of full runs.
    clear = any(result.get("oracle_clear") for result in judged["methods"].values())
    audited = any(result.get("audit") for result in judged["methods"].values())
    for method, result in judged["methods"].items():
        heldout, every, audit = result["heldout"], result["oracle"], result.get("audit")
        oracle = result["oracle_clear"] if clear else every
        rows.append(
            (
                method_label(method, result),
                _number(heldout["spearman"]),
                *([_number(every["spearman"])] if clear else []),
                _number(oracle["spearman"]) if oracle else "-",
                _interval(oracle["spearman_ci95"]) if oracle else "-",
                _number(oracle["overlap"]["0.5"]) if oracle else "-",
                *([_interval(audit and audit["interval"])] if audited else []),
                f"{result['cost_passes']:.2f}",
            )
        )
    ceiling = judged["ceiling"]
    title = f"{score}: Spearman of predicted scores"
    if ceiling:
        title += (
            f"\n(full run against full run {_number(ceiling['full_vs_full'])},"
            f" seed run against full runs {_number(ceiling['seed_vs_full'])})"
        )
    note = clear_note(judged)
    columns = ["extrapolator", "held-out seeds", "full runs", *(["disjoint from seeds"] if clear else [])]
    columns += ["95 %", "overlap at .5"]
    columns += [*(["full runs (audit)"] if audited else []), "cost in full runs"]
    return _table(title, columns, rows) + (f"{note}\n" if note else "")


def _training(metrics: dict[str, Any]) -> str:
    rows = []
    arms = metrics["training"]
    for name, arm in arms.items():
        spread = "" if arm["std"] is None else f" ± {arm['std']:.4f}"
        saving = metrics["saving"].get(name)
        rows.append(
            (
                name,
                f"{arm['keep']:.2f}",
                f"{arm['mean']:.4f}{spread}",
                f"{arm['cost_passes']:.2f}",
                f"{arm['total_seconds']:.1f}",
                "-" if saving is None else f"{saving['wall_clock_ratio']:.2f}",
            )
        )
    first = next(reversed(arms.values()))
    metric = {"accuracy": "accuracy (higher is better)", "mae": "MAE (lower is better)"}[first["metric"]]
    dataset, n = metrics["dataset"], len(first["value"])
    title = f"{dataset['name']}, {dataset['n']} training samples, mean ± std of {n} random seeds; all costs counted"
    return _table(title, ["arm", "keep", metric, "cost in full runs", "seconds", "seconds / full"], rows)


def _table(title: str | None, columns: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    table = Table(show_header=any(columns), box=None, pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(
            column, justify="left" if position == 0 or column in ("status", "source") else "right"
        )
    for row in rows:
        table.add_row(*row)
    console = Console(
        width=None if sys.stdout.isatty() else 140, no_color=True, highlight=False, markup=False
    )
    with console.capture() as capture:
        console.print(table)
    lines = [] if title is None else [title]
    return "\n".join(lines + [line.rstrip() for line in capture.get().splitlines()]) + "\n"


def _number(value: Any) -> str:
    return "-" if value is None else str(value) if isinstance(value, int) else f"{value:.3f}"


def _interval(bounds: list[float] | None) -> str:
    return "-" if not bounds or None in bounds else f"{bounds[0]:.3f} .. {bounds[1]:.3f}"
