"""Output of the commands: JSON and tables on stdout, messages on stderr."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

# Replacements of characters that the terminal's encoding lacks; all others are shown as their code.
_PLAIN = {"±": "+/-", "−": "-", "–": "-", "—": "-", "…": "...", "×": "x", "²": "^2", "≤": "<=", "≥": ">="}


class StreamError(OSError):
    """Standard output cannot be written; ``strerror`` holds the reason."""


class _Stream:
    """A standard stream that replaces the characters that its encoding lacks.

    A failure to write stdout raises a `StreamError`. A failure to write stderr only sets ``failed``, because there
    is nowhere left to report it and the command can still do its work.
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
        """Discard what is still buffered; otherwise Python would retry on exit and print another error."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


@contextmanager
def standard_streams() -> Iterator[None]:
    """Make stdout and stderr safe to write: closed streams discard, and any text can be shown in any encoding."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise the next file that is opened gets this descriptor, and messages would be written to it.
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
    """Return whether a write to stderr failed (inside `standard_streams`)."""
    return bool(getattr(sys.stderr, "failed", False))


def say(text: str) -> None:
    """Print one line on stderr."""
    print(" ".join(text.split()), file=sys.stderr)


def print_json(result: Any) -> None:
    """Print one JSON object on stdout."""
    print(json.dumps(result, indent=1, sort_keys=True, allow_nan=False))


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    plain = (_PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode("ascii") for one in missing)
    return "".join(plain), error.end


codecs.register_error("graphprune-plain", _plain)
