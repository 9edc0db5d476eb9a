"""The entry point: every error ends in one sentence on stderr and an exit code."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from graphprune.cli.explain import DONE, FAILED, INTERRUPTED, explain, interrupted, show_traceback
from graphprune.cli.options import DebugOption
from graphprune.cli.output import messages_were_lost, standard_streams
from graphprune.runtime.paths import refuse_unusable
from graphprune.runtime.process import prepare_process, require_address_space
from graphprune.runtime.version import __version__

app = typer.Typer(
    add_completion=True,
    no_args_is_help=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Score a small seed of a training set, extend the scores to all of it over a kNN graph, "
    "train on what matters, and count what that really saved.",
    epilog="Example: graphprune run configs/digits.yaml --out runs/digits",
)


def main() -> None:
    """Run one command and exit: 0 done, 1 failed, 2 bad usage or input, 130 interrupted."""
    prepare_process()
    # A job that the scheduler ends must stop as cleanly as with Ctrl-C.
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with standard_streams():
            code = _run() or _flush()
        sys.exit(code)
    finally:
        # None means that the handler was not installed from Python; it cannot be restored here.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if former is None else former)


def _run() -> int:
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        for argument in arguments:
            refuse_unusable(argument)
        if not {"--help", "--version"} & {*(arguments or ["--help"])}:
            require_address_space()
        code = app(args=arguments or ["--help"], standalone_mode=False)
    except Exception as error:
        if debug:
            show_traceback(error)
        return explain(error)
    except KeyboardInterrupt:
        return interrupted()
    # Depending on its version, typer turns Ctrl-C into an exception (above) or into this exit code.
    if code == INTERRUPTED:
        interrupted()
    return code if isinstance(code, int) else DONE


def _flush() -> int:
    """Flush stdout; a finished command has failed if its output was lost."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return explain(error)
    return FAILED if messages_were_lost() else DONE


def _version(wanted: bool) -> None:
    if wanted:
        print(f"graphprune {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    pass
