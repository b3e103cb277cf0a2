"""Moves of several GANs as one computation, over their stacked parameters.

A small network keeps neither a GPU nor the vector units of a CPU busy, and an operation costs as much to launch as it
takes. `torch.vmap` makes one operation over N networks of N: products become batched ones, convolutions grouped ones.
The networks are of one architecture and differ in their values. Whatever belongs to one of them stays its own: batch
statistics, spectral vectors, losses, penalties, gradients. Results are those of one by one but for rounding.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from raygan.config.gan import Gan
from raygan.gan.flat import FlatModule
from raygan.gan.moves import Descent, Made, Move, Passes, Reading
from raygan.gan.networks import Networks
from raygan.gan.optimizer import step_together
from raygan.gan.replay import Replay
from raygan.gan.transfer import here


def play_together(moves: Sequence[Move], replay: Replay) -> list[Made]:
    """Play moves that are `alike`, of different GANs, in one computation; returns what each makes."""
    first = moves[0]
    if len(moves) == 1:
        return [first.play()]
    if isinstance(first, Descent):
        step_together([cast(Descent, move).optimizer for move in moves], first.round)
        return [()] * len(moves)
    if isinstance(first, Reading):
        return _readings_together([cast(Reading, move) for move in moves])
    return _passes_together([cast(Passes, move) for move in moves], replay)


def alike(move: Move) -> object:
    """Returns a key that is equal for moves that can be played together. Devices share their optimiser's settings."""
    if isinstance(move, Descent):
        return move.round, id(move.optimizer.settings), move.optimizer.network.num_parameters
    if isinstance(move, Reading):
        return Reading
    return (move.work, *(None if one is None else (one.shape, one.dtype) for one in move.given))


def why_not(gan: Gan, networks: Networks) -> str | None:
    """Returns why such networks cannot be stacked; None if they can."""
    if ":" in gan.loss:
        return f"gan.loss={gan.loss} is not raygan's own"
    if gan.precision == "bfloat16":
        return "gan.precision=bfloat16 casts each network's tensors by themselves"
    for key, name, network in (
        ("gan.generator", gan.generator, networks.generator),
        ("gan.discriminator", gan.discriminator, networks.discriminator),
    ):
        if ":" in name and getattr(network.module, "stackable", False) is not True:
            return f"{key}={name} does not declare stackable = True"
    return None


def _readings_together(moves: list[Reading]) -> list[Made]:
    read = iter(here([tensor for move in moves for tensor in move.tensors]))
    return [tuple(islice(read, len(move.tensors))) for move in moves]


def _passes_together(moves: list[Passes], replay: Replay) -> list[Made]:
    networks = [move.networks for move in moves]
    sides = [[one.generator for one in networks], [one.discriminator for one in networks]]
    vectors = [_in_rows([network.vector for network in side]) for side in sides]
    given = [
        None if parts[0] is None else torch.stack(parts) for parts in zip(*(move.given for move in moves), strict=True)
    ]
    made = replay(StackedWork(moves[0].work), networks[0], *vectors, *given)
    left, made = made[:4], made[4:]
    for side, gradients, moved in zip(sides, left[::2], left[1::2], strict=True):
        if gradients.numel():
            _spread(gradients, [network.gradient for network in side])
        if moved.numel():
            _spread(moved, [network.moving for network in side])
    return list(zip(*(one.unbind() for one in made), strict=True))


def lay_in_rows(networks: Sequence[FlatModule]) -> None:
    """Move networks of one architecture into memory side by side, so that nothing is copied to compute on all."""
    first = networks[0]
    vectors = first.vector.new_empty(len(networks), len(first.vector))
    gradients = first.gradient.new_zeros(len(networks), len(first.gradient))
    for network, vector, gradient in zip(networks, vectors, gradients, strict=True):
        network.lie_in(vector, gradient)


