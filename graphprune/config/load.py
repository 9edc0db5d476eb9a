"""Load a `Config` from a YAML file and overrides; every error is one sentence that names the key and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from graphprune.config.data import DataConfig
from graphprune.config.job import Config
from graphprune.config.yaml_file import parse_yaml, read_yaml
from graphprune.errors import InputError
from graphprune.options import shown


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and apply ``a.b=value`` overrides.

    Raises:
        InputError: one sentence that names the file and the key.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise InputError(f"{path} must contain keys and values at its top level, such as 'name: digits'")
    for override in overrides:
        _apply(raw, override)
    return parse_config(raw, source=str(path))


def parse_config(raw: dict[str, Any], *, source: str = "config") -> Config:
    """Create a `Config` from plain data.

    Raises:
        InputError: the first invalid key, in one sentence that starts with ``source``.

    >>> parse_config({"name": "demo", "data": {"kind": "sklearn"}}).graph.k
    20
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error)}") from error


def parse_value(override: str) -> tuple[str, Any]:
    """Split a ``key=value`` from the command line; the value is YAML.

    >>> parse_value("training.lr=1e-3")
    ('training.lr', 0.001)
    """
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise InputError(
            f"--set {override!r} is not of the form key=value; write for example --set graph.k=30"
        )
    return key, parse_yaml(text, f"--set {key}")


def parse_values(overrides: Sequence[str]) -> dict[str, Any]:
    """Parse several ``key=value``; each key may occur once."""
    values: dict[str, Any] = {}
    for key, value in map(parse_value, overrides):
        if key in values:
            raise InputError(f"--set {key} is given twice; keep one of them")
        values[key] = value
    return values


def _apply(raw: dict[str, Any], override: str) -> None:
    key, value = parse_value(override)
    steps = key.split(".")
    if "" in steps:
        raise InputError(f"--set {key}: a part of the key is empty; write for example arms.0.keep=0.5")
    node: Any = raw
    for depth, step in enumerate(steps):
        place: Any = step
        if isinstance(node, list):
            place = _position(node, step, key)
        if depth == len(steps) - 1:
            node[place] = value
            return
        inner = node[place] if isinstance(node, list) else node.get(place)
        if inner is None:
            inner = {}
        elif isinstance(inner, str):
            # A bare name is a method without options.
            inner = {"name": inner}
        elif not isinstance(inner, dict | list):
            raise InputError(
                f"--set {key}: {'.'.join(steps[: depth + 1])} is not a section and has no keys; shorten the key"
            )
        node[place] = inner
        node = inner


def _position(items: list[Any], index: str, key: str) -> int:
    if not (index.isascii() and index.isdecimal() and len(index) < 10 and int(index) < len(items)):
        raise InputError(f"--set {key}: '{index}' is not a position in a list of {len(items)}; count from 0")
    return int(index)


def _explain(error: ValidationError) -> str:
    """The first error of a validation as one sentence, with a suggestion for misspelled keys."""
    first = error.errors(include_url=False)[0]
    # The location contains the tag of the union (data.kind), which users did not type.
    tags = {tag for model in _models(DataConfig) for tag in _tags(model)}
    location = [
        str(part)
        for i, part in enumerate(first["loc"])
        if not (i == 1 and first["loc"][0] == "data" and part in tags)
    ]
    if first["type"] == "boolean":
        location.append(first["ctx"]["key"])
    key = ".".join(location)
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"])
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys are {', '.join(sorted(known))}"
        return f"unknown key '{key}'; {hint}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"key '{key}' is missing; add it"
    if first["type"] == "path_type":
        message = "Input should be a path"
    received = first.get("input")
    received_text = f" (received {shown(received)})" if isinstance(received, (str, int, float, bool)) else ""
    return f"{key}: {message}{received_text}" if key else f"{message}{received_text}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    """Keys of the section that holds the last part of the location, from the models themselves."""
    models: list[type[BaseModel]] = [Config]
    for step in location[:-1]:
        if isinstance(step, int):
            continue
        tagged = [model for model in models if step in _tags(model)]
        models = tagged or [part for model in models for part in _models(model.model_fields[step].annotation)]
    return [key for model in models for key in model.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation names, alone, in a union or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    """Values of ``kind`` that select the model from a union."""
    return get_args(model.model_fields["kind"].annotation) if "kind" in model.model_fields else ()
