"""Batch normalisation's statistics, taken anew for the weights that a network has.

A mean of networks, and a moving average of one, has the mean of their statistics: those of the activations of other
weights. Devices that hold different classes differ in them. Recomputed ones are the mean over batches of each batch's
mean and variance, with the network's own weights (Izmailov et al., arXiv 1803.05407, section 3.2, do so for averaged
weights; Wu and Johnson, arXiv 2105.07576, section 3, call it PreciseBN). A generator needs nothing but latent points
for it, so the server can do it alone.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def recompute_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Take the statistics of every batch normalisation in `network` anew, over `batches` of its inputs.

    All else of the network is in evaluation mode meanwhile: nothing is dropped, no other buffer moves. Modes, momenta
    and counts of batches are as before afterwards. A network without batch normalisation stays as it is.
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
            network(batch)
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.copy_(count)  # in place: a CUDA graph adds to this memory
        for module, training in modes.items():
            module.training = training