def _in_rows(vectors: Sequence[Tensor]) -> Tensor:
    """Returns vectors of one size as (N, size): a view if they lie in rows of one tensor, else a copy."""
    first = vectors[0]
    apart = vectors[1].data_ptr() - first.data_ptr()
    places = [vector.data_ptr() for vector in vectors]
    one_tensor = vectors[-1].untyped_storage().data_ptr() == first.untyped_storage().data_ptr()
    if not (one_tensor and apart > 0 and places == list(range(places[0], places[0] + apart * len(places), apart))):
        return torch.stack(list(vectors))
    return first.as_strided((len(vectors), len(first)), (apart // first.element_size(), 1))


@torch.no_grad()
def _spread(rows: Tensor, places: list[Tensor]) -> None:
    torch._foreach_copy_(places, list(rows.unbind()))


@dataclass(frozen=True)
class StackedWork:
    """The work of one GAN as that of several; equal for equal work, so that it is recorded once."""

    work: Callable[..., Made]

    def __call__(self, networks: Networks, generators: Tensor, discriminators: Tensor, *given: Tensor | None) -> Made:
        """Returns gradients and moved buffers of both networks, (N, size) or (N, 0) where nothing did; then the rest.

        `networks` are those of any one of the GANs, whose values do not matter.
        """
        sides = StackedModule(networks.generator, generators), StackedModule(networks.discriminator, discriminators)
        generator, discriminator = (cast(FlatModule, side) for side in sides)
        made = self.work(replace(networks, generator=generator, discriminator=discriminator, stacked=True), *given)
        return *(part for side in sides for part in (side.gradients(), side.moving())), *made


class StackedModule:
    """N networks of one architecture, in the place of a `FlatModule` in the passes of a step."""

    def __init__(self, like: FlatModule, vectors: Tensor) -> None:
        """`vectors` (N, size) has the vector of each."""
        self._like = like
        self._parameters = {name: one for name, one in like.like().items() if isinstance(one, nn.Parameter)}
        self._tensors = _cut(vectors, like.like())
        for name, tensor in self._tensors.items():
            if name not in self._parameters:  # passes write into buffers, and vmap only into whole tensors
                self._tensors[name] = tensor.clone(memory_format=torch.contiguous_format)
        self.module = Vectorised(like.module, self._tensors)
        self._begun = False
        self._vectors = vectors

    def zero_gradient(self) -> None:
        """Begin a gradient of each network."""
        self._begun = True
        for name, parameter in self._parameters.items():
            if parameter.requires_grad:
                self._tensors[name] = self._tensors[name].detach().requires_grad_()

    def gradients(self) -> Tensor:
        """Returns the gradient of each network, (N, parameters), if they have been begun; else (N, 0)."""
        count, size = len(self._vectors), self._like.num_parameters
        gradients = self._vectors.new_zeros(count, size if self._begun else 0)
        if self._begun:
            for name, piece in _cut(gradients, self._parameters).items():
                if (gradient := self._tensors[name].grad) is not None:
                    piece.copy_(gradient)
        return gradients

    def trained(self) -> list[Tensor]:
        """Returns the parameters that are trained."""
        return [tensor for tensor in self._tensors.values() if tensor.requires_grad]

    def moving(self) -> Tensor:
        """Returns the buffers, (N, size), if a pass may have moved them."""
        count = len(self._vectors)
        buffers = [one.reshape(count, -1) for name, one in self._tensors.items() if name not in self._parameters]
        if not (buffers and self.module.called):
            return self._vectors.new_empty(count, 0)
        return torch.cat(buffers, dim=1)


class Vectorised:
    """A network called with tensors of N networks and samples for each, (N, batch, ...)."""

    def __init__(self, module: nn.Module, tensors: dict[str, Tensor]) -> None:
        self._module = module
        self._tensors = tensors
        self.called = False

    def __call__(self, *given: Tensor) -> Any:
        """Returns what each network makes of its samples."""
        self.called = True
        return torch.vmap(self._one)(self._tensors, *given)

    def _one(self, tensors: dict[str, Tensor], *given: Tensor) -> Any:
        return functional_call(self._module, tensors, given)

    def __getattr__(self, name: str) -> Any:
        """What the network declares."""
        return getattr(self._module, name)


def _cut(vectors: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns views of consecutive columns of `vectors` (N, size), each N tensors of the shape and layout of one."""
    pieces, start = {}, 0
    for name, tensor in like.items():
        strides = torch.empty_like(tensor, device="meta").stride()
        pieces[name] = vectors.as_strided((len(vectors), *tensor.shape), (vectors.stride(0), *strides), start)
        start += tensor.numel()
    return pieces
