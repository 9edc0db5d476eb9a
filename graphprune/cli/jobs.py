"""Commands that take a config: run the whole job, estimate its cost, or run a part of it."""

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
    VerboseOption,
    load,
)
from graphprune.cli.output import print_json, say


@contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Print warnings inside the block as one line each on stderr."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
        yield


@app.command(epilog="Example: graphprune run configs/digits.yaml --set seeds.fraction=0.1 --out runs/ten")
def run(
    config: ConfigFile,
    overrides: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder (default: runs/<name>).")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Replace the run in the folder, after the job has been checked.")
    ] = False,
    seed: SeedOption = None,
    device: DeviceOption = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run the whole job. The same command again resumes it; after a change of the config it redoes what changed."""
    job = load(config, overrides, seed, device)
    from graphprune.cli.console import ConsoleReporter, summary
    from graphprune.cli.first_screen import first_screen
    from graphprune.jobs.pipeline import run as run_job
    from graphprune.train.process_group import ProcessGroup

    folder = out or Path("runs") / job.name
    with ConsoleReporter() as reporter, _one_line_warnings():
        metrics = run_job(job, folder, reporter=reporter, fresh=fresh).metrics
    if not ProcessGroup.current().writes:
        return
    if as_json:
        print_json(metrics)
    else:
        print(summary(metrics) if verbose else first_screen(metrics))
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
    """Estimate time, memory and disk space of each stage from a few seconds of measurements; writes nothing."""
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
    """Embed all samples of the config's data (source seed_model trains the seed model first)."""
    job = load(config, overrides, seed, device)
    from graphprune.cli.console import ConsoleReporter
    from graphprune.jobs.single import embed_alone

    with ConsoleReporter() as reporter, _one_line_warnings():
        result = embed_alone(job, out, reporter, source=config)
    print_json(result) if as_json else say(f"wrote {out}: {result['n']} x {result['dimensions']}")


@app.command(
    epilog="Example: graphprune train configs/digits.yaml --selection K.parquet --out runs/selected",
)
def train(
    config: ConfigFile,
    out: Annotated[Path, typer.Option("--out", help="Run folder to write.")],
    selection: Annotated[
        Path | None, typer.Option("--selection", help="Selection to train on: sample_id, weight.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option("--sampler", help="Name of the sampler that selects samples during training."),
    ] = None,
    scores: Annotated[Path | None, typer.Option("--scores", help="Scores for the sampler.")] = None,
    overrides: SetOption = None,
    seed: SeedOption = None,
    device: DeviceOption = None,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train one arm, on a selection or with a sampler."""
    job = load(config, overrides, seed, device)
    from graphprune.cli.console import ConsoleReporter, summary
    from graphprune.cli.first_screen import first_screen
    from graphprune.jobs.single import train_alone
    from graphprune.train.process_group import ProcessGroup

    with ConsoleReporter() as reporter, _one_line_warnings():
        metrics = train_alone(
            job, out, selection=selection, sampler=sampler, scores=scores, reporter=reporter
        )
    if not ProcessGroup.current().writes:
        return
    if as_json:
        print_json(metrics)
    else:
        print(summary(metrics) if verbose else first_screen(metrics))


@app.command(epilog="Example: graphprune report runs/digits")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Page to write (default: in the first run folder).")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write the report page of a run again, or one page that compares several runs."""
    from graphprune.jobs.single import report_alone

    path = report_alone(runs, out)
    print_json({"report": str(path)}) if as_json else say(f"wrote {path}")
