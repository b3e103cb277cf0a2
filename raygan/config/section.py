"""The base class and the value types of the config tree's sections."""

from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

Count = Annotated[int, Field(ge=1)]
NotNegativeCount = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Options = dict[str, bool | int | float | str]
NO_OPTIONS: Options = {}
OneOrMany = BeforeValidator(lambda value: tuple(value) if isinstance(value, list | tuple) else (value,))
PerDevice = Annotated[tuple[Positive, ...], OneOrMany]
"""One number for all devices, or a list with one per device."""


class Section(BaseModel):
    """A part of the tree: frozen, strictly typed, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


def named(default: str, union: Any) -> Discriminator:
    """Choose a union's member by its `name`: the one tagged with it, else the one tagged `own`.

    So a component with a name in a table but without its own section is configured like an import path.
    """
    tags = {tagged.tag for member in get_args(union) for tagged in get_args(member) if isinstance(tagged, Tag)}

    def tag(value: Any) -> str | None:
        name = value.get("name", default) if isinstance(value, dict) else getattr(value, "name", None)
        if not isinstance(name, str):
            return None
        return f"<{name}>" if f"<{name}>" in tags else "<own>"

    return Discriminator(tag)
