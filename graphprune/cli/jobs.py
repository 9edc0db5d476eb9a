"""Commands that take a config: the whole job, its price beforehand, and parts of it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.app import app
from graphprune.cli.options import (
    ConfigFile,
    DebugOption,
    DeviceOption,
    JsonOption,
    OutFile,
    SeedOption,
    SetOption,
    load,
)
from graphprune.cli.output import print_json, say


@contextmanager
def _told_in_a_line() -> Iterator[None]:
    """Inside the block a warning is one line on stderr."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        yield


@app.command(epilog="Example: graphprune run configs/digits.yaml --set seeds.fraction=0.1 --out runs/ten")
def run(
    config: ConfigFile,
    overrides: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder (default: runs/<name>).")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Replace the run in the folder, once the job is checked.")
    ] = False,
    seed: SeedOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Do the whole job; the same command again resumes it, a changed config redoes what it touches."""
    job = load(config, overrides, seed, device)
    from graphprune.cli.console import ConsoleReporter, summary
    from graphprune.jobs.pipeline import run as run_job
    from graphprune.train.process_group import ProcessGroup

    folder = out or Path("runs") / job.name
    with ConsoleReporter() as reporter, _told_in_a_line():
        result = run_job(job, folder, reporter=reporter, fresh=fresh)
    if not ProcessGroup.current().writes:
        return
    if as_json:
        print_json(result.metrics)
    else:
        print(summary(result.metrics))
        say(f"report: {folder / 'report.html'}")


@app.command(epilog="Example: graphprune plan configs/digits.yaml --set training.epochs=30")
def plan(
    config: ConfigFile,
    overrides: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Predict time, memory and disk of each stage from some seconds of measuring; writes nothing."""
    job = load(config, overrides, seed, device)
    from graphprune.cli.tables import plan_table
    from graphprune.jobs.plan.predict import plan as predict

    found = predict(job)
    print_json(found.to_dict()) if as_json else print(plan_table(found))


@app.command(epilog="Example: graphprune embed configs/digits.yaml --out E.npy")
def embed(
    config: ConfigFile,
    out: OutFile,
    overrides: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Embed all samples of a config's data (source seed_model trains the seed model first)."""
    job = load(config, overrides, seed, device)
    from graphprune.cli.console import ConsoleReporter
    from graphprune.jobs.files import embed_alone

    with ConsoleReporter() as reporter, _told_in_a_line():
        result = embed_alone(job, out, reporter, source=config)
    print_json(result) if as_json else say(f"wrote {out}: {result['n']} x {result['dimensions']}")


@app.command(
    epilog="Example: graphprune train configs/digits.yaml --selection K.parquet --out runs/selected",
)
def train(
    config: ConfigFile,
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    selection: Annotated[
        Path | None, typer.Option("--selection", help="sample_id, weight: train on these.")
    ] = None,
    sampler: Annotated[str | None, typer.Option("--sampler", help="Name of a sampler that chooses.")] = None,
    scores: Annotated[Path | None, typer.Option("--scores", help="Scores that the sampler may use.")] = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train one arm: on a selection, or with a sampler."""
    job = load(config, overrides, seed, device)
    from graphprune.cli.console import ConsoleReporter, summary
    from graphprune.jobs.files import train_alone
    from graphprune.train.process_group import ProcessGroup

    with ConsoleReporter() as reporter, _told_in_a_line():
        metrics = train_alone(
            job, out, selection=selection, sampler=sampler, scores=scores, reporter=reporter
        )
    if ProcessGroup.current().writes:
        print_json(metrics) if as_json else print(summary(metrics))


@app.command(epilog="Example: graphprune report runs/digits")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Page to write (default: in the first run).")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write the report page of a run anew, or one that compares several."""
    from graphprune.jobs.files import report_alone

    path = report_alone(runs, out)
    print_json({"report": str(path)}) if as_json else say(f"wrote {path}")
