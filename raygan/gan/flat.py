"""A network whose whole state is one flat vector: what travels, is averaged, and is saved."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn


class FlatModule:
    """A network laid over one contiguous float32 vector: parameters first, then floating-point buffers.

    `parameters` is a single leaf that any torch optimiser takes; its `.grad` is laid out likewise, so
    loading, sending and stepping are each one operation however many layers there are. Within the vector a
    tensor's values lie as the module has them in memory (`channels_last`, say). Integer buffers
    (BatchNorm's count of batches) stay with the module: with a fixed momentum nothing depends on them.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        module.to(device)
        parameters = list(module.parameters())
        buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        self.module = module
        self.num_parameters = sum(parameter.numel() for parameter in parameters)
        self.vector = torch.empty(self.num_parameters + sum(buffer.numel() for buffer in buffers), device=device)
        self.parameters = nn.Parameter(self.vector[: self.num_parameters])
        self.parameters.grad = torch.zeros_like(self.parameters)
        with torch.no_grad():
            tensors = [*parameters, *buffers]
            for tensor, piece in zip(tensors, cut(self.vector, tensors), strict=True):
                piece.copy_(tensor)
                tensor.data = piece
        for parameter, piece in zip(parameters, cut(self.parameters.grad, parameters), strict=True):
            parameter.grad = piece

    @property
    def gradient(self) -> Tensor:
        """Of the parameters, laid out as they are."""
        assert self.parameters.grad is not None  # laid out once, never released
        return self.parameters.grad

    @property
    def buffers(self) -> Tensor:
        """The part of the vector behind the parameters."""
        return self.vector[self.num_parameters :]

    def load(self, vector: np.ndarray) -> None:
        """Copy a (size,) float32 vector in. The array (a shared, read-only one as a rule) is not kept."""
        with torch.no_grad():
            fill(self.vector, vector)

    def dump(self) -> np.ndarray:
        """The vector as a new (size,) float32 array."""
        return array_of(self.vector)

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """`vector`, laid out as this network's, cut into tensors by parameter and buffer name."""
        tensors: dict[str, Tensor] = dict(self.module.named_parameters())
        tensors |= {name: buffer for name, buffer in self.module.named_buffers() if buffer.is_floating_point()}
        return dict(zip(tensors, cut(vector, list(tensors.values())), strict=True))


def cut(vector: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of a vector, one after the other, shaped and laid out in memory as the tensors `like`."""
    pieces = torch.split(vector, [tensor.numel() for tensor in like])
    return [
        piece.as_strided(tensor.size(), torch.empty_like(tensor, device="meta").stride())
        for piece, tensor in zip(pieces, like, strict=True)
    ]


def tensor_of(array: np.ndarray) -> Tensor:
    """A new tensor holding a copy of `array`.

    With `fill` the one place where an array from the object store becomes a tensor: such an array is shared by
    every reader, and a tensor over its memory would write through to all of them.
    """
    return torch.tensor(array)


def fill(tensor: Tensor, array: np.ndarray) -> None:
    """Copy an array of the same shape, such as one that may only be read, into a tensor."""
    if tensor.device.type == "cpu":
        np.copyto(tensor.numpy(), array)
    else:
        tensor.copy_(tensor_of(array))


def array_of(tensor: Tensor) -> np.ndarray:
    """A new numpy array, contiguous, holding a copy of `tensor`."""
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array.copy()
