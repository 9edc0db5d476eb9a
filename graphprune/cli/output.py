"""What commands print: JSON and tables on stdout, sentences on stderr."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

# What stands for a character that the terminal's encoding lacks; any other one is shown as its code.
_PLAIN = {"±": "+/-", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "²": "^2", "≤": "<=", "≥": ">="}


class StreamError(OSError):
    """Standard output cannot be written; ``strerror`` says why."""


class _Stream:
    """A standard stream that writes what its encoding lacks in other words.

    A failure to write stdout is a `StreamError`. One to write stderr is only noted in ``failed``: there is nowhere
    left to tell it, and what the command does is not worth less for it.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream, self._name, self.failed = stream, name, False

    def write(self, text: str) -> int:
        encoding = self._stream.encoding or "utf-8"
        with self._watched():
            self._stream.write(text.encode(encoding, "graphprune-plain").decode(encoding))
        return len(text)

    def flush(self) -> None:
        with self._watched():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failed = True
            self._discard()
            if self._name == "stdout":
                if isinstance(error, BrokenPipeError):
                    raise
                raise StreamError(error.errno, error.strerror) from error

    def _discard(self) -> None:
        """Sends what is still buffered nowhere, else Python would try again, and complain, while it exits."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Makes stdout and stderr safe to write: closed ones lead nowhere, and any text can be shown in any encoding."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise the next file that is opened takes the number, and messages would be written into it.
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
    out, err = (
        stream if stream is not None else open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr))
    )
    with (
        contextlib.redirect_stdout(cast(TextIO, _Stream(out, "stdout"))),
        contextlib.redirect_stderr(cast(TextIO, _Stream(err, "stderr"))),
    ):
        yield


def messages_were_lost() -> bool:
    """Whether something could not be written to stderr (inside `standard_streams`)."""
    return bool(getattr(sys.stderr, "failed", False))


def say(text: str) -> None:
    """One line on stderr."""
    print(" ".join(text.split()), file=sys.stderr)


def print_json(result: Any) -> None:
    """One JSON object on stdout."""
    print(json.dumps(result, indent=1, sort_keys=True, allow_nan=False))


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    plain = (_PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode("ascii") for one in missing)
    return "".join(plain), error.end


codecs.register_error("graphprune-plain", _plain)
