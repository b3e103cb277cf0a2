"""The facts that every process of a run knows before its first round."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from raygan.components import AGGREGATORS, build
from raygan.compression.downlink import Downlink
from raygan.compression.uplink import Compressible, Uplink
from raygan.compression.way import Span, spans_of
from raygan.config.aggregation import Plain
from raygan.config.compression import Whole, WholeModel
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.methods.aggregation import Aggregator, Gathering
from raygan.methods.base import ServerSide
from raygan.methods.exact_sum import check_vector
from raygan.secure.protocol import SecureSum, secure_sum_of


@dataclass(frozen=True)
class Problem:
    """The shape of a sample, and the form of a device's update."""

    shape: tuple[int, ...]
    num_samples: int
    update_size: int
    slots: int
    gathers: bool = False
    """Whether the method combines updates itself (`ServerSide.gathers`)."""
    counts_classes: bool = False
    """Whether devices report their number of samples of each class."""
    compressible: Compressible | None = None
    """What of an update is compressed, if anything is."""
    broadcast: tuple[Span, ...] | None = None
    """What of the vector that goes down is compressed, if anything is."""

    @classmethod
    def of(
        cls,
        config: Config,
        server: ServerSide,
        pooled: bool,
        shape: tuple[int, ...],
        num_samples: int,
        counts_classes: bool = False,
    ) -> "Problem":
        """Returns the facts about a method with this server; `counts_classes`: somebody else goes by them, too.

        Raises:
            InputError: what is sent cannot be compressed as configured.
        """
        up, down = config.compression, config.downlink_compression
        for key, section in (("compression", up), ("downlink_compression", down)):
            if pooled and not isinstance(section, Whole | WholeModel):
                raise InputError(
                    f"{key}.name: nothing is sent with method={config.method}; set {key}.name=none", code="conflict"
                )
        return cls(
            shape,
            num_samples,
            server.update_size,
            server.slots,
            server.gathers,
            counts_classes or server.counts_classes,
            None if isinstance(up, Whole) else server.compressible(),
            None if isinstance(down, WholeModel) else spans_of(server.broadcast_parameters()),
        )

    def uplink(self, config: Config) -> Uplink | None:
        """Returns how updates are compressed; None if they are not.

        Raises:
            InputError: the codec cannot be built, or does not fit the method.
        """
        return None if self.compressible is None else Uplink(config, self.compressible, self.update_size)

    def secure_sum(self, config: Config) -> SecureSum | None:
        """Returns how updates are masked and their sum unmasked; None if they are not."""
        return secure_sum_of(config, self.update_size)

    def downlink(self, config: Config) -> Downlink | None:
        """Returns how what goes down is compressed; None if it is not.

        Raises:
            InputError: the codec cannot be built, or does not fit.
        """
        return None if self.broadcast is None else Downlink(config, self.broadcast)

    def aggregator(self, config: Config) -> Aggregator[Any, Any]:
        """Returns an empty one for one slot's updates of one round; the same bounds everywhere.

        Raises:
            InputError: it cannot be built, or the method leaves nothing to aggregate.
        """
        heaviest = max(self.num_samples, config.devices * config.batch_size)
        if self.gathers:
            if not isinstance(config.aggregation, Plain):
                raise InputError(
                    f"aggregation.name: {config.aggregation.name} has nothing to combine: method={config.method}, as "
                    "it is configured, weighs the updates of devices by a rule of its own; leave aggregation out",
                    code="conflict",
                )
            return Gathering(config.aggregation, self.update_size, config.devices, heaviest)
        arguments = (config.aggregation, self.update_size, config.devices, heaviest)
        return build(AGGREGATORS, config.aggregation.name, "aggregation.name", Aggregator, *arguments)  # type: ignore[type-abstract]

    def check_update(self, vector: np.ndarray, weight: int, slot: int) -> None:
        """Refuse a vector, weight or slot that no device's update has.

        Raises:
            ValueError: it has another shape or type, no weight, or no such slot.
            FloatingPointError: it is not finite, or has diverged.
        """
        if not isinstance(vector, np.ndarray):
            raise ValueError(f"it is a {type(vector).__name__}; a float32 array ({self.update_size},) is needed")
        check_vector(vector, self.update_size)
        if not (isinstance(weight, int | np.integer) and isinstance(slot, int | np.integer)):
            raise ValueError(f"its weight is {weight!r} and its slot {slot!r}; whole numbers are needed")
        if not (1 <= weight <= self.num_samples and 0 <= slot < self.slots):
            raise ValueError(f"its weight is {weight} (1 to {self.num_samples}), its slot {slot} (of {self.slots})")
