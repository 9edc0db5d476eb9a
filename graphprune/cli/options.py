"""Options shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from graphprune.config.job import Config

ConfigFile = Annotated[Path, typer.Argument(help="YAML file that describes the job.", show_default=False)]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=value", help="Override one config key; repeatable.")
]
MethodOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="option=value", help="Set one option of the method; repeatable."),
]
SeedOption = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Seed of all random draws (default: the config's, or 0)."),
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu, cuda or cuda:N (default: the config's, or auto)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="Print the tables of all extrapolators and all arms.")
]
# `main` accepts it anywhere on the command line; commands only list it in their help.
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
IdsOption = Annotated[
    Path | None, typer.Option("--ids", help="Sample ids [N] .npy (default: row i has id i).")
]
OutFile = Annotated[Path, typer.Option("--out", help="File to write.", show_default=False)]
Embeddings = Annotated[
    Path, typer.Option("--embeddings", help="[N, D] float16 or float32: .npy, .parquet or .safetensors.")
]


def load(config: Path, overrides: list[str] | None, seed: int | None, device: str | None = None) -> Config:
    """Load the config and apply the overrides of the command line."""
    from graphprune.config.load import load_config

    more = {"seed": seed, "device": device}
    return load_config(
        config,
        [*(overrides or []), *(f"{key}={value}" for key, value in more.items() if value is not None)],
    )
