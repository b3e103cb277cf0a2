"""Recomputed batch normalisation statistics for averaged weights.

A mean of networks, and a moving average of one, has the mean of their statistics, which describe the activations of
other weights. The statistics of devices with different classes differ. Recomputed statistics are the mean over batches
of each batch's mean and variance, with the network's own weights (Izmailov et al., arXiv 1803.05407, section 3.2, do so
for averaged weights; Wu and Johnson, arXiv 2105.07576, section 3, call it PreciseBN). A generator needs only latent
points for this, so the server can do it alone.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def recompute_statistics(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Recompute the statistics of every batch normalisation in `network` over `batches` of its inputs.

    Meanwhile the rest of the network is in evaluation mode: nothing is dropped and no other buffer changes. Modes,
    momenta and batch counts are restored afterwards. A network without batch normalisation is left unchanged.
    """
    norms = [
        module for module in network.modules() if isinstance(module, _BatchNorm) and module.running_mean is not None
    ]
    if not norms:
        return
    modes = {module: module.training for module in network.modules()}
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked.clone() for norm in norms if norm.num_batches_tracked is not None]
    network.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for the plain mean over batches
    try:
        for batch in batches:
            network(*batch)
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)  # in place: a CUDA graph adds to this memory
        for module, training in modes.items():
            module.training = training
