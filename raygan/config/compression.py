"""Config of the compression of updates on their way up, and of the model on its way down."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, Tag

from raygan.components import CODECS, check_name
from raygan.config.section import NO_OPTIONS, Count, Options, Section, named

KeptShare = Annotated[float, Field(gt=0, le=1)]


class Whole(Section):
    """Updates are sent as they are."""

    name: Literal["none"] = "none"
    feedback: ClassVar[bool] = False


class Kept(Section):
    """The keys of codecs that send some of the values."""

    share: KeptShare = 0.01
    """Share of the values that is sent (rounded up)."""
    count: Count | None = None
    """Number of values that are sent (null: by `share`)."""


class Levels(Section):
    """The keys of a codec that rounds to levels."""

    levels: Annotated[int, Field(ge=1, le=2**16 - 1)] = 15
    """Number of levels s above 0: a value takes 1 + ceil(log2(s + 1)) bits."""


class TopK(Kept):
    """The values of largest magnitude, with their places (arXiv 1901.09847 with feedback)."""

    name: Literal["topk"] = "topk"
    feedback: bool = True
    """A device remembers what was left out, and adds it to its next update (error feedback)."""


class RandK(Kept):
    """Values in random places, with the seed of the places."""

    name: Literal["randk"] = "randk"
    feedback: bool = False
    """A device remembers what was left out, and adds it to its next update. Without it, values are scaled up so that
    their mean over all places is the update."""


class Sign(Section):
    """The sign of every value and their mean magnitude (arXiv 1901.09847)."""

    name: Literal["sign"] = "sign"
    feedback: bool = True
    """A device remembers the error, and adds it to its next update (error feedback)."""


class Qsgd(Levels):
    """Random levels of the update's norm, without bias (QSGD, arXiv 1610.02132)."""

    name: Literal["qsgd"] = "qsgd"
    feedback: ClassVar[bool] = False  # of no use: its error has the mean 0, and may be larger than the update


class OwnCompression(Section):
    """A custom codec: `name` is an import path to a `raygan.compression.codec.Codec` class."""

    name: Annotated[str, AfterValidator(lambda name: check_name(CODECS, name))]
    feedback: bool = False
    """A device remembers the error, and adds it to its next update. The codec should then bring every vector nearer."""
    options: Options = NO_OPTIONS
    """Free settings for your class."""


_Compressions = (
    Annotated[Whole, Tag("<none>")]
    | Annotated[TopK, Tag("<topk>")]
    | Annotated[RandK, Tag("<randk>")]
    | Annotated[Sign, Tag("<sign>")]
    | Annotated[Qsgd, Tag("<qsgd>")]
    | Annotated[OwnCompression, Tag("<own>")]
)
Compression = Annotated[_Compressions, Field(discriminator=named("none", _Compressions))]


class WholeModel(Section):
    """The model is sent whole."""

    name: Literal["none"] = "none"


class TopKChanges(Kept):
    """The changes of largest magnitude, with their places."""

    name: Literal["topk"] = "topk"


class RandKChanges(Kept):
    """Changes in random places, with the seed of the places."""

    name: Literal["randk"] = "randk"
    feedback: ClassVar[bool] = True  # the server's memory


class SignChanges(Section):
    """The sign of every change and their mean magnitude."""

    name: Literal["sign"] = "sign"


class QsgdChanges(Levels):
    """Random levels of the change's norm, more of them than the root of the number of values: with fewer, the error may
    be larger than the change."""

    name: Literal["qsgd"] = "qsgd"
    levels: Annotated[int, Field(ge=1, le=2**16 - 1)] = 1023
    """Number of levels s above 0: a value takes 1 + ceil(log2(s + 1)) bits."""


class OwnChanges(Section):
    """A custom codec: `name` is an import path to a `raygan.compression.codec.Codec` class, which should bring every
    vector nearer."""

    name: Annotated[str, AfterValidator(lambda name: check_name(CODECS, name))]
    options: Options = NO_OPTIONS
    """Free settings for your class."""


_Changes = (
    Annotated[WholeModel, Tag("<none>")]
    | Annotated[TopKChanges, Tag("<topk>")]
    | Annotated[RandKChanges, Tag("<randk>")]
    | Annotated[SignChanges, Tag("<sign>")]
    | Annotated[QsgdChanges, Tag("<qsgd>")]
    | Annotated[OwnChanges, Tag("<own>")]
)
DownlinkCompression = Annotated[_Changes, Field(discriminator=named("none", _Changes))]
