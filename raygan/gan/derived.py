"""Derived buffers, which follow from a network's parameters and are recomputed whenever these change outside a step.

Spectral normalisation (Miyato et al., arXiv 1802.05957) divides a weight by its largest singular value, which torch
takes from two unit vectors that it keeps beside the weight as buffers. They belong to that one weight: the mean of the
vectors of several networks, or the vectors of a weight before it was redrawn, give another number. So such *derived*
buffers are never averaged, and they are recomputed when a weight is initialised, averaged or a moving average.

Any module of a network may have such buffers. It lists their names in `derived_buffers`, a tuple, and recomputes them
in `refresh()` from its parameters alone, without random numbers, so that equal parameters give equal buffers on every
machine. torch's `spectral_norm`, as a parametrisation and as the older hook, needs neither.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm as SpectralNormHook

from raygan.errors import InputError
from raygan.rng import Role, stream

_KRYLOV = 24  # powers of the matrix in the Krylov space


class Derived:
    """The derived buffers of a network, which is searched for them once."""

    def __init__(self, network: nn.Module) -> None:
        """Raises InputError: a module names a buffer that it does not have, or cannot recompute it."""
        modules = list(network.modules())
        lists = [module for module in modules if isinstance(module, ParametrizationList)]
        self._chains = [chain for chain in lists if any(isinstance(norm, _SpectralNorm) for norm in chain.children())]
        self._hooks = [
            (module, hook)
            for module in modules
            for hook in module._forward_pre_hooks.values()
            if isinstance(hook, SpectralNormHook)
        ]
        self._own = [module for module in modules if _named(module)]
        self.buffers = [buffer for buffer in self._found() if buffer.is_floating_point()]
        """The floating-point derived buffers."""

    def _found(self) -> Iterator[Tensor]:
        for chain in self._chains:
            for norm, _ in _normalised(chain):
                yield from norm.buffers(recurse=False)
        for module, hook in self._hooks:
            yield from (getattr(module, f"{hook.name}_u"), getattr(module, f"{hook.name}_v"))
        for module in self._own:
            buffers, kind = dict(module.named_buffers(recurse=False)), type(module).__name__
            if not callable(getattr(module, "refresh", None)):
                raise InputError(f"{kind}.derived_buffers: it also needs a method refresh()", code="missing")
            for name in _named(module):
                if name not in buffers:
                    raise InputError(
                        f"{kind}.derived_buffers: {name!r} is no buffer of it; known: {', '.join(buffers) or 'none'}",
                        code="unknown",
                    )
                yield buffers[name]

    @torch.no_grad()
    def refresh(self) -> None:
        """Recompute every derived buffer from the parameters, in place.

        It runs in one thread, so that the bits do not depend on the number of threads used for training.
        """
        if not (self._chains or self._hooks or self._own):
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for chain in self._chains:
                for norm, matrix in _normalised(chain):
                    _set(norm._u, norm._v, matrix)
            for module, hook in self._hooks:
                matrix = hook.reshape_weight_to_matrix(getattr(module, f"{hook.name}_orig"))
                _set(getattr(module, f"{hook.name}_u"), getattr(module, f"{hook.name}_v"), matrix)
            for module in self._own:
                recompute: Callable[[], None] = module.refresh  # type: ignore[assignment]
                recompute()
        finally:
            torch.set_num_threads(threads)


def singular_vectors(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Returns unit vectors u (h,), v (w,), float32, with u^T `matrix` v the largest singular value of `matrix` (h, w).

    A Krylov method whose number of iterations does not depend on the values. It takes the span of x, Ax, ..., A^24 x,
    where x is a fixed random vector and A is the matrix times its transpose on the shorter side. It finds the largest
    singular value in that span exactly, then runs one more iteration of the power method (Golub and Van Loan, Matrix
    Computations, 4th ed., sections 8.2 and 10.1). A matrix of at most 24 rows or columns is decomposed whole. The
    result never exceeds the true value. It falls short by less than 1 % for Gaussian matrices and for matrices with
    nearly equal singular values, of up to 2,048 rows (measured). It uses matrix-vector products only, which the
    clock's FLOP counter does not count.

    Both vectors are NaN if the matrix has a value that is not finite, and zero if it is all zeros, as in torch.
    """
    height, width = matrix.shape
    if height > width:
        v, u = singular_vectors(matrix.t())
        return u, v
    largest = matrix.abs().max()
    if not bool(largest.isfinite()):
        return matrix.new_full((height,), torch.nan), matrix.new_full((width,), torch.nan)
    scaled = matrix / largest.clamp_min(torch.finfo(matrix.dtype).tiny)
    across = scaled.t()
    start = _start(height).to(scaled.device)
    if height > _KRYLOV:
        basis = _krylov_basis(scaled, start)
        found = torch.mv(basis, _largest(torch.stack([torch.mv(across, direction) for direction in basis.t()], 1)))
    else:
        found = _largest(across)
    found = torch.where(torch.dot(found, start) < 0, -found, found)  # choose the sign nearer to the start
    v = _unit(torch.mv(across, found))
    u = _unit(torch.mv(scaled, v))
    return u, _unit(torch.mv(across, u))


