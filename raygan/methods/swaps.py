"""MD-GAN's swaps of discriminators between devices (arXiv 1811.03850)."""

import math

from raygan.config.tree import Config
from raygan.methods.base import Exchange, State
from raygan.rng import Role, stream


def together(config: Config) -> int:
    """Returns the number of devices that take part in a round."""
    count: int | None = getattr(config.selection, "count", None)
    return count or config.devices


def swap_partners(config: Config, samples: int, round: int, devices: list[int]) -> dict[int, int]:
    """Returns random pairs {receiver: giver} of `devices` after a round with a swap; with an odd number one stays.

    Swaps happen every m E / b rounds in which a device takes part (the paper's period, rounded), where m is the mean
    shard size and E is `mdgan.swap_epochs`. If only some devices take part in a round, the period is longer in
    proportion.
    """
    if config.mdgan.swap_epochs is None:
        return {}
    period = config.mdgan.swap_epochs * samples / together(config) / config.batch_size
    if round % max(1, math.floor(period + 0.5)):
        return {}
    shuffled = stream(config.seed, Role.SWAP, round=round).permutation(devices).tolist()
    pairs = zip(shuffled[::2], shuffled[1::2], strict=False)
    return {receiver: giver for a, b in pairs for receiver, giver in ((a, b), (b, a))}


def after_swap(config: Config, own: State, given: State) -> State:
    """Returns the partner's discriminator, with moments according to `mdgan.swap_moments`."""
    source = {"travel": given, "stay": own, "reset": {}}[config.mdgan.swap_moments]
    parts = {"discriminator": given, "optimizer": source}
    return {name: state[name] for name, state in parts.items() if name in state}  # without one, it is the initial one


def swaps_at_all(config: Config) -> bool:
    """Returns whether there are swaps."""
    return config.mdgan.swap_epochs is not None


SWAPS = Exchange(partners=swap_partners, merge=after_swap, happens=swaps_at_all)
