"""Report an error as one sentence on stderr and return its exit code."""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import typer

from graphprune.cli.output import StreamError, say
from graphprune.errors import InputError, TrainingDiverged

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS)
# Messages of libraries that have no exception of their own for exhausted memory.
_NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "failed to map segment",
    "out of memory",
    "bad_alloc",
)


def explain(error: Exception) -> int:
    """Print what went wrong and return the exit code."""
    if isinstance(error, typer.Abort):
        return interrupted()
    if isinstance(error, BrokenPipeError):
        return FAILED  # the reader of our output has closed the pipe
    if isinstance(error, StreamError):
        say(f"error: stdout cannot be written: {error.strerror}")
        return FAILED
    if any(_out_of_memory(each) for each in _causes(error)):
        say(
            "error: memory ran out; lower training.batch_size, seed_training.batch_size, data.limit or the model's "
            "size, or raise the memory limit (ulimit -v, the job's limit); graphprune plan estimates what a job needs"
        )
        return FAILED
    if isinstance(error, InputError | TrainingDiverged):
        say(f"error: {error}")
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    # Errors of the argument parser, whose class differs between versions of typer.
    if (usage := getattr(error, "format_message", None)) is not None:
        context = getattr(error, "ctx", None)
        command = getattr(context, "command_path", "graphprune")
        say(f"error: {usage().rstrip('.')}; see {command} --help")
        return BAD_INPUT
    if isinstance(error, OSError) and error.filename is not None:
        say(f"error: {error.filename}: {error.strerror}; check the path, its permissions and the free space")
        return BAD_INPUT
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        say(
            f"error: the run folder cannot be written ({error.strerror}); free some space or choose another --out"
        )
        return BAD_INPUT
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    say(f"error: {what} (a bug in graphprune, in {_place(error)}; --debug shows the traceback)")
    return FAILED


def interrupted() -> int:
    """Print that finished work is kept."""
    say("interrupted; finished stages are kept, and the same command resumes")
    return INTERRUPTED


def show_traceback(error: BaseException) -> None:
    """Print the traceback to stderr, for ``--debug``."""
    print("".join(traceback.format_exception(error)), end="", file=sys.stderr)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes; an error may be its own cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if isinstance(error, RuntimeError | ImportError | OSError) and any(
        words in str(error).lower() for words in _NO_MEMORY
    ):
        return True
    # A library that does not fit into a small address space raises an error that does not state the reason.
    return isinstance(error, SystemError | ImportError) and _address_space_is_spent()


def _address_space_is_spent() -> bool:
    """Return whether a limit (ulimit -v) leaves less than 1 GiB, which the libraries need."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return False
    return limit - used < 2**30


def _place(error: BaseException) -> str:
    """File and line in graphprune where the error occurred, such as ``extrapolate/ridge.py:60``."""
    package = Path(__file__).parents[1]
    place = "the command line"
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(package):
            place = f"{Path(frame.filename).relative_to(package)}:{frame.lineno}"
    return place
