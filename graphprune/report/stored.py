"""The JSON files of a run folder, validated on reading because users may edit, copy or mix them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from graphprune.errors import InputError
from graphprune.files import read_json

SCHEMA = 1
# The intervals square these numbers; squares of larger ones would be infinite.
_LARGEST = 1e150
_DEEPEST = 50

Figure = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
Amount = Annotated[float, Field(ge=0, le=_LARGEST)]
Share = Annotated[float, Field(ge=0, le=1)]
Whole = Annotated[int, Field(ge=0, le=2**53)]
# Rounding may make a correlation slightly larger than 1.
Correlation = Annotated[float, Field(ge=-1.000001, le=1.000001)]
Interval = Annotated[list[Correlation], Field(min_length=2, max_length=2)]


class _Stored(BaseModel):
    """A section; additional keys are kept but not read, and numbers must not be strings."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Dataset(_Stored):
    name: str
    n: Whole
    n_test: Whole | None = None
    fingerprint: str | None = None
    majority_share: Share | None = None


class _Seeds(_Stored):
    n: Whole
    fraction: Share


class _SeedRun(_Stored):
    metric: Literal["accuracy", "mae"]
    value: Amount


class _Agreement(_Stored):
    n: Whole
    spearman: Correlation | None
    spearman_ci95: Interval | None
    pearson: Correlation | None
    kendall: Correlation | None
    mse: Amount | None
    overlap: dict[str, Share | None]
    reason: str | None = None


class _Audit(_Stored):
    runs: Whole
    epochs: Annotated[list[Whole], Field(min_length=1)]
    full_epochs: Amount
    spearman: Annotated[list[Correlation], Field(min_length=1)] | None
    expected: Figure | None
    interval: Annotated[list[Figure], Field(min_length=2, max_length=2)] | None

    @model_validator(mode="after")
    def _is_whole(self) -> _Audit:
        if self.interval is not None and (self.spearman is None or self.expected is None):
            raise ValueError("an audit with an interval also needs spearman and expected")
        return self


class _Method(_Stored):
    heldout: _Agreement
    oracle: _Agreement | None = None
    oracle_clear: _Agreement | None = None
    audit: _Audit | None = None
    fit_seconds: Amount | None = None
    predict_seconds: Amount | None = None
    cost_passes: Amount | None = None
    control: bool = False


class _Ceiling(_Stored):
    runs: Whole | None = None
    seed_vs_full: Correlation | None = None
    full_vs_full: Correlation | None = None
    perfect: Correlation | None = None


class _Clear(_Stored):
    n: Whole
    of: Whole
    least: Whole
    full_vs_full: Correlation | None = None
    perfect: Correlation | None = None


class _Score(_Stored):
    ceiling: _Ceiling | None
    methods: dict[str, _Method]
    clear: _Clear | None = None


class _Spread(_Stored):
    mean: Amount | None
    std: Amount | None


class _Arm(_Stored):
    metric: Literal["accuracy", "mae"]
    value: Annotated[list[Amount | None], Field(min_length=1)]
    mean: Amount | None
    std: Amount | None
    keep: Amount | None = None
    seconds: Amount | None = None
    total_seconds: Amount | None = None
    samples_seen: Amount | None = None
    backward_samples: Amount | None = None
    cost_passes: Amount | None = None
    equal_cost: list[str] | None = None
    errors: dict[Annotated[str, Field(pattern=r"^(all|\d{1,6})$")], dict[str, _Spread]] | None = None

    @model_validator(mode="after")
    def _is_a_share(self) -> _Arm:
        if self.metric == "accuracy" and max(one or 0 for one in (*self.value, self.mean)) > 1:
            raise ValueError("an accuracy must be at most 1")
        return self


class _Saving(_Stored):
    wall_clock_ratio: Amount | None
    metric_delta: Figure | None


class _Metrics(_Stored):
    # Checked first, because nothing else may match in another version.
    schema_: Annotated[Literal[1], Field(alias="schema")]
    dataset: _Dataset
    seeds: _Seeds
    seed_run: _SeedRun | None = None
    extrapolation: dict[str, _Score]
    training: dict[str, _Arm]
    cost: dict[str, dict[str, Amount]]
    saving: dict[str, _Saving]


class _Provenance(_Stored):
    faults: list[str] = []


_LEDGER = TypeAdapter(dict[str, dict[str, Amount]], config=ConfigDict(strict=True, allow_inf_nan=False))


def read_metrics(run: Path) -> dict[str, Any]:
    """Reads ``metrics.json``.

    Raises:
        InputError: the file is missing, is not valid JSON or has another schema version, or a key is missing or has
            an invalid value.
    """
    path = run / "metrics.json"
    raw = _read(path)
    if isinstance(raw, dict) and isinstance(raw.get("schema"), int) and raw["schema"] != SCHEMA:
        raise InputError(
            f"{path}: schema is {raw['schema']} but this version of graphprune reads schema {SCHEMA}; use the version "
            "that created the run, or run the job again"
        )
    return _checked(path, raw, TypeAdapter(_Metrics))


def read_ledger(run: Path) -> dict[str, dict[str, Any]]:
    """Reads ``ledger.json``; raises the same errors as `read_metrics`."""
    path = run / "ledger.json"
    return _checked(path, _read(path), _LEDGER)


def read_provenance(run: Path) -> dict[str, Any]:
    """Reads ``provenance.json``; raises the same errors as `read_metrics`."""
    path = run / "provenance.json"
    return _checked(path, _read(path), TypeAdapter(_Provenance))


def _read(path: Path) -> Any:
    """Reads JSON with finite numbers, valid strings and limited nesting."""
    raw = read_json(path)
    level = [("", raw)]
    for _ in range(_DEEPEST):
        below = []
        for key, node in level:
            if isinstance(node, float) and not math.isfinite(node):
                raise InputError(f"{path}: {key} is not a finite number; {_FIX}")
            if isinstance(node, int) and abs(node) > 2**63:
                raise InputError(f"{path}: {key} has too many digits; {_FIX}")
            parts = (
                node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
            )
            texts = [*node, ""] if isinstance(node, dict) else [node]
            if any(isinstance(text, str) and not _is_text(text) for text in texts):
                raise InputError(f"{path}: {key or 'a key'} contains invalid characters; {_FIX}")
            below += [(f"{key}.{name}" if key else str(name), part) for name, part in parts]
        level = below
    if level:
        raise InputError(f"{path} is nested more than {_DEEPEST} levels deep; {_FIX}")
    return raw


def _checked(path: Path, raw: Any, kind: TypeAdapter[Any]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise InputError(f"{path} must contain a JSON object but contains {_named(raw)}; {_FIX}")
    try:
        kind.validate_python(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "missing":
            raise InputError(f"{path}: the key {key} is missing; {_FIX}") from error
        message = fault["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {key}: {message}; {_FIX}") from error
    return raw


_FIX = "restore the file or run the job again"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _named(value: Any) -> str:
    return {list: "a list", str: "a string", type(None): "null"}.get(type(value), "a number")
