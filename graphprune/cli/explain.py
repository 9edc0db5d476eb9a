"""What went wrong as one sentence on stderr, and the exit code that goes with it."""

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
# How libraries without an exception of their own for it say that memory ran out.
_NO_MEMORY = (
    "can't allocate memory",
    "cannot allocate memory",
    "failed to map segment",
    "out of memory",
    "bad_alloc",
)


def explain(error: Exception) -> int:
    """Says what went wrong and returns the exit code."""
    if isinstance(error, typer.Abort):
        return interrupted()
    if isinstance(error, BrokenPipeError):
        return FAILED  # whoever read our output has enough of it
    if isinstance(error, StreamError):
        say(f"error: stdout cannot be written: {error.strerror}")
        return FAILED
    if any(_out_of_memory(each) for each in _causes(error)):
        say(
            "error: memory ran out; lower training.batch_size, seed_training.batch_size, data.limit or the model's "
            "size, or allow the process more (ulimit -v, the job's limit); graphprune plan tells what a job needs"
        )
        return FAILED
    if isinstance(error, InputError | TrainingDiverged):
        say(f"error: {error}")
        return BAD_INPUT if isinstance(error, InputError) else FAILED
    # The argument parser's own errors, whose class has moved between versions of typer.
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
    say(f"error: {what} (a fault of graphprune, in {_place(error)}; --debug shows the traceback)")
    return FAILED


def interrupted() -> int:
    """Says that what is finished is kept."""
    say("interrupted; what was finished is kept, and the same command goes on from there")
    return INTERRUPTED


def show_traceback(error: BaseException) -> None:
    """The traceback on stderr, for ``--debug``."""
    print("".join(traceback.format_exception(error)), end="", file=sys.stderr)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from; one may have been raised from itself."""
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
    # What a library raises that could not be loaded into a small address space does not tell the reason.
    return isinstance(error, SystemError | ImportError) and _address_space_is_spent()


def _address_space_is_spent() -> bool:
    """Whether a limit (ulimit -v) leaves less than the libraries need, 1 GiB."""
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
    """File and line of graphprune's own code that was at work, as ``extrapolate/ridge.py:60``."""
    package = Path(__file__).parents[1]
    place = "the command line"
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).is_relative_to(package):
            place = f"{Path(frame.filename).relative_to(package)}:{frame.lineno}"
    return place
