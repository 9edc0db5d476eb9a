"""The entry point: one sentence on stderr and an exit code for whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import sys
from typing import Annotated

import typer

from graphprune import __version__
from graphprune.cli.options import DebugOption
from graphprune.cli.output import say
from graphprune.errors import InputError
from graphprune.paths import refuse_unusable
from graphprune.process import prepare_process

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

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
    """Runs one command and exits: 0 done, 1 failed, 2 bad usage or input, 130 interrupted."""
    prepare_process()
    # A scheduler that ends the job is to leave the same order behind as Ctrl-C.
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(_run())
    finally:
        # None: a handler that was not set from Python, and cannot be from here.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if former is None else former)


def _run() -> int:
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        for argument in arguments:
            refuse_unusable(argument)
        code = app(args=arguments or ["--help"], standalone_mode=False)
    except Exception as error:
        if debug:
            raise
        return _explain(error)
    except KeyboardInterrupt:
        return _interrupted()
    # What typer makes of Ctrl-C depends on its version: an exception above, or this.
    if code == INTERRUPTED:
        _interrupted()
    return code if isinstance(code, int) else DONE


def _explain(error: Exception) -> int:
    if isinstance(error, InputError):
        say(f"error: {error}")
        return BAD_INPUT
    if isinstance(error, typer.Abort):
        return _interrupted()
    if isinstance(error, BrokenPipeError):
        # Whoever read our output has enough of it; Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    # The argument parser's own errors, whose class has moved between versions of typer.
    if (usage := getattr(error, "format_message", None)) is not None:
        context = getattr(error, "ctx", None)
        command = getattr(context, "command_path", "graphprune")
        say(f"error: {usage().rstrip('.')}; see {command} --help")
        return BAD_INPUT
    if isinstance(error, OSError) and error.filename is not None:
        say(f"error: {error.filename}: {error.strerror}; check the path, its permissions and the free space")
        return BAD_INPUT
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS):
        say(
            f"error: the run folder cannot be written ({error.strerror}); free some space or choose another --out"
        )
        return BAD_INPUT
    say(f"error: {type(error).__name__}: {error} (--debug shows where)")
    return FAILED


def _interrupted() -> int:
    say("interrupted; what was finished is kept, and the same command goes on from there")
    return INTERRUPTED


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
