"""A network whose whole state is one flat vector, which is sent, averaged and saved."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from raygan.gan.derived import Derived
from raygan.gan.transfer import Values, array_of, fill


class FlatModule:
    """A network laid over one contiguous float32 vector: parameters, then floating-point buffers, derived ones last.

    `parameters` is a single leaf that any torch optimiser takes, and its `.grad` has the same layout. So loading,
    sending and stepping are one operation each, however many layers there are. Within the vector a tensor keeps the
    memory order that it has in the module (`channels_last`, for example). Integer buffers (BatchNorm's count of
    batches) stay with the module: with a fixed momentum nothing depends on them.

    Derived buffers (`raygan.gan.derived`) are recomputed at construction, to fit the initial weights, and in
    `take_over`. Training passes update them, as in torch.
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
        """Length of the part that may be averaged: parameters and buffers without the derived ones."""
        size = self.num_averaged + sum(buffer.numel() for buffer in derived)
        self._names = _names(module, [*parameters, *buffers, *derived])
        self.lie_in(torch.empty(size, device=device), torch.zeros(self.num_parameters, device=device))
        self.refresh()

    def lie_in(self, vector: Tensor, gradient: Tensor) -> None:
        """Move into the memory of `vector`, (size,), with all values, and have the gradient in that of `gradient`."""
        self.vector = vector
        self.parameters = nn.Parameter(vector[: self.num_parameters])
        self.parameters.grad = gradient
        tensors = list(self._names.values())
        with torch.no_grad():
            for tensor, piece in zip(tensors, cut(vector, tensors), strict=True):
                piece.copy_(tensor)
                tensor.data = piece
        parameters = list(self.module.parameters())
        for parameter, piece in zip(parameters, cut(gradient, parameters), strict=True):
            parameter.grad = piece

    @property
    def gradient(self) -> Tensor:
        """The gradient of the parameters, in their layout."""
        assert self.parameters.grad is not None  # laid out once, never released
        return self.parameters.grad

    def zero_gradient(self) -> None:
        """Begin a gradient."""
        self.gradient.zero_()

    def trained(self) -> list[Tensor]:
        """Returns the parameters that are trained: all but those that a custom network keeps frozen."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]

    @property
    def averaged(self) -> Tensor:
        """The part of the vector that may be averaged, (num_averaged,)."""
        return self.vector[: self.num_averaged]

    @property
    def buffers(self) -> Tensor:
        """The floating-point buffers that are not derived, such as BatchNorm's statistics."""
        return self.vector[self.num_parameters : self.num_averaged]

    @property
    def derived(self) -> Tensor:
        """The derived buffers, such as the vectors of spectral normalisation."""
        return self.vector[self.num_averaged :]

    @property
    def moving(self) -> Tensor:
        """Both kinds of buffers: everything that a pass in training mode may change."""
        return self.vector[self.num_parameters :]

    def refresh(self) -> None:
        """Recompute the derived buffers, after every change of the parameters except an optimiser's step."""
        self._derived.refresh()

    def take_over(self, averaged: np.ndarray) -> None:
        """Copy in a mean of networks, (num_averaged,) float32 or its beginning, and recompute the derived buffers."""
        with torch.no_grad():
            fill(self.vector[: len(averaged)], averaged)
        self.refresh()

    @contextmanager
    def holding(self, averaged: Tensor) -> Iterator[None]:
        """Hold a mean, (num_averaged,), and its derived buffers inside the block; restore the network afterwards."""
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
        """Copy in a (size,) float32 vector. An array, usually shared and read-only, is not kept."""
        with torch.no_grad():
            fill(self.vector, vector)

    def dump(self) -> np.ndarray:
        """Returns the vector as a new (size,) float32 array."""
        return array_of(self.vector)

    def like(self) -> dict[str, Tensor]:
        """Returns all parameters and floating-point buffers by name, in the order of the vector."""
        return dict(self._names)

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """Returns `vector`, in this network's layout, as tensors by parameter and buffer name."""
        return dict(zip(self._names, cut(vector, list(self._names.values())), strict=True))


def _names(module: nn.Module, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """Returns the names of these tensors in a module, in their order."""
    names = {id(tensor): name for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
    return {names[id(tensor)]: tensor for tensor in tensors}


def cut(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Yields consecutive views of a vector with the shapes and memory layouts of the tensors `like`."""
    pieces = torch.split(vector, [tensor.numel() for tensor in like])
    return [
        piece.as_strided(tensor.size(), torch.empty_like(tensor, device="meta").stride())
        for piece, tensor in zip(pieces, like, strict=True)
    ]
