"""Data for the scripts of the page: compact arrays, and JSON that is safe inside HTML."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from graphprune.runtime.rng import generator

# Characters that end a script element, open a comment in it, or end a line of JavaScript.
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def embed_json(value: Any) -> Markup:
    """JSON for a ``<script type="application/json">`` element; NaN and infinity raise a ``ValueError``.

    >>> embed_json({"label": "</script>"})
    Markup('{"label":"\\\\u003c/script\\\\u003e"}')
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    # All characters that could end the element are escaped.
    return Markup(text.translate(_UNSAFE))  # nosec B704


def plot_text(text: Any) -> str:
    """Text escaped for Plotly, which interprets some HTML: a class named ``<b>`` would disappear.

    >>> plot_text("<b>")
    '&lt;b&gt;'
    """
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pack(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Packs numbers ``[n]`` in 16 bits each, evenly between minimum and maximum; NaN and infinity become missing.

    The error is at most 1/131068 of the range, far below one pixel.

    Cost: O(n).
    """
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    finite = np.isfinite(values)
    low, high = (float(values[finite].min()), float(values[finite].max())) if finite.any() else (0.0, 0.0)
    steps = np.full(len(values), 65535, dtype="<u2")
    steps[finite] = np.round((values[finite] - low) / ((high - low) or 1.0) * 65534)
    return {"t": "scaled", "b": _base64(steps), "lo": low, "hi": high}


def pack_exact(values: npt.NDArray[Any]) -> dict[str, Any]:
    """Packs numbers ``[n]``: float32, one byte per boolean, and the smallest exact type for integers."""
    values = np.asarray(values).reshape(-1)
    if values.dtype == bool:
        kind = "u1"
    elif np.issubdtype(values.dtype, np.integer):
        least, most = (int(values.min()), int(values.max())) if len(values) else (0, 0)
        kind = "u1" if least >= 0 and most < 2**8 else "i4" if least >= -(2**31) and most < 2**31 else "f8"
    else:
        kind = "f4"
    return {"t": kind, "b": _base64(values.astype("<" + kind))}


def draw_rows(n: int, limit: int) -> npt.NDArray[np.int64]:
    """All ``n`` rows, or ``limit`` rows drawn at random with a fixed seed, ascending."""
    import torch

    if n <= limit:
        return np.arange(n, dtype=np.int64)
    rows = torch.randperm(n, generator=generator(0, "report", n, limit))[:limit]
    return np.sort(rows.numpy()).astype(np.int64)


def _base64(array: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
