"""The versions that a process computes with, which every process of a run must share."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version

import torch

from raygan.errors import InputError

_COMPUTES = ("raygan", "torch")


def computes_with() -> dict[str, str]:
    """Versions that a process's numbers depend on, and what ATen says of the processor's instructions, as a hint.

    What a process really computes, `raygan.round.likeness` tells.
    """
    versions = {name: version(name).partition("+")[0] for name in _COMPUTES}  # not for what it was built
    return {**versions, "instructions": torch.backends.cpu.get_cpu_capability()}


def check_versions(processes: Iterable[Mapping[str, object]]) -> None:
    """Raise InputError if a process, by its facts, computes with other versions than this one."""
    here = computes_with()
    for process in processes:
        for name in _COMPUTES:
            if process[name] != here[name]:
                raise InputError(
                    f"{process['role']} on {process['address']}: has {name} {process[name]}, but the driver has "
                    f"{here[name]}; install the same on every node",
                    code="mismatch",
                )
