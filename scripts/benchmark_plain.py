"""The hand-written GAN of scripts/benchmark.py: networks, local steps and generator step in the obvious torch.

What is drawn comes from raygan's keyed streams, so that every engine trains on the same samples and noise.
"""

import numpy as np
import torch
import torch.nn.functional as F
from benchmark_work import State, Work, WorkFolder
from torch import Tensor, nn

from raygan.rng import Role, noise, stream

CPU = torch.device("cpu")


class PlainGan:
    """Both networks with the initial weights, and each one's Adam."""

    def __init__(self, folder: WorkFolder) -> None:
        work = folder.work()
        self.generator = generator(work.width, work.latent)
        self.discriminator = discriminator(work.width)
        load(self.generator, folder.initial("generator"))
        load(self.discriminator, folder.initial("discriminator"))
        self.generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=work.learning_rate, betas=work.betas
        )
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=work.learning_rate, betas=work.betas
        )


def generator(width: int, latent: int) -> nn.Sequential:
    """(N, latent, 1, 1) to images."""
    return nn.Sequential(
        nn.ConvTranspose2d(latent, 4 * width, 4),
        nn.ReLU(),
        nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(width, 1, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


def discriminator(width: int) -> nn.Sequential:
    """Images to (N, 1, 1, 1) logits."""
    return nn.Sequential(
        nn.Conv2d(1, width, 4, 2, 1, bias=False),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(2 * width, 4 * width, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4 * width, 1, 4, bias=False),
    )


def load(network: nn.Module, state: State) -> None:
    """Put values into a network."""
    network.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})


def dump(network: nn.Module) -> State:
    """A copy of a network's values."""
    return {name: tensor.numpy().copy() for name, tensor in network.state_dict().items()}


def compute_alone() -> None:
    """One thread, and subnormal numbers taken as zero: as every process of raygan computes."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def local_steps(gan: PlainGan, work: Work, images: np.ndarray, device: int, round: int) -> None:
    """A device's discriminator steps, with an Adam that remembers nothing."""
    gan.discriminator_optimizer.state.clear()
    batches = stream(work.seed, Role.DEVICE_BATCH, device, round)
    latents = stream(work.seed, Role.DEVICE_NOISE, device, round)
    for _ in range(work.steps):
        real = draw_real(images, work.batch, batches)
        discriminator_step(gan, real, noise(latents, work.batch, work.latent, CPU))


def draw_real(images: np.ndarray, batch: int, random: np.random.Generator) -> Tensor:
    """Some of a device's images, as numbers from -1 to 1."""
    chosen = random.choice(len(images), batch, replace=False, shuffle=False)
    return torch.from_numpy(images[chosen]).float().div_(127.5).sub_(1)


def discriminator_step(gan: PlainGan, real: Tensor, z: Tensor) -> float:
    """The hand-written step: the generator forward, the discriminator on real and fake, backward, Adam."""
    with torch.no_grad():
        fake = gan.generator(z[:, :, None, None])
    gan.discriminator_optimizer.zero_grad()
    loss = F.softplus(-gan.discriminator(real)).mean() + F.softplus(gan.discriminator(fake)).mean()
    loss.backward()
    gan.discriminator_optimizer.step()
    return loss.item()


def generator_step(gan: PlainGan, work: Work, round: int) -> float:
    """The server's step on the discriminator as it is."""
    z = noise(stream(work.seed, Role.SERVER_NOISE, round=round), work.server_batch, work.latent, CPU)
    gan.generator_optimizer.zero_grad()
    loss = F.softplus(-gan.discriminator(gan.generator(z[:, :, None, None]))).mean()
    loss.backward(inputs=list(gan.generator.parameters()))
    gan.generator_optimizer.step()
    return loss.item()
