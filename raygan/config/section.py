"""What every part of the config tree is made of."""

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Options = dict[str, bool | int | float | str]
NO_OPTIONS: Options = {}
PerDevice = Annotated[
    tuple[Positive, ...],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list | tuple) else (value,)),
]
"""One number for all devices, or a list with one per device."""


class Section(BaseModel):
    """A part of the tree: frozen, strictly typed, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def named(default: str, sections: Collection[str]) -> Discriminator:
    """Choose a union's member by its `name`; an import path chooses the member tagged `own`."""

    def tag(value: Any) -> str | None:
        name = value.get("name", default) if isinstance(value, dict) else getattr(value, "name", None)
        if not isinstance(name, str):
            return None
        return f"<{name}>" if name in sections else "<own>"

    return Discriminator(tag)
