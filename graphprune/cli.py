"""The command line. Only this module prints; heavy imports happen inside the commands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from graphprune import __version__
from graphprune.errors import InputError

app = typer.Typer(
    add_completion=True,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Score a small seed of a training set, extend the scores to all of it over a kNN graph, "
    "train on what matters, and count what that really saved.",
    epilog="Example: graphprune run configs/digits.yaml --out runs/digits",
)

ConfigFile = Annotated[Path, typer.Argument(help="YAML file of the job.", show_default=False)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=value", help="Override one config key; repeatable.")
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="Seed of all random choices (default: 0).")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
IdsOption = Annotated[
    Path | None, typer.Option("--ids", help="Sample ids [N] .npy (default: row i has id i).")
]
OutFile = Annotated[Path, typer.Option("--out", help="Where to write.", show_default=False)]


def main() -> None:
    """Entry point: turns every user error into one sentence on stderr and exit code 2."""
    # Idle OpenMP threads sleep: where others use the cores, too, spinning costs a factor of ten or more.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except Exception as error:
        if debug:
            raise
        sys.exit(_explain(error))


def _explain(error: Exception) -> int:
    if isinstance(error, InputError):
        _say(f"error: {error}")
        return 2
    if isinstance(error, OSError) and error.filename is not None:
        _say(f"error: {error.filename}: {error.strerror}; check the path, its permissions and the free space")
        return 2
    _say(f"error: {type(error).__name__}: {error} (--debug shows where)")
    return 1


def _say(text: str) -> None:
    print(" ".join(text.split()), file=sys.stderr)


def _print_json(result: Any) -> None:
    print(json.dumps(result, indent=1, sort_keys=True, allow_nan=False))


def _load(config: Path, overrides: list[str] | None, seed: int | None) -> Any:
    from graphprune.config_file import load_config

    return load_config(config, [*(overrides or []), *([] if seed is None else [f"seed={seed}"])])


def _version(wanted: bool) -> None:
    if wanted:
        print(f"graphprune {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    pass


@app.command(epilog="Example: graphprune run configs/digits.yaml --set seeds.fraction=0.1 --out runs/ten")
def run(
    config: ConfigFile,
    overrides: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Run folder (default: runs/<name>).")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the run folder first.")] = False,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do the whole job; the same command again resumes it, a changed config redoes what it touches."""
    job = _load(config, overrides, seed)
    from graphprune.console import ConsoleReporter, summary
    from graphprune.pipeline import run as run_job
    from graphprune.store import clear

    folder = out or Path("runs") / job.name
    if fresh:
        clear(folder)
    with ConsoleReporter() as reporter:
        metrics = run_job(job, folder, reporter=reporter)
    if as_json:
        _print_json(metrics)
    else:
        print(summary(metrics))
        _say(f"report: {folder / 'report.html'}")


