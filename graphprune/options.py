"""Options of methods: types and ranges are declared in signatures and checked here.

A constructor annotates every option; the aliases of this module combine a type with a range::

    def __init__(self, *, k: Count = 20, temperature: Positive = 1.0) -> None: ...

`checked` makes the class refuse all other values, whether they come from a config, the command line or Python code.
Types are strict: true is not a number, "5" is not an integer, and numbers must be finite unless the annotation says
otherwise.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Callable as AbstractCallable
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from graphprune.errors import InputError, unknown_name

# Upper limits of counts and sizes lie beyond what any machine can hold.
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Whole = Annotated[int, Field(ge=0, le=1_000_000_000)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Depth = Annotated[int, Field(ge=1, le=1_000)]
# Layers that a network may do without.
Layers = Annotated[int, Field(ge=0, le=1_000)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
# Fractions, by whether they include 0 and 1.
Share = Annotated[float, Field(ge=0, le=1)]
Keep = Annotated[float, Field(gt=0, le=1)]
Part = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
# Other numbers, limited so that float32 can represent their squares.
Positive = Annotated[float, Field(gt=0, le=1e9)]
NonNegative = Annotated[float, Field(ge=0, le=1e9)]
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]
Rate = Annotated[float, Field(gt=0, le=1_000)]
Decay = Annotated[float, Field(ge=0, le=1_000)]
Epochs = Annotated[float, Field(gt=0, le=1_000_000)]

C = TypeVar("C", bound=type)

_STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
_LONGEST = 60


@dataclass(frozen=True)
class Option:
    """One option: name, accepted values in words, default, and the adapter that validates a value."""

    name: str
    takes: str
    default: Any
    adapter: TypeAdapter[Any]

    @property
    def required(self) -> bool:
        """Whether the option has no default."""
        return self.default is inspect.Parameter.empty


def options_of(target: Callable[..., Any]) -> dict[str, Option]:
    """The options of a class or function by name, in the order of its signature."""
    return dict(_options_of(target))


def check_options(
    what: str, target: Callable[..., Any], given: Mapping[str, Any], *, only: tuple[str, ...] | None = None
) -> dict[str, Any]:
    """Return ``given`` if every value is valid; NumPy scalars become numbers, NumPy arrays become tensors.

    Args:
        what: Name of the target in error messages, such as ``"extrapolator 'knn'"``.
        target: A class or function with annotated parameters.
        given: Values by option; missing options are not reported.
        only: Options that may be given (default: all).

    Raises:
        InputError: an option does not exist, or its value is of a wrong type or out of range.

    >>> def search(*, k: Count = 20) -> None: ...
    >>> check_options("search", search, {"k": 0})
    Traceback (most recent call last):
        ...
    graphprune.errors.InputError: search: k must be an integer from 1 to 1,000,000,000 (received 0)
    """
    known = _options_of(target, only)
    values = {}
    for name, value in given.items():
        if name not in known:
            if not known:
                raise InputError(f"unknown option of {what} '{name}'; it takes none")
            raise unknown_name(f"option of {what}", str(name), known)
        plain = _plain(value)
        try:
            (valid,) = known[name].adapter.validate_python([plain])
        except (ValidationError, RecursionError):
            raise InputError(
                f"{what}: {name} must be {known[name].takes} (received {shown(value)})"
            ) from None
        # An integer given for a float becomes a float, because it may be too large for int64.
        values[name] = valid if isinstance(valid, float) else plain
    return values


def checked(what: str) -> Callable[[C], C]:
    """Class decorator: the constructor refuses options that its annotations do not allow (see `check_options`)."""

    def add(cls: C) -> C:
        store = cls.__init__  # type: ignore[misc]
        positional = [
            name
            for name, p in inspect.signature(store).parameters.items()
            if p.kind is p.POSITIONAL_OR_KEYWORD
        ][1:]

        @functools.wraps(store)
        def __init__(self: Any, /, *arguments: Any, **options: Any) -> None:
            placed = dict(zip(positional, arguments, strict=False))
            if len(arguments) > len(positional) or placed.keys() & options.keys():
                raise InputError(
                    f"{what}: an option is given twice or without a name; give each option once, as name=value"
                )
            values = check_options(what, cls, placed | options)
            for option in _options_of(cls).values():
                if option.required and option.name not in values:
                    raise InputError(f"{what} needs {option.name}; give {option.takes}")
            store(self, **values)

        if store is object.__init__:
            functools.update_wrapper(__init__, lambda self: None)
        cls.__init__ = __init__  # type: ignore[misc]
        return cls

    return add


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        import torch

        return torch.tensor(value)
    return value


def shown(value: Any) -> str:
    """A value as error messages show it: short, and on one line.

    >>> shown(None), shown(True), shown("x" * 100)[-6:]
    ('null', 'true', 'xxx...')
    """
    shape = getattr(value, "shape", None)
    if shape is not None and not isinstance(value, np.generic):
        return f"{type(value).__name__} of shape {list(shape)}"
    text = " ".join(_repr(value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _repr(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list inside itself
        return f"a {type(value).__name__} too long to print"


@functools.cache
def _options_of(target: Callable[..., Any], only: tuple[str, ...] | None = None) -> Mapping[str, Option]:
    # A dataclass may inherit fields whose annotations refer to names of another module.
    hinted: Any = target
    if isinstance(target, type) and not is_dataclass(target):
        hinted = target.__init__  # type: ignore[misc]
    hints = get_type_hints(hinted, include_extras=True)
    parameters = inspect.signature(target).parameters.values()
    return {
        p.name: Option(p.name, describe(hints[p.name]), p.default, _adapter(hints[p.name]))
        for p in parameters
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and (only is None or p.name in only)
    }


def _adapter(hint: Any) -> TypeAdapter[Any]:
    # Wrapped in a list, because pydantic accepts no configuration for a dataclass itself.
    listed: Any = types.GenericAlias(list, (hint,))
    return TypeAdapter(listed, config=_STRICT)


_WORDS = {
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    bool: ("true or false", "true or false"),
    str: ("a string", "strings"),
    types.NoneType: ("null", "null"),
    Any: ("anything", "anything"),
}


def describe(annotation: Any, *, many: bool = False) -> str:
    """Describe the values that an annotation allows.

    >>> describe(Count | None)
    'an integer from 1 to 1,000,000,000 or null'
    >>> describe(Annotated[Sequence[Part], Field(min_length=1)])
    'a list of one or more numbers from 0 to below 1'
    """
    if annotation in _WORDS:
        return _WORDS[annotation][many]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _described_range(arguments[0], arguments[1:], many)
    if origin is Literal:
        return _either([f"'{value}'" for value in arguments])
    if origin in (Union, types.UnionType):
        return _either([describe(part, many=many) for part in arguments])
    if origin in (Sequence, list, tuple):
        return f"{'lists' if many else 'a list'} of {describe(arguments[0], many=True)}"
    if origin in (Mapping, dict):
        return "mappings" if many else "a mapping"
    if origin is AbstractCallable:
        return "functions" if many else "a function"
    name = getattr(annotation, "__name__", str(annotation))
    return f"{name} objects" if many else f"a {name}"


def _described_range(inner: Any, details: Iterable[Any], many: bool) -> str:
    limits: dict[type, Any] = {}
    for detail in details:
        for each in detail.metadata if isinstance(detail, FieldInfo) else [detail]:
            limits[type(each)] = each
    text = describe(inner, many=many)
    if MinLen in limits:
        least = limits[MinLen].min_length
        text = text.replace(" of ", f" of {'one' if least == 1 else least} or more ", 1)
    low = next((limits[kind] for kind in (Ge, Gt) if kind in limits), None)
    high = next((limits[kind] for kind in (Le, Lt) if kind in limits), None)
    if isinstance(low, Ge) and high is not None:
        return f"{text} from {number(low.ge)} to {_upper(high)}"
    if isinstance(low, Ge):
        return f"{text} of at least {number(low.ge)}"
    if isinstance(low, Gt):
        return f"{text} above {number(low.gt)}" + (f" and {_most(high)}" if high else "")
    return text


def _upper(limit: Le | Lt) -> str:
    return number(limit.le) if isinstance(limit, Le) else f"below {number(limit.lt)}"


def _most(limit: Le | Lt) -> str:
    return f"at most {number(limit.le)}" if isinstance(limit, Le) else f"below {number(limit.lt)}"


def number(value: Any) -> str:
    """A bound in decimal digits."""
    if value == 2**63:
        return "2^63"
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


def _either(choices: Sequence[str]) -> str:
    return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
