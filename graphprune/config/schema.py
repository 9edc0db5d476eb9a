"""The JSON schema of a job's configuration, as editors want it."""

from __future__ import annotations

from typing import Any

from graphprune.config.job import Config
from graphprune.registry import entries

# Which registry answers for a method, by where it stands in the configuration.
_KINDS = {
    ("Config", "model"): "model",
    ("Config", "paradigm"): "paradigm",
    ("Config", "scores"): "score",
    ("Config", "extrapolators"): "extrapolator",
    ("ArmConfig", "rule"): "selection",
    ("ArmConfig", "sampler"): "sampler",
    ("TrainingConfig", "sampler"): "sampler",
    ("EmbeddingConfig", "model"): "model",
}
_METHOD = "#/$defs/Method"


def config_schema() -> dict[str, Any]:
    """JSON schema (2020-12) of the YAML files, with the names of all registered methods.

    Differs from pydantic's in that a method may be a bare name, as in ``extrapolators: [knn, gcn]``, and in that
    ``training`` inherits from ``seed_training`` what it leaves out.
    """
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    # For a method of a kind that is not listed above: any name.
    definitions["Method"] = {"anyOf": [{"type": "string"}, definitions["Method"]]}
    for (section, key), kind in _KINDS.items():
        properties = (schema if section == "Config" else definitions[section])["properties"]
        properties[key] = _point_to(properties[key], f"#/$defs/{kind}")
        definitions[kind] = _method(kind)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _method(kind: str) -> dict[str, Any]:
    names: dict[str, Any] = {"type": "string", "enum": list(entries(kind)), "title": f"Name of a {kind}"}
    if kind == "model":
        # Models of other libraries stand behind the library's name: torchvision:resnet18.
        names = {"anyOf": [names, {"type": "string", "pattern": "^[a-z_]+:"}]}
    options = {
        "type": "object",
        "properties": {"name": names},
        "required": ["name"],
        "additionalProperties": True,
        "description": f"A {kind} by name; further keys are its options.",
    }
    return {"anyOf": [names, options]}


def _point_to(value: Any, target: str) -> Any:
    """``value`` with each reference to a method pointing to ``target``."""
    if isinstance(value, dict):
        return {
            key: target if key == "$ref" and inner == _METHOD else _point_to(inner, target)
            for key, inner in value.items()
        }
    return [_point_to(inner, target) for inner in value] if isinstance(value, list) else value