def _krylov_basis(matrix: Tensor, x: Tensor) -> Tensor:
    """Returns orthonormal columns that span x, Ax, ..., A^24 x, where A is `matrix` times its transpose."""
    across, powers = matrix.t(), [x]
    for _ in range(_KRYLOV):
        x = torch.mv(matrix, torch.mv(across, x))
        x = x / torch.linalg.vector_norm(x).clamp_min(1e-12)
        powers.append(x)
    basis: Tensor = torch.linalg.qr(torch.stack(powers, 1)).Q
    return basis


def _largest(tall: Tensor) -> Tensor:
    """Returns the right singular vector of the largest singular value, (m,), of a matrix (n, m) with n >= m."""
    vector: Tensor = torch.linalg.svd(torch.linalg.qr(tall, mode="r").R).Vh[0]
    return vector


def _set(u: Tensor, v: Tensor, matrix: Tensor) -> None:
    left, right = singular_vectors(matrix.cpu())  # a GPU is slow at a few small decompositions in sequence
    u.copy_(left)
    v.copy_(right)


def _unit(vector: Tensor) -> Tensor:
    return F.normalize(vector, dim=0, eps=1e-12)


@lru_cache
def _start(size: int) -> Tensor:
    """Returns a fixed random direction. It depends on no seed, so derived buffers depend on the network alone."""
    return _unit(torch.from_numpy(stream(0, Role.POWER_METHOD).standard_normal(size).astype(np.float32)))


def _named(module: nn.Module) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(module, "derived_buffers", ())
    return names


@torch.no_grad()
def _normalised(chain: ParametrizationList) -> Iterator[tuple[_SpectralNorm, Tensor]]:
    """Yields the spectral norms of one weight that keep vectors, each with the matrix that the norms before it made."""
    weights: list[Tensor] = (
        [chain.original] if chain.is_tensor else [getattr(chain, f"original{i}") for i in range(chain.ntensors)]
    )
    left = sum(isinstance(norm, _SpectralNorm) for norm in chain.children())
    for norm in chain.children():
        if not left:
            return
        if isinstance(norm, _SpectralNorm):
            left -= 1
            if weights[0].dim() > 1:  # it normalises a vector exactly and keeps no buffers
                yield norm, norm._reshape_weight_to_matrix(weights[0])
        if left:
            weights = [_without_a_step(norm, weights)]


def _without_a_step(norm: nn.Module, weights: Iterable[Tensor]) -> Tensor:
    """Returns a parametrisation's output in evaluation mode, in which a spectral one takes no power iteration."""
    training = norm.training
    norm.eval()
    try:
        made: Tensor = norm(*weights)
    finally:
        norm.train(training)
    return made