@app.command(epilog="Example: graphprune embed configs/digits.yaml --out E.npy")
def embed(
    config: ConfigFile,
    out: OutFile,
    overrides: SetOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Embed all samples of a config's data (source seed_model trains the seed model first)."""
    job = _load(config, overrides, seed)
    from graphprune.console import ConsoleReporter
    from graphprune.stages.alone import embed_alone

    with ConsoleReporter() as reporter:
        result = embed_alone(job, out, reporter)
    _print_json(result) if as_json else _say(f"wrote {out}: {result['n']} x {result['dimensions']}")


@app.command(
    epilog="Example: graphprune score --trajectories T.npz --score dynamic_uncertainty --out S.parquet"
)
def score(
    trajectories: Annotated[
        Path,
        typer.Option("--trajectories", help="npz: probs [E,N,C] or p_true [E,N], labels [N], optional ids."),
    ],
    name: Annotated[str, typer.Option("--score", help="Name of the score.")],
    out: OutFile,
    options: SetOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score samples from your own training logs; --set window=5 passes the score's options."""
    from graphprune.stages.alone import score_alone

    result = score_alone(trajectories, name, out, options or [])
    _print_json(result) if as_json else _say(f"wrote {out}: {result['n']} scores")


@app.command(epilog="Example: graphprune graph --embeddings E.npy --k 20 --metric cosine --out G")
def graph(
    embeddings: Annotated[Path, typer.Option("--embeddings", help="[N, D] float16 or float32 .npy.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    k: Annotated[int, typer.Option("--k", min=1, help="Neighbours per sample.")] = 20,
    metric: Annotated[str, typer.Option("--metric", help="euclidean, cosine or inner.")] = "euclidean",
    backend: Annotated[str, typer.Option("--backend", help="auto, exact or ivf.")] = "auto",
    options: SetOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build the kNN graph of precomputed embeddings."""
    from graphprune.stages.alone import graph_alone

    result = graph_alone(
        embeddings, out, k=k, metric=metric, backend=backend, seed=seed or 0, options=options or []
    )
    _print_json(result) if as_json else _say(
        f"wrote {out}: {result['n']} nodes, {result['components']} components"
    )


@app.command(
    epilog="Example: graphprune extrapolate --graph G --embeddings E.npy --seeds S.parquet --method knn --out P.parquet"
)
def extrapolate(
    graph_folder: Annotated[Path, typer.Option("--graph", help="Folder of graphprune graph.")],
    embeddings: Annotated[Path, typer.Option("--embeddings", help="[N, D] .npy.")],
    seeds: Annotated[Path, typer.Option("--seeds", help="Measured scores: sample_id, value.")],
    method: Annotated[str, typer.Option("--method", help="Name of the extrapolator.")],
    out: OutFile,
    labels: Annotated[Path | None, typer.Option("--labels", help="Class labels [N] .npy.")] = None,
    probes: Annotated[
        Path | None, typer.Option("--probes", help="npz: probs [P,N,C] out-of-sample class probabilities.")
    ] = None,
    short_run: Annotated[
        Path | None,
        typer.Option("--short-run", help="npz: p_true [E,N] (or probs and labels) of a short run."),
    ] = None,
    ids: IdsOption = None,
    options: SetOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the scores of all samples from those of the seeds."""
    from graphprune.stages.alone import extrapolate_alone

    result = extrapolate_alone(
        graph_folder,
        embeddings,
        seeds,
        method,
        out,
        labels=labels,
        probes=probes,
        short_run=short_run,
        ids=ids,
        options=options or [],
        seed=seed or 0,
    )
    _print_json(result) if as_json else _say(
        f"wrote {out}: {result['predicted']} predicted, {result['measured']} measured"
    )


@app.command(epilog="Example: graphprune evaluate P.parquet TRUTH.parquet --json")
def evaluate(
    predicted: Annotated[Path, typer.Argument(help="Predicted scores.", show_default=False)],
    truth: Annotated[Path, typer.Argument(help="True scores.", show_default=False)],
    options: SetOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge the rows with source = predicted against the truth."""
    from graphprune.console import agreement_table
    from graphprune.stages.alone import evaluate_alone

    result = evaluate_alone(predicted, truth, seed=seed or 0, options=options or [])
    _print_json(result) if as_json else print(agreement_table(result))


@app.command(epilog="Example: graphprune select P.parquet --keep 0.5 --rule top --out K.parquet")
def select(
    scores: Annotated[Path, typer.Argument(help="Scores of all samples.", show_default=False)],
    keep: Annotated[float, typer.Option("--keep", help="Fraction of all samples to keep.")],
    rule: Annotated[str, typer.Option("--rule", help="Name of the selection rule.")],
    out: OutFile,
    labels: Annotated[Path | None, typer.Option("--labels", help="Class labels [N] .npy.")] = None,
    graph_folder: Annotated[Path | None, typer.Option("--graph", help="Folder of graphprune graph.")] = None,
    embeddings: Annotated[Path | None, typer.Option("--embeddings", help="[N, D] .npy.")] = None,
    ids: IdsOption = None,
    options: SetOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose the samples to train on: sample_id, weight."""
    from graphprune.stages.alone import select_alone

    result = select_alone(
        scores,
        keep,
        rule,
        out,
        labels=labels,
        graph=graph_folder,
        embeddings=embeddings,
        ids=ids,
        options=options or [],
        seed=seed or 0,
    )
    _print_json(result) if as_json else _say(f"wrote {out}: {result['kept']} of {result['n']} samples")


@app.command(epilog="Example: graphprune train configs/digits.yaml --selection K.parquet --out runs/selected")
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
    as_json: JsonOption = False,
) -> None:
    """Train one arm: on a selection, or with a sampler."""
    job = _load(config, overrides, seed)
    from graphprune.console import ConsoleReporter, summary
    from graphprune.stages.alone import train_alone

    with ConsoleReporter() as reporter:
        metrics = train_alone(
            job, out, selection=selection, sampler=sampler, scores=scores, reporter=reporter
        )
    _print_json(metrics) if as_json else print(summary(metrics))


@app.command(epilog="Example: graphprune report runs/digits")
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", help="Page to write (default: in the first run).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the report page of a run anew, or one that compares several."""
    from graphprune.stages.alone import report_alone

    path = report_alone(runs, out)
    _print_json({"report": str(path)}) if as_json else _say(f"wrote {path}")


@app.command(epilog="Example: graphprune methods --json")
def methods(as_json: JsonOption = False) -> None:
    """List all scores, extrapolators, selection rules and samplers, with their sources."""
    from graphprune.console import methods_table
    from graphprune.registry import describe

    known = describe()
    _print_json(known) if as_json else print(methods_table(known))


@app.command(epilog="Example: graphprune schema > graphprune.schema.json")
def schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    from graphprune.config import Config

    _print_json(Config.model_json_schema())
