"""YAML with plain values only: no duplicate keys, no tags, and numbers such as 1e-3 read as numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from graphprune.errors import InputError
from graphprune.files import must_exist

_MOST_NODES = 100_000
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")
# Longer integers are refused; 64 bits need 19 digits.
_MOST_DIGITS = 100


class _Loader(yaml.SafeLoader):
    """`yaml.SafeLoader` without dates, sexagesimal numbers and tags; 1e-3 is a number, 010 is a string."""

    # Nothing is inherited, so only plain types have a constructor and a pattern.
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        _PREFIX + kind: yaml.SafeLoader.yaml_constructors[_PREFIX + kind] for kind in _PLAIN
    } | {None: yaml.SafeLoader.yaml_constructors[None]}
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (declared so by yaml)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line, name = key.start_mark.line + 1, (key.tag, key.value)
                if name in lines:
                    where = f"line {line}" if lines[name] == line else f"lines {lines[name]} and {line}"
                    raise InputError(f"'{_short(key.value)}' is set twice, on {where}; keep one of them")
                lines[name] = line
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            raise self._refusal(node) from error
        if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
            raise self._refusal(node)
        return value

    def _refusal(self, node: yaml.Node) -> InputError:
        kind = node.tag.removeprefix(_PREFIX)
        line = node.start_mark.line + 1
        return InputError(f"'{_short(str(node.value))}' on line {line} is not a valid {kind}; correct it")


class _Dumper(yaml.SafeDumper):
    """Quotes strings that `_Loader` would otherwise read as another type."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (declared so by yaml)


_PATTERNS = (
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?(0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+|0o[0-7_]+)", "-+0123456789"),
    (
        "float",
        r"[-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*(?=[eE]))([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
)
for _kind, _pattern, _first in _PATTERNS:
    for _class in (_Loader, _Dumper):
        starts: list[Any] = ["" if each == "\0" else each for each in _first]
        _class.add_implicit_resolver(_PREFIX + _kind, re.compile(rf"^(?:{_pattern})$"), starts)


def read_yaml(path: Path | str) -> Any:
    """Read the plain values of a UTF-8 file.

    Raises:
        InputError: the file is missing or not valid YAML; the message names the file, and the line if it is known.
    """
    file = must_exist(Path(path))
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not valid YAML: it is not UTF-8 ({error}); save it as UTF-8") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, what: str) -> Any:
    """Parse the plain values of a string; error messages call it ``what``.

    >>> parse_yaml("lr: 1e-3", "example")
    {'lr': 0.001}
    """
    try:
        raw = _Loader(text).get_single_data()
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        detail = " ".join(str(error).split())
        raise InputError(f"{what} is not valid YAML: {_short(detail, 200)}") from error
    _refuse_large(raw, what)
    return _unshared(raw)


def dump_yaml(value: Any) -> str:
    """Write plain values as a string that `parse_yaml` reads back.

    >>> dump_yaml({"lr": 0.001, "name": "yes"})
    "lr: 0.001\\nname: 'yes'\\n"
    """
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def _refuse_large(raw: Any, what: str) -> None:
    """Refuse YAML whose aliases are recursive or expand to more values than any job needs."""
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
            raise InputError(f"{what}: an alias refers to a value that contains it; write the value out")
        return known

    if size(raw) > _MOST_NODES:
        raise InputError(
            f"{what} has more than {_MOST_NODES:,} values after aliases are expanded; shorten it"
        )


def _unshared(node: Any) -> Any:
    """A copy in which every alias is a separate value, so that an override of one does not change the others."""
    if isinstance(node, dict):
        return {key: _unshared(value) for key, value in node.items()}
    return [_unshared(each) for each in node] if isinstance(node, list) else node


def _short(text: str, most: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 3] + "..."
