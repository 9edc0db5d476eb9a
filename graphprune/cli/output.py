"""What commands print: JSON on stdout, sentences on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any


def say(text: str) -> None:
    """One line on stderr."""
    print(" ".join(text.split()), file=sys.stderr)


def print_json(result: Any) -> None:
    """One JSON object on stdout."""
    print(json.dumps(result, indent=1, sort_keys=True, allow_nan=False))
