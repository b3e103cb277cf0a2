"""A network whose whole state is one flat vector: what travels, is averaged, and is saved."""

import numpy as np
import torch
from torch import Tensor, nn


class FlatModule:
    """A network laid over one contiguous float32 vector: parameters first, then floating-point buffers.

    `parameters` is a single leaf that any torch optimiser takes; its `.grad` is laid out likewise, so
    loading, sending and stepping are each one operation however many layers there are. Integer buffers
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
            for tensor, piece in zip([*parameters, *buffers], self._pieces([*parameters, *buffers]), strict=True):
                piece.copy_(tensor)
                tensor.data = piece
        gradients = self.parameters.grad
        start = 0
        for parameter in parameters:
            parameter.grad = gradients[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()

    def _pieces(self, tensors: list[Tensor]) -> list[Tensor]:
        pieces = self.vector.split([tensor.numel() for tensor in tensors])
        return [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)]

    @property
    def buffers(self) -> Tensor:
        """The part of the vector behind the parameters."""
        return self.vector[self.num_parameters :]

    def load(self, vector: np.ndarray) -> None:
        """Copy a (size,) float32 vector in. The array (a shared, read-only one as a rule) is not kept."""
        with torch.no_grad():
            self.vector.copy_(tensor_of(vector))

    def dump(self) -> np.ndarray:
        """The vector as a new (size,) float32 array."""
        return array_of(self.vector)

    def named(self, vector: Tensor) -> dict[str, Tensor]:
        """`vector`, laid out as this network's, cut into tensors by parameter and buffer name."""
        names = [name for name, _ in self.module.named_parameters()]
        tensors = list(self.module.parameters())
        for name, buffer in self.module.named_buffers():
            if buffer.is_floating_point():
                names.append(name)
                tensors.append(buffer)
        pieces = vector.split([tensor.numel() for tensor in tensors])
        return {name: piece.view_as(like) for name, piece, like in zip(names, pieces, tensors, strict=True)}


def tensor_of(array: np.ndarray) -> Tensor:
    """A new tensor holding a copy of `array`.

    The one place where an array from the object store becomes a tensor: such an array is shared by every
    reader, and a tensor over its memory would write through to all of them.
    """
    return torch.tensor(array)


def array_of(tensor: Tensor) -> np.ndarray:
    """A new numpy array holding a copy of `tensor`."""
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array.copy()
