"""Base classes shared by all sections of a configuration."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Runs = Annotated[int, Field(ge=1, le=1_000)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w][\w.@+ -]*$")]


class Strict(BaseModel):
    """A section that rejects unknown keys and booleans in place of numbers, and is immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _reject_booleans(cls, section: Any) -> Any:
        for key, value in section.items() if isinstance(section, dict) else ():
            known = cls.model_fields.get(key)
            each = value if isinstance(value, list | tuple) else [value]
            if known is not None and known.annotation is not bool and any(isinstance(v, bool) for v in each):
                raise PydanticCustomError(
                    "boolean",
                    "expected a number or a string but received true or false (YAML also reads yes, no, on and off as"
                    " booleans); write a number, or put the text in quotes",
                    {"key": key},
                )
        return section


class Method(BaseModel):
    """A registered method: its name and its options.

    A bare string is a name without options.

    >>> Method.model_validate("knn") == Method(name="knn")
    True
    >>> Method(name="knn", k=7).options
    {'k': 7}
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """All keys except ``name``."""
        return dict(self.model_extra or {})
