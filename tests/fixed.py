"""A generator whose samples are known."""

import torch


class Fixed(torch.nn.Module):
    """Given images, again and again."""

    def __init__(self, images):
        super().__init__()
        self.images = images

    def forward(self, latents):
        return self.images[torch.arange(len(latents)) % len(self.images)]
