"""What all sections of a configuration share: strictness, methods by name, and names."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Runs = Annotated[int, Field(ge=1, le=1_000)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w][\w.@+ -]*$")]


class Strict(BaseModel):
    """Unknown keys are errors, true and false are no numbers, and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_number_from_truth(cls, section: Any) -> Any:
        for key, value in section.items() if isinstance(section, dict) else ():
            known = cls.model_fields.get(key)
            each = value if isinstance(value, list | tuple) else [value]
            if known is not None and known.annotation is not bool and any(isinstance(v, bool) for v in each):
                raise PydanticCustomError(
                    "truth",
                    "true and false are no numbers and no texts, and YAML reads yes, no, on and off as such; write a"
                    " number, or a text in quotes",
                    {"key": key},
                )
        return section


class Method(BaseModel):
    """A registered method by name; further keys are its options. A bare string is a name without options."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """The keys beside ``name``."""
        return dict(self.model_extra or {})
