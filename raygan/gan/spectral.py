"""Spectral normalisation (Miyato et al., arXiv 1802.05957), as torch has it, of one weight or of many side by side."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.parametrize import register_parametrization


class Spectral(_SpectralNorm):
    """torch's normalisation, to the same bits. torch's own writes vectors as `out=`, which `torch.vmap` cannot do."""

    @torch.no_grad()
    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._u.copy_(F.normalize(torch.mv(weight_mat, self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(torch.mv(weight_mat.H, self._u), dim=0, eps=self.eps))


def spectral_norm(layer: nn.Module) -> nn.Module:
    """Returns the layer with its weight divided by its largest singular value, one power iteration a pass."""
    weight = layer.weight
    assert isinstance(weight, Tensor)
    transposed = isinstance(layer, nn.ConvTranspose2d)
    return register_parametrization(layer, "weight", Spectral(weight, dim=int(transposed)))
