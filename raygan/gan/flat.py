"""A network whose whole state is one flat vector: what travels, is averaged, and is saved."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from raygan.gan.derived import Derived
from raygan.gan.transfer import Values, array_of, fill


class FlatModule:
    """A network laid over one contiguous float32 vector: parameters, then floating-point buffers, derived ones last.

    `parameters` is a single leaf that any torch optimiser takes; its `.grad` is laid out likewise, so
    loading, sending and stepping are each one operation however many layers there are. Within the vector a
    tensor's values lie as the module has them in memory (`channels_last`, say). Integer buffers
    (BatchNorm's count of batches) stay with the module: with a fixed momentum nothing depends on them.

    Buffers that follow from the parameters (`raygan.gan.derived`) are recomputed here, so that they fit the network's
    initial weights, and in `take_over`. Training passes move them on, as torch has it.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        module.to(device)
        parameters = list(module.parameters())
        self._derived = Derived(module)
        derived = self._derived.buffers
        following = {id(buffer) for buffer in derived}
        buffers = [one for one in module.buffers() if one.is_floating_point() and id(one) not in following]
        self.module = module
        self.num_parameters = sum(parameter.numel() for parameter in parameters)
        self.num_averaged = self.num_parameters + sum(buffer.numel() for buffer in buffers)
        """Length of what a mean may be taken of: parameters and buffers, without those that follow from them."""
        self.vector = torch.empty(self.num_averaged + sum(buffer.numel() for buffer in derived), device=device)
        self.parameters = nn.Parameter(self.vector[: self.num_parameters])
        self.parameters.grad = torch.zeros_like(self.parameters)
        with torch.no_grad():
            tensors = [*parameters, *buffers, *derived]
            for tensor, piece in zip(tensors, cut(self.vector, tensors), strict=True):
                piece.copy_(tensor)
                tensor.data = piece
        for parameter, piece in zip(parameters, cut(self.parameters.grad, parameters), strict=True):
            parameter.grad = piece
        self._names = _names(module, tensors)
        self.refresh()

    @property
    def gradient(self) -> Tensor:
        """Of the parameters, laid out as they are."""
        assert self.parameters.grad is not None  # laid out once, never released
        return self.parameters.grad

    @property
    def averaged(self) -> Tensor:
        """The part of the vector that a mean may be taken of, (num_averaged,)."""
        return self.vector[: self.num_averaged]

    @property
    def buffers(self) -> Tensor:
        """The floating-point buffers that follow from nothing, such as BatchNorm's statistics."""
        return self.vector[self.num_parameters : self.num_averaged]

    @property
    def derived(self) -> Tensor:
        """Those that follow from the parameters, such as spectral normalisation's vectors."""
        return self.vector[self.num_averaged :]

    @property
    def moving(self) -> Tensor:
        """All that a pass in training mode may move: both kinds of buffers."""
        return self.vector[self.num_parameters :]

    def refresh(self) -> None:
        """Recompute the derived buffers from the parameters: after every change of these but an optimiser's step."""
        self._derived.refresh()

    def take_over(self, averaged: np.ndarray) -> None:
        """Copy a mean of networks in, (num_averaged,) float32 or its beginning, and recompute what follows from it."""
        with torch.no_grad():
            fill(self.vector[: len(averaged)], averaged)
        self.refresh()

    @contextmanager
    def holding(self, averaged: Tensor) -> Iterator[None]:
        """Inside, be the network of a mean, (num_averaged,), and of what follows from it; then as before."""
        with torch.no_grad():
            kept = self.vector.clone()
            self.averaged.copy_(averaged)
            self.refresh()
        try:
            yield
        finally:
            with torch.no_grad():
                self.vector.copy_(kept)

    def load(self, vector: Values) -> None:
        """Copy a (size,) float32 vector in. An array (a shared, read-only one as a rule) is not kept."""
        with torch.no_grad():
            fill(self.vector, vector)

    def dump(self) -> np.ndarray:
        """The vector as a new (size,) float32 array."""
        return array_of(self.vector)

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """`vector`, laid out as this network's, cut into tensors by parameter and buffer name."""
        return dict(zip(self._names, cut(vector, list(self._names.values())), strict=True))


def _names(module: nn.Module, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """Those tensors of a module by their names, in their order."""
    names = {id(tensor): name for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    return {names[id(tensor)]: tensor for tensor in tensors}


def cut(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of a vector, one after the other, shaped and laid out in memory as the tensors `like`."""
    pieces = torch.split(vector, [tensor.numel() for tensor in like])
    return [
        piece.as_strided(tensor.size(), torch.empty_like(tensor, device="meta").stride())
        for piece, tensor in zip(pieces, like, strict=True)
    ]
