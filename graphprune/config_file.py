"""From a YAML file and overrides to a `Config`; every fault is one sentence that names the key and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from graphprune.config import (
    ArmConfig,
    AuditConfig,
    Config,
    EmbeddingConfig,
    GraphConfig,
    OracleConfig,
    SeedsConfig,
    ShortRunConfig,
)
from graphprune.config_data import (
    HubData,
    ImageFolderData,
    NpzData,
    ObjectData,
    ParquetData,
    SensorsData,
    SklearnData,
)
from graphprune.config_training import OptimisationConfig, ShrinkPerturbConfig, TrainingConfig
from graphprune.errors import InputError
from graphprune.files import must_exist

_MOST_NODES = 100_000


def load_config(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """Reads a YAML file and applies ``a.b=value`` overrides; every fault is one sentence that names file and key."""
    path = Path(path)
    try:
        raw = yaml.safe_load(must_exist(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{path} is not valid YAML: {detail}") from error
    _refuse_large(raw, path)
    if not isinstance(raw, dict):
        raise InputError(f"{path} must hold keys and values at its top level, such as 'name: digits'")
    for override in overrides:
        _apply(raw, override)
    return parse_config(raw, source=str(path))


def parse_config(raw: dict[str, Any], *, source: str = "config") -> Config:
    """A `Config` from plain data; the first fault becomes an `InputError`."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{source}: {_explain(error)}") from error


def _refuse_large(raw: Any, path: Path) -> None:
    """Refuses YAML whose aliases make it endless, or larger than any job: printing it would not come to an end."""
    sizes: dict[int, int | None] = {}

    def size(node: Any) -> int:
        if not isinstance(node, dict | list):
            return 1
        known = sizes.setdefault(id(node), 0)
        if known == 0:
            sizes[id(node)] = None
            parts = node.values() if isinstance(node, dict) else node
            known = sizes[id(node)] = 1 + sum(size(part) for part in parts)
        if known is None:
            raise InputError(f"{path}: an alias stands inside what it names; write the value out")
        return known

    if size(raw) > _MOST_NODES:
        raise InputError(f"{path} has more than {_MOST_NODES:,} values, aliases written out; shorten it")


def _apply(raw: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise InputError(f"--set {override!r} is not of the form a.b=value")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"--set {key}: {text!r} is not a YAML value") from error
    *parents, last = key.split(".")
    node: Any = raw
    for step, parent in enumerate(parents):
        if isinstance(node, list):
            node = _item(node, parent, key)
            continue
        if not isinstance(node, dict):
            raise InputError(f"--set {key}: {'.'.join(parents[:step])} is not a section")
        if not isinstance(node.get(parent), (dict, list)):
            node[parent] = {}
        node = node[parent]
    if isinstance(node, list):
        node[node.index(_item(node, last, key))] = value
    else:
        node[last] = value


def _item(items: list[Any], index: str, key: str) -> Any:
    if not index.isdigit() or int(index) >= len(items):
        raise InputError(f"--set {key}: '{index}' is not a position in a list of {len(items)}")
    return items[int(index)]


def _explain(error: ValidationError) -> str:
    """The first fault of a validation as one sentence with a suggestion for misspelt keys."""
    fault = error.errors(include_url=False)[0]
    # Tags of discriminated unions and list positions are part of the location; keys are what users typed.
    tags = {"sklearn", "hub", "parquet", "imagefolder", "npz", "sensors", "object"}
    location = [
        str(part)
        for i, part in enumerate(fault["loc"])
        if not (i == 1 and fault["loc"][0] == "data" and part in tags)
    ]
    key = ".".join(location)
    if fault["type"] == "extra_forbidden":
        known = _known_keys(fault["loc"])
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known keys are {', '.join(sorted(known))}"
        return f"unknown key '{key}'; {hint}"
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"key '{key}' is missing; add it"
    received = fault.get("input")
    shown = f" (received {received!r})" if isinstance(received, (str, int, float, bool)) else ""
    return f"{key}: {message}{shown}" if key else f"{message}{shown}"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    sections: dict[str, type[BaseModel]] = {
        "seeds": SeedsConfig,
        "seed_training": OptimisationConfig,
        "training": TrainingConfig,
        "embedding": EmbeddingConfig,
        "graph": GraphConfig,
        "oracle": OracleConfig,
        "audit": AuditConfig,
        "short_run": ShortRunConfig,
        "arms": ArmConfig,
    }
    sources: dict[str, type[BaseModel]] = {
        "sklearn": SklearnData,
        "hub": HubData,
        "parquet": ParquetData,
        "imagefolder": ImageFolderData,
        "npz": NpzData,
        "sensors": SensorsData,
        "object": ObjectData,
    }
    if len(location) == 1:
        return list(Config.model_fields)
    if location[0] == "data":
        return list(sources[str(location[1])].model_fields)
    if "shrink_and_perturb" in location[1:-1]:
        return list(ShrinkPerturbConfig.model_fields)
    return list(sections[str(location[0])].model_fields)
