"""Commands that run one stage on files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphprune.cli.app import app
from graphprune.cli.options import (
    DebugOption,
    Embeddings,
    IdsOption,
    JsonOption,
    MethodOption,
    SeedOption,
)
from graphprune.cli.output import print_json, say

ScoresOut = Annotated[
    Path,
    typer.Option("--out", help="Score file to write: .parquet, .csv or .jsonl.", show_default=False),
]
SelectionOut = Annotated[
    Path,
    typer.Option(
        "--out", help="Selection file to write: .parquet, .csv, .jsonl or .txt.", show_default=False
    ),
]


@app.command(
    epilog="Example: graphprune score --trajectories T.npz --score dynamic_uncertainty --out S.parquet",
)
def score(
    trajectories: Annotated[
        Path,
        typer.Option("--trajectories", help="npz: probs [E,N,C] or p_true [E,N], labels [N], optional ids."),
    ],
    name: Annotated[str, typer.Option("--score", help="Name of the score.")],
    out: ScoresOut,
    options: MethodOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compute scores from your own training logs; --set window=5 sets an option of the score."""
    from graphprune.jobs.files import score_alone

    result = score_alone(trajectories, name, out, options or [])
    print_json(result) if as_json else say(f"wrote {out}: {result['n']} scores")


@app.command(epilog="Example: graphprune graph --embeddings E.npy --k 20 --metric cosine --out G")
def graph(
    embeddings: Embeddings,
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    k: Annotated[int, typer.Option("--k", min=1, help="Neighbors per sample.")] = 20,
    metric: Annotated[str, typer.Option("--metric", help="euclidean, cosine or inner.")] = "euclidean",
    backend: Annotated[str, typer.Option("--backend", help="auto, exact or ivf.")] = "auto",
    options: MethodOption = None,
    seed: SeedOption = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "cpu",
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Build the kNN graph of precomputed embeddings."""
    from graphprune.jobs.files import graph_alone

    result = graph_alone(
        embeddings,
        out,
        k=k,
        metric=metric,
        backend=backend,
        device=device,
        seed=seed or 0,
        options=options or [],
    )
    print_json(result) if as_json else say(
        f"wrote {out}: {result['n']} nodes, {result['components']} components"
    )


@app.command(
    epilog="Example: graphprune extrapolate --graph G --embeddings E.npy --seeds S.parquet --method knn "
    "--out P.parquet",
)
def extrapolate(
    graph_folder: Annotated[Path, typer.Option("--graph", help="Folder of graphprune graph.")],
    embeddings: Embeddings,
    seeds: Annotated[Path, typer.Option("--seeds", help="Measured scores: sample_id, value.")],
    method: Annotated[str, typer.Option("--method", help="Name of the extrapolator.")],
    out: ScoresOut,
    labels: Annotated[Path | None, typer.Option("--labels", help="Class labels [N] .npy.")] = None,
    probes: Annotated[
        Path | None, typer.Option("--probes", help="npz: probs [P,N,C] out-of-sample class probabilities.")
    ] = None,
    short_run: Annotated[
        Path | None,
        typer.Option("--short-run", help="npz: p_true [E,N] (or probs and labels) of a short run."),
    ] = None,
    ids: IdsOption = None,
    options: MethodOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Predict the scores of all samples from those of the seed samples."""
    from graphprune.jobs.files import extrapolate_alone

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
    print_json(result) if as_json else say(
        f"wrote {out}: {result['predicted']} predicted, {result['measured']} measured"
    )


@app.command(epilog="Example: graphprune evaluate P.parquet TRUTH.parquet --json")
def evaluate(
    predicted: Annotated[Path, typer.Argument(help="Predicted scores.", show_default=False)],
    truth: Annotated[Path, typer.Argument(help="True scores.", show_default=False)],
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="option=value", help="n_bootstrap=1000, or block=24 for windows; repeatable."
        ),
    ] = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare the predicted scores (source = predicted) with the true ones."""
    from graphprune.cli.console import agreement_table
    from graphprune.jobs.files import evaluate_alone

    result = evaluate_alone(predicted, truth, seed=seed or 0, options=options or [])
    print_json(result) if as_json else print(agreement_table(result))


@app.command(epilog="Example: graphprune select P.parquet --keep 0.5 --rule top --out K.parquet")
def select(
    scores: Annotated[Path, typer.Argument(help="Scores of all samples.", show_default=False)],
    keep: Annotated[float, typer.Option("--keep", help="Fraction of all samples to keep.")],
    rule: Annotated[str, typer.Option("--rule", help="Name of the selection rule.")],
    out: SelectionOut,
    labels: Annotated[Path | None, typer.Option("--labels", help="Class labels [N] .npy.")] = None,
    graph_folder: Annotated[Path | None, typer.Option("--graph", help="Folder of graphprune graph.")] = None,
    embeddings: Annotated[Path | None, typer.Option("--embeddings", help="[N, D] .npy.")] = None,
    second_scores: Annotated[
        Path | None, typer.Option("--second-scores", help="A second score, for rules that use two.")
    ] = None,
    ids: IdsOption = None,
    options: MethodOption = None,
    seed: SeedOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Select the samples to train on and write their sample_id and weight."""
    from graphprune.jobs.files import select_alone

    result = select_alone(
        scores,
        keep,
        rule,
        out,
        labels=labels,
        graph=graph_folder,
        embeddings=embeddings,
        second_scores=second_scores,
        ids=ids,
        options=options or [],
        seed=seed or 0,
    )
    print_json(result) if as_json else say(f"wrote {out}: {result['kept']} of {result['n']} samples")
