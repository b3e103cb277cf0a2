"""The tables of components: they map each name in a config to the code it stands for.

A new network, loss, data set, partition, method, aggregator, codec, channel, selection or metric is one file plus one
line here. Any of them can also be named by import path (``mypackage.nets:Generator``), which needs no line. Nothing
heavy is imported until `resolve` is called, so a config can be checked without torch.
"""

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeVar

from raygan.errors import InputError, place_of

Built = TypeVar("Built")

GENERATORS = {
    "dcgan": "raygan.gan.dcgan:DCGANGenerator",
    "mlp": "raygan.gan.mlp:MLPGenerator",
    "resnet": "raygan.gan.resnet:ResNetGenerator",
    "r3gan": "raygan.gan.r3gan:R3GANGenerator",
}
DISCRIMINATORS = {
    "dcgan": "raygan.gan.dcgan:DCGANDiscriminator",
    "mlp": "raygan.gan.mlp:MLPDiscriminator",
    "resnet": "raygan.gan.resnet:ResNetDiscriminator",
    "r3gan": "raygan.gan.r3gan:R3GANDiscriminator",
}
LOSSES = {
    "non_saturating": "raygan.gan.losses:non_saturating",
    "minimax": "raygan.gan.losses:minimax",
    "hinge": "raygan.gan.losses:hinge",
    "least_squares": "raygan.gan.losses:least_squares",
    "wgan_gp": "raygan.gan.losses:wgan_gp",
    "relativistic": "raygan.gan.losses:relativistic",
}
DATA_SETS = {
    "digits": "raygan.data.digits:load",
    "gaussians": "raygan.data.gaussians:load",
    "mnist": "raygan.data.idx:load_mnist",
    "fashion_mnist": "raygan.data.idx:load_fashion_mnist",
    "emnist": "raygan.data.idx:load_emnist",
    "cifar10": "raygan.data.vision:load_cifar10",
    "celeba": "raygan.data.vision:load_celeba",
    "folder": "raygan.data.folder:load",
    "npz": "raygan.data.npz:load",
    "parquet": "raygan.data.parquet:load",
}
PARTITIONS = {
    "iid": "raygan.data.partition:iid",
    "dirichlet": "raygan.data.partition:dirichlet",
    "dirichlet_equal": "raygan.data.partition:dirichlet_equal",
    "classes": "raygan.data.partition:classes",
    "quantity": "raygan.data.partition:quantity",
    "natural": "raygan.data.natural:natural",
}
AGGREGATORS = {
    "mean": "raygan.methods.aggregation:WeightedMean",
    "median": "raygan.methods.aggregation:CoordinateMedian",
    "trimmed_mean": "raygan.methods.aggregation:CoordinateTrimmedMean",
    "clipped_mean": "raygan.methods.aggregation:NormClippedMean",
}
CODECS = {
    "none": "raygan.compression.codec:Identity",
    "topk": "raygan.compression.sparse:LargestValues",
    "randk": "raygan.compression.sparse:RandomValues",
    "sign": "raygan.compression.quantized:ScaledSign",
    "qsgd": "raygan.compression.quantized:RandomLevels",
}
METHODS = {
    "averaged": "raygan.methods.averaged:Averaged",
    "fedgan": "raygan.methods.fedgan:FedGAN",
    "fegan": "raygan.methods.fegan:FeGAN",
    "mdgan": "raygan.methods.feedback:MDGAN",
    "centralized": "raygan.methods.centralized:Centralized",
}
CHANNELS = {
    "none": "raygan.channel.links:NoLinks",
    "constant": "raygan.channel.links:ConstantLinks",
    "wireless": "raygan.channel.wireless:WirelessLinks",
}
SELECTIONS = {
    "all": "raygan.channel.selection:Everyone",
    "uniform": "raygan.channel.selection:Uniform",
    "poisson": "raygan.channel.selection:Poisson",
    "round_robin": "raygan.channel.selection:RoundRobin",
    "best_channel": "raygan.channel.selection:BestChannel",
    "proportional_fair": "raygan.channel.selection:Fair",
    "balanced": "raygan.channel.selection:Balanced",
}
METRICS = {
    "frechet": "raygan.metrics.frechet:Frechet",
    "classes": "raygan.metrics.classes:ClassShares",
    "kernel": "raygan.metrics.kernel:Kernel",
    "manifold": "raygan.metrics.manifold:Manifold",
    "score": "raygan.metrics.score:Score",
    "sliced": "raygan.metrics.sliced:Sliced",
}


class UnknownNameError(ValueError):
    """No component is called so."""


def nearest(word: str, known: Mapping[str, object] | list[str]) -> str:
    """Returns the hint `; did you mean ...?`, or the list of known names if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"


def check_name(table: Mapping[str, str], name: str) -> str:
    """Returns `name` if the table has it or it is an import path; else raises UnknownNameError, with the nearest."""
    if name in table or ":" in name:
        return name
    raise UnknownNameError(
        f"{name!r} is not known; {nearest(name, table)} (or an import path like mypackage.module:Name)"
    )


def resolve(table: Mapping[str, str], name: str, key: str) -> Any:
    """Import the object that `name` stands for.

    Raises:
        InputError: a custom component's import path does not resolve; names `key`.
    """
    if name in table:
        return resolve_name(table[name])
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # the installed command, unlike `python -m`, does not see modules in the working folder
    try:
        return resolve_name(name)
    except InputError:
        raise
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{key}: cannot import {name!r}: {error}", code="import") from error
    except Exception as error:  # whatever a custom module raises while it is imported
        raise InputError(
            f"{key}: cannot import {name!r}: {type(error).__name__}: {error} ({place_of(error)})", code="import"
        ) from error


def derived(table: Mapping[str, str], name: str, key: str, base: type[Built]) -> type[Built]:
    """Returns the class that `name` stands for.

    Raises:
        InputError: it is not a class derived from `base`; names `key`.
    """
    component = resolve(table, name, key)
    if not (isinstance(component, type) and issubclass(component, base)):
        wanted = f"{base.__module__}.{base.__qualname__}"
        raise InputError(
            f"{key}: {name} is a {type(component).__name__}, but a class derived from {wanted} is needed", code="kind"
        )
    return component


def build(table: Mapping[str, str], name: str, key: str, base: type[Built], *arguments: object) -> Built:
    """Returns an object of the class that `name` stands for, called with `arguments`.

    Raises:
        InputError: it is not a class derived from `base`, or cannot be built; names `key`.
    """
    component = derived(table, name, key, base)
    try:
        return component(*arguments)
    except InputError:
        raise
    except Exception as error:  # whatever a custom class raises
        raise InputError(
            f"{key}: {name} cannot be built: {type(error).__name__}: {error} ({place_of(error)})", code="failed"
        ) from error
