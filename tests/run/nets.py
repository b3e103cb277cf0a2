"""Networks that do not fit a class condition."""

import torch
from torch import nn


class NoLabels(nn.Module):
    """A generator that takes no labels."""

    def __init__(self, shape, gan):
        super().__init__()
        self.shape, self.layer = shape, nn.Linear(gan.latent, shape[1] * shape[2])

    def forward(self, z):
        return torch.tanh(self.layer(z)).view(-1, *self.shape)


class OnlyLogits(nn.Module):
    """A discriminator that names no classes."""

    def __init__(self, shape, gan):
        super().__init__()
        self.layer = nn.Linear(shape[1] * shape[2], 1)

    def forward(self, images):
        return self.layer(images.flatten(1)).flatten()


class FewScores(OnlyLogits):
    """One that names only three of the classes."""

    def forward(self, images):
        logits = super().forward(images)
        return logits, logits[:, None].expand(-1, 3)
