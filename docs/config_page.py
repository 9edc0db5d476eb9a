"""Generate the page with all keys of a config from the schema that `graphprune schema` prints."""

from __future__ import annotations

import json
from typing import Any

from graphprune.config.schema import config_schema
from graphprune.options import number
from graphprune.registry import KINDS

Schema = dict[str, Any]

HEAD = """# Every key of a config

This page is generated from the JSON schema that `graphprune schema` prints. For completion and validation in your
editor, run `graphprune schema > schema.json` and start the YAML file with
`# yaml-language-server: $schema=schema.json`.

Every key can be set on the command line, items of a list by their position: `--set graph.k=30 --set arms.0.keep=0.3`. A
method is a name, or a mapping with `name` and the options of the method, which are described on its page. An unknown
key is an error that suggests the most similar key.
"""
ORDER = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
SIGNS = dict(zip(ORDER, ("≥", ">", "≤", "<"), strict=True))


def config_page(titles: dict[str, str]) -> str:
    """Markdown with one table for the whole job and one for each section, in the order of their first use.

    Args:
        titles: Headings of the kinds of methods on their index page.
    """
    schema = config_schema()
    definitions: dict[str, Schema] = schema["$defs"]
    waiting: list[tuple[str, Schema]] = [("", schema)]
    parts, inherited = [HEAD], definitions["OptimizationConfig"]["properties"].keys()
    while waiting:
        path, section = waiting.pop(0)
        heading = f"`{path}`" if path else "The whole job"
        parts.append(f"## {heading}\n\n{section['description'].splitlines()[0].replace('``', '`')}\n")
        if section["title"] == "TrainingConfig":
            parts.append("All keys of [seed_training](#seed_training), and these:\n")
            section = {
                **section,
                "properties": {k: v for k, v in section["properties"].items() if k not in inherited},
            }
        parts.append("| key | accepted values | default | meaning |\n|---|---|---|---|")
        required = section.get("required", ())
        for key, value in sorted(section["properties"].items(), key=lambda item: item[0] not in required):
            inner = [(name, definitions[name]) for name in sections_of(value) if name not in KINDS]
            waiting += [(place(path, key, value, each), each) for _, each in inner]
            row = [f"`{key}`", takes(value, titles, {name: place(path, key, value, s) for name, s in inner})]
            row += ["required" if key in required else default(value), value.get("description", "")]
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        parts.append("")
    return "\n".join(parts)


def place(path: str, key: str, value: Schema, section: Schema) -> str:
    """Name of a section: its keys joined by dots, ``[]`` for items of a list, and its kind if there are several."""
    name = f"{path}.{key}" if path else key
    kind = section["properties"].get("kind", {}).get("const")
    return f"{name}: {{kind: {kind}}}" if kind else name + ("[]" if value.get("type") == "array" else "")


def sections_of(value: Schema) -> list[str]:
    """The definitions that the schema of a key refers to."""
    if "$ref" in value:
        return [value["$ref"].rpartition("/")[2]]
    inner = [value["items"]] if isinstance(value.get("items"), dict) else []
    return [
        name
        for each in [*value.get("anyOf", ()), *value.get("oneOf", ()), *inner]
        for name in sections_of(each)
    ]


def takes(value: Schema, titles: dict[str, str], places: dict[str, str]) -> str:
    """The accepted values of a key in words, with links to sections and methods."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        if name in KINDS:
            return f"[{name}](methods/index.md#{anchor(titles[name])})"
        return (
            f"[{places[name].removeprefix('data: ')}](#{anchor(places[name])})"
            if name in places
            else "method"
        )
    choices = value.get("anyOf") or value.get("oneOf")
    if choices:
        return ", or ".join(takes(each, titles, places) for each in choices if each.get("type") != "null")
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if value.get("type") == "array":
        return f"list of {takes(value.get('items', {}), titles, places)}"
    ranges = [f"{SIGNS[name]} {number(value[name])}" for name in ORDER if name in value]
    words = {"string": "string", "boolean": "`true`, `false`", "object": "mapping"}
    kind = (
        "path"
        if value.get("format") == "path"
        else words.get(value.get("type", ""), value.get("type", "any"))
    )
    return " ".join([kind, ", ".join(ranges)]).strip()


def default(value: Schema) -> str:
    """The default of a key; empty for sections, whose own tables give the defaults."""
    given = value.get("default")
    if given is None or given == "" or (isinstance(given, dict) and "name" not in given):
        return ""
    if isinstance(given, dict):
        given = given["name"] if set(given) == {"name"} else given
    if isinstance(given, list):
        given = [each["name"] if isinstance(each, dict) else each for each in given]
        return f"`[{', '.join(map(str, given))}]`"
    return f"`{given if isinstance(given, str) else json.dumps(given)}`"


def anchor(heading: str) -> str:
    """The anchor of a heading on the site."""
    kept = "".join(c for c in heading.lower() if c.isalnum() or c in " -_")
    return "-".join(kept.split())
