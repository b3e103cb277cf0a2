"""Operations of a method's own code, counted by running it once: matrix products and convolutions."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

from raygan.config.tree import Config
from raygan.data import ImageSet
from raygan.gan.torch_private import DispatchMode
from raygan.methods.base import DeviceSide, Shard
from raygan.round.checks import checked_answer, method_of


class FlopCounter(DispatchMode):
    """Adds up the FLOPs of what runs inside, by torch's formulas, but for the backward pass of convolutions.

    torch 2.15 counts that of a grouped convolution (1 + groups) / 2 times (findings/). torch's FlopCounterMode also
    tracks modules, which fails on gradients with respect to a module's input.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and count one operation."""
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket is torch.ops.aten.convolution_backward:
            self.flops += _convolution_backward(*args, **(kwargs or {}))
        elif (formula := flop_registry.get(func.overloadpacket)) is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _convolution_backward(
    gradient: Tensor, given: Tensor, weight: Tensor, *settings: Any, output_mask: Sequence[bool] | None = None
) -> int:
    """Returns the FLOPs of the forward pass, once for each gradient that is wanted: of the input and of the weight.

    Forward, every value of the smaller side in space meets the kernel of its group: of the output in a convolution, of
    the input in a transposed one. `weight` is (out, in / groups, ...) or transposed (in, out / groups, ...).
    """
    transposed, wanted = bool(settings[4]), settings[7] if output_mask is None else output_mask
    places = (given if transposed else gradient).shape
    forward = 2 * places[0] * math.prod(places[2:]) * math.prod(weight.shape)
    return forward * (bool(wanted[0]) + bool(wanted[1]))


class DeviceWork:
    """FLOPs of one device's update, by the samples that a batch has."""

    def __init__(self, config: Config, down: np.ndarray, images: ImageSet) -> None:
        self._config = config
        self._down = down
        self._images = images
        self.vector = np.empty(0, np.float32)
        """The vector of the last update that was tried."""

    def by_size(self, sizes: Sequence[int]) -> list[int]:
        """Returns the FLOPs of batches of these sizes, in ascending order; with lazy penalties, those of a mean step.

        Most methods' work is a line over sizes, and over steps, which is tried with the smallest size.
        """
        every, config = self._config.gan.penalty_every, self._config
        if every == 1:
            return self._of_equal_steps(sizes)
        counted = []
        for changes in ({"penalty_every": 1}, {"penalty_every": 1, "r1": 0.0, "r2": 0.0}):
            self._config = config.model_copy(update={"gan": config.gan.model_copy(update=changes)})
            counted.append(self._of_equal_steps(sizes))
        self._config = config
        return [without + (penalised - without) // every for penalised, without in zip(*counted, strict=True)]

    def _of_equal_steps(self, sizes: Sequence[int]) -> list[int]:
        steps = self._config.device_steps
        from_two = steps > 3 and self._from_two(steps, sizes[0]) == self._counted(steps, sizes[0])
        return along_a_line(sizes, lambda size: (self._from_two if from_two else self._counted)(steps, size))

    def _from_two(self, steps: int, size: int) -> int:
        one, two = (self._counted(few, size) for few in (1, 2))
        return one + (steps - 1) * (two - one)

    def _counted(self, steps: int, size: int) -> int:
        with FlopCounter() as counter:
            answer = self._side(steps).update(first_samples(self._config, self._images, size), 1, self._down, {})
        update, _ = checked_answer(answer, self._config.method, 0)
        self.vector = update.vector
        return int(counter.flops)

    def _side(self, steps: int) -> DeviceSide:
        config = self._config.model_copy(update={"device_steps": steps})
        return method_of(config).device(config, self._images.shape, torch.device("cpu"))


def first_samples(config: Config, images: ImageSet, size: int) -> Shard:
    """Returns a device's shard of so many samples, to try its work on."""
    labels = images.labels[:size] if config.gan.num_classes else None
    return Shard(0, images.images[:size], labels=labels)


def along_a_line(places: Sequence[int], count: Callable[[int], int]) -> list[int]:
    """Returns `count` at all of `places`, in ascending order.

    Of many it is asked at both ends and in the middle; only if these three are not on a line of whole numbers, at all.
    """
    if len(places) <= 3:
        return [count(place) for place in places]
    first, middle, last = places[0], places[len(places) // 2], places[-1]
    start, width = count(first), last - first
    rise = count(last) - start
    on_it = [divmod(rise * (place - first), width) for place in places]
    if any(rest for _, rest in on_it) or count(middle) != start + on_it[len(places) // 2][0]:
        return [count(place) for place in places]
    return [start + step for step, _ in on_it]
