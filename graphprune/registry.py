"""Registry of methods by name, shared by the API, the command line and the configuration.

A method registers itself where it is defined. The packages in `KINDS` are scanned on first use, so a new method
needs no entry in a list, and `graphprune --help` imports none of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from graphprune.errors import InputError, unknown_name
from graphprune.options import Option, check_options, checked, options_of

Status = Literal["confirmed", "abstract", "ours"]
Role = Literal["method", "control"]
C = TypeVar("C", bound=type)

# All scores have this direction, so selection rules need no option for it.
DIRECTION = "larger values are kept"

KINDS = {
    "score": "graphprune.scores",
    "extrapolator": "graphprune.extrapolate",
    "selection": "graphprune.select",
    "sampler": "graphprune.samplers",
    "paradigm": "graphprune.train.paradigms",
    "model": "graphprune.models",
}


# Options that the job sets itself; they are not options of a config.
GIVEN = {
    "score": ("links",),
    "sampler": ("n", "epochs", "seed"),
    "paradigm": ("info",),
    "model": ("info", "in_channels", "in_features", "num_classes"),
}


@dataclass(frozen=True)
class Entry:
    """A registered class and its origin.

    ``status`` is ``confirmed`` (the arithmetic was read in the authors' public code), ``abstract`` (only the published
    abstract confirms it) or ``ours`` (graphprune's own formulation; no parity with a paper is claimed). A ``control``
    is a baseline that a method must beat.
    """

    cls: type
    name: str
    source: str
    status: Status
    role: Role = "method"


_entries: dict[str, dict[str, Entry]] = {kind: {} for kind in KINDS}
_scanned: set[str] = set()


def register(kind: str, name: str, *, source: str, status: Status, role: Role = "method") -> Callable[[C], C]:
    """Class decorator that registers a method under ``name``; ``source`` cites the paper and the year.

    The constructor then refuses options of a wrong type or out of range for every caller (see `graphprune.options`).
    """

    def add(cls: C) -> C:
        known = _entries[kind].get(name)
        if known is not None and known.cls.__qualname__ != cls.__qualname__:
            raise ValueError(f"{kind} '{name}' is registered twice: {known.cls} and {cls}")
        _entries[kind][name] = Entry(checked(f"{kind} '{name}'")(cls), name, source, status, role)
        return cls

    return add


def entries(kind: str) -> dict[str, Entry]:
    """All methods of a kind, sorted by name; imports the package of the kind on first use.

    >>> entries("score")["loss"].role
    'method'
    """
    if kind not in _scanned:
        package = importlib.import_module(KINDS[kind])
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            importlib.import_module(module.name)
        _scanned.add(kind)
    return dict(sorted(_entries[kind].items()))


def get(kind: str, name: str) -> type[Any]:
    """The class registered as ``name``.

    Raises:
        InputError: the name is unknown; the message suggests the most similar name.
    """
    known = entries(kind)
    if name not in known:
        raise unknown_name(kind, name, known)
    return known[name].cls


def create(kind: str, name: str, /, **options: Any) -> Any:
    """Create an instance of the class registered as ``name``.

    Raises:
        InputError: the name or an option is unknown, or a value is of a wrong type or out of range.

    >>> type(create("selection", "top")).__name__
    'Top'
    """
    return get(kind, name)(**options)


def check_method(kind: str, name: str, options: Mapping[str, Any], *, later: Collection[str] = ()) -> None:
    """Check the options of a config or a command line without creating the method.

    Args:
        kind: One of `KINDS`.
        name: Name of the method.
        options: Given options.
        later: Options whose values the job replaces later (such as ``embeddings: run``).

    Raises:
        InputError: the method or an option is unknown, a value is of a wrong type or out of range, or the job itself
            sets the option.
    """
    cls, what = get(kind, name), f"{kind} '{name}'"
    for option in GIVEN.get(kind, ()):
        if option in options and option in options_of(cls):
            raise InputError(f"{what}: {option} is set by the job; leave it out")
    check_options(what, cls, {option: value for option, value in options.items() if option not in later})


def describe() -> dict[str, list[dict[str, Any]]]:
    """All methods by kind: name, source, status, role, options with their ranges, and the direction of scores."""
    listed = {
        "scores": "score",
        "extrapolators": "extrapolator",
        "selections": "selection",
        "samplers": "sampler",
        "paradigms": "paradigm",
        "models": "model",
    }
    described: dict[str, list[dict[str, Any]]] = {
        plural: [
            {
                "name": e.name,
                "source": e.source,
                "status": e.status,
                "role": e.role,
                "options": [
                    {"name": option.name, "takes": option.takes, "default": option.default}
                    for option in chosen_options(kind, e)
                ],
            }
            for e in entries(kind).values()
        ]
        for plural, kind in listed.items()
    }
    for score in described["scores"]:
        score["direction"] = DIRECTION
    return described


def chosen_options(kind: str, entry: Entry) -> list[Option]:
    """The options of a method that a config can set: all except those that the job sets itself."""
    return [option for name, option in options_of(entry.cls).items() if name not in GIVEN.get(kind, ())]
