"""The hand-written GAN of benchmarks/engines.py: networks, local steps and generator step in the obvious torch.

What is drawn comes from raygan's keyed streams, so that every engine trains on the same samples and noise.
"""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from work import State, Work, WorkFolder

from raygan.rng import Role, noise, stream

CPU = torch.device("cpu")


class PlainGan:
    """Both networks with the initial weights, and each one's Adam."""

    def __init__(self, folder: WorkFolder) -> None:
        work = folder.work()
        self.device = torch.device(work.on)
        self.precision = work.precision
        self.generator = generator(work).to(self.device)
        self.discriminator = discriminator(work).to(self.device)
        load(self.generator, folder.initial("generator"))
        load(self.discriminator, folder.initial("discriminator"))
        self.generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=work.learning_rate, betas=work.betas
        )
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=work.learning_rate, betas=work.betas
        )

    def samples(self, z: Tensor) -> Tensor:
        """Images for latent points (N, latent)."""
        with self._precisely():
            made: Tensor = self.generator(z[:, :, None, None])
        return made.float()

    def logits(self, images: Tensor) -> Tensor:
        """How real images look, (N, 1, 1, 1)."""
        with self._precisely():
            judged: Tensor = self.discriminator(images)
        return judged.float()

    def _precisely(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")


def generator(work: Work) -> nn.Sequential:
    """(N, latent, 1, 1) to images."""
    widths = [work.width * 2**i for i in reversed(range(_doublings(work)))]
    biased, norms = not work.normalised, [nn.BatchNorm2d(width) for width in widths if work.normalised]
    layers: list[nn.Module] = [nn.ConvTranspose2d(work.latent, widths[0], 4, bias=biased), *norms[:1], nn.ReLU()]
    for number, (before, after) in enumerate(pairwise(widths), 1):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=biased), *norms[number : number + 1], nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], work.channels, 4, 2, 1, bias=False), nn.Tanh())


def discriminator(work: Work) -> nn.Sequential:
    """Images to (N, 1, 1, 1) logits."""
    widths = [work.width * 2**i for i in range(_doublings(work))]
    norm = spectral_norm if work.normalised else lambda layer: layer
    layers = [norm(nn.Conv2d(work.channels, widths[0], 4, 2, 1, bias=work.normalised)), nn.LeakyReLU(0.2)]
    for before, after in pairwise(widths):
        layers += [norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, norm(nn.Conv2d(widths[-1], 1, 4, bias=False)))


def _doublings(work: Work) -> int:
    """From a side of 4 to an image's."""
    return (work.side // 4).bit_length() - 1


def load(network: nn.Module, state: State) -> None:
    """Put values into a network."""
    counts = {name: value for name, value in network.state_dict().items() if not value.is_floating_point()}
    network.load_state_dict(counts | {name: torch.from_numpy(values) for name, values in state.items()})


def dump(network: nn.Module) -> State:
    """A copy of a network's values."""
    return {name: tensor.cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def compute_alone(work: Work) -> None:
    """As every process of raygan computes: one thread, subnormal numbers taken as zero, on a GPU the same each time."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = work.precision == "tf32"


def local_steps(gan: PlainGan, work: Work, images: np.ndarray | Tensor, device: int, round: int) -> None:
    """A device's discriminator steps on images here or on the GPU, with an Adam that remembers nothing."""
    gan.discriminator_optimizer.state.clear()
    batches = stream(work.seed, Role.DEVICE_BATCH, device, round)
    latents = stream(work.seed, Role.DEVICE_NOISE, device, round)
    for _ in range(work.steps):
        real = draw_real(images, work.batch, batches).to(gan.device)
        discriminator_step(gan, real, noise(latents, work.batch, work.latent, gan.device))


def draw_real(images: np.ndarray | Tensor, batch: int, random: np.random.Generator) -> Tensor:
    """Some of a device's images, as numbers from -1 to 1, where they lie."""
    chosen = random.choice(len(images), batch, replace=False, shuffle=False)
    if isinstance(images, Tensor):
        real = images[torch.from_numpy(chosen).to(images.device)]
    else:
        real = torch.from_numpy(images[chosen])
    return real.float().div_(127.5).sub_(1)


def discriminator_step(gan: PlainGan, real: Tensor, z: Tensor) -> None:
    """The hand-written step: the generator forward, the discriminator on real and fake, backward, Adam."""
    with torch.no_grad():
        fake = gan.samples(z)
    gan.discriminator_optimizer.zero_grad()
    loss = F.softplus(-gan.logits(real)).mean() + F.softplus(gan.logits(fake)).mean()
    loss.backward()
    gan.discriminator_optimizer.step()


def generator_step(gan: PlainGan, work: Work, round: int) -> None:
    """The server's step on the discriminator as it is."""
    z = noise(stream(work.seed, Role.SERVER_NOISE, round=round), work.server_batch, work.latent, gan.device)
    gan.generator_optimizer.zero_grad()
    loss = F.softplus(-gan.logits(gan.samples(z))).mean()
    loss.backward(inputs=list(gan.generator.parameters()))
    gan.generator_optimizer.step()
