"""The JSON schema of a job's configuration, for completion and validation in editors."""

from __future__ import annotations

from typing import Any

from graphprune.config.job import Config
from graphprune.registry import entries

# Kind of the registered methods that each key accepts, by section and key.
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

    Unlike in the schema of pydantic, a method may be a bare name, as in ``extrapolators: [knn, gcn]``.
    """
    schema = Config.model_json_schema()
    definitions = schema["$defs"]
    # Methods of a kind that is not listed above may have any name.
    definitions["Method"] = {"anyOf": [{"type": "string"}, definitions["Method"]]}
    for (section, key), kind in _KINDS.items():
        properties = (schema if section == "Config" else definitions[section])["properties"]
        properties[key] = _point_to(properties[key], f"#/$defs/{kind}")
        definitions[kind] = _method(kind)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _method(kind: str) -> dict[str, Any]:
    names: dict[str, Any] = {"type": "string", "enum": list(entries(kind)), "title": f"Name of a {kind}"}
    if kind == "model":
        # Models of other libraries carry the name of the library: torchvision:resnet18.
        names = {"anyOf": [names, {"type": "string", "pattern": "^[a-z_]+:"}]}
    options = {
        "type": "object",
        "properties": {"name": names},
        "required": ["name"],
        "additionalProperties": True,
        "description": f"Name of the {kind}; all other keys are its options.",
    }
    return {"anyOf": [names, options]}


def _point_to(value: Any, target: str) -> Any:
    """A copy of ``value`` in which every reference to a method points to ``target``."""
    if isinstance(value, dict):
        return {
            key: target if key == "$ref" and inner == _METHOD else _point_to(inner, target)
            for key, inner in value.items()
        }
    return [_point_to(inner, target) for inner in value] if isinstance(value, list) else value
