"""The page of all keys of a config, from the schema that `graphprune schema` prints."""

from __future__ import annotations

import json
from typing import Any

from graphprune.config.schema import config_schema
from graphprune.options import number
from graphprune.registry import KINDS

Schema = dict[str, Any]

HEAD = """# Every key of a config

Made from `graphprune schema`, which prints the same as JSON schema for editors. `graphprune schema > schema.json`, then
`# yaml-language-server: $schema=schema.json` as the first line of a YAML file, gives completion and checks while you
type.

Any key can be set from the command line, list items by their number: `--set graph.k=30 --set arms.0.keep=0.3`. A method
is a bare name, or a mapping of `name` and its own options, which stand on its page. A key that does not exist is an
error that names the nearest one.
"""
ORDER = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
SIGNS = dict(zip(ORDER, ("≥", ">", "≤", "<"), strict=True))


def config_page(titles: dict[str, str]) -> str:
    """Markdown: a table of the whole job, then one of each section, in the order in which they are met.

    Args:
        titles: Headings of the methods' kinds on their index page.
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
            parts.append("All keys of [seed_training](#seed_training), and\n")
            section = {
                **section,
                "properties": {k: v for k, v in section["properties"].items() if k not in inherited},
            }
        parts.append("| key | what it takes | default | meaning |\n|---|---|---|---|")
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
    """How a section is called: its keys joined, ``[]`` for a list's items, and its kind where there are several."""
    name = f"{path}.{key}" if path else key
    kind = section["properties"].get("kind", {}).get("const")
    return f"{name}: {{kind: {kind}}}" if kind else name + ("[]" if value.get("type") == "array" else "")


def sections_of(value: Schema) -> list[str]:
    """The definitions that a key's schema points to."""
    if "$ref" in value:
        return [value["$ref"].rpartition("/")[2]]
    inner = [value["items"]] if isinstance(value.get("items"), dict) else []
    return [
        name
        for each in [*value.get("anyOf", ()), *value.get("oneOf", ()), *inner]
        for name in sections_of(each)
    ]


def takes(value: Schema, titles: dict[str, str], places: dict[str, str]) -> str:
    """The type of a key in words, with links to what it names."""
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
    words = {"string": "text", "boolean": "`true`, `false`", "object": "mapping"}
    kind = (
        "path"
        if value.get("format") == "path"
        else words.get(value.get("type", ""), value.get("type", "any"))
    )
    return " ".join([kind, ", ".join(ranges)]).strip()


def default(value: Schema) -> str:
    """What holds if the key is left out; sections tell it themselves."""
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
    """The address that the site gives to a heading."""
    kept = "".join(c for c in heading.lower() if c.isalnum() or c in " -_")
    return "-".join(kept.split())
