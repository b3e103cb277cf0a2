"""What the parts of gpu_check.py share: what they are given, where their results go, the GPU from outside."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
Found = dict[str, Any]
SAMPLED_MS = 100
"""How often the GPU is looked at."""


@dataclass(frozen=True)
class Case:
    """What a part is given."""

    tiny: bool
    """On a CPU, in sizes that take seconds."""
    seconds: float
    """How long it may take; it has to leave what it has by then."""
    out: Path
    """Where its pictures go."""
    cifar10: Path | None
    """A tree of images, or arrays."""

    @property
    def on(self) -> str:
        """Where networks are computed."""
        return "cpu" if self.tiny else "cuda"


class Results:
    """What a part has found, written down whenever something is added: it may be ended at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: Found = {}

    def __setitem__(self, name: str, value: object) -> None:
        self.found[name] = value
        self._path.write_text(json.dumps(self.found, indent=1), encoding="utf-8")
        print(f"{name}: {json.dumps(value)[:300]}", flush=True)


def environment() -> dict[str, str]:
    """Of what the parts start: raygan and the scripts are found, nothing is sent home."""
    import ray  # a part that starts nothing need not import it

    paths = [str(HERE), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    paths.append(str(Path(ray.__file__).parent / "thirdparty_files"))  # psutil, where Ray's is the only one
    kept = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    private = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
    return kept | private | {"PYTHONPATH": os.pathsep.join(paths)}


def machine() -> Found:
    """Card, driver and versions."""
    versions = {}
    for name in ("raygan", "ray", "torch", "torchvision", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # raygan, where it runs from its sources
            versions[name] = "from sources"
    found = {"python": platform.python_version(), "cores": os.cpu_count(), **versions}
    if torch.cuda.is_available():
        of = torch.cuda.get_device_properties(0)
        found |= {"gpu": of.name, "gpu_gb": round(of.total_memory / 1e9, 1), "driver": _smi("driver_version")}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return found


def used_mb() -> float | None:
    """Memory of the first GPU that everyone takes together, as nvidia-smi has it (MiB); None without one."""
    told = _smi("memory.used")
    return float(told) if told is not None else None


def _smi(what: str) -> str | None:
    if shutil.which("nvidia-smi") is None:
        return None
    done = subprocess.run(
        ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"], capture_output=True, text=True
    )
    return done.stdout.splitlines()[0].strip() if done.returncode == 0 and done.stdout else None


def utilisation(play: Callable[[int], object], s_per_round: float, seconds: float) -> float | None:
    """Play rounds for about so long; returns the GPU's mean utilisation meanwhile, None without a GPU.

    It is in %: the part of a sampling period in which any kernel ran. A period is up to a second long, so what is told
    in the first one is of before.
    """
    rounds = max(1, ceil(seconds / s_per_round))
    if shutil.which("nvidia-smi") is None:
        play(rounds)
        return None
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", str(SAMPLED_MS)]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        play(rounds)
    finally:
        watching.terminate()
        told, _ = watching.communicate()
    seen = [float(line) for line in told.splitlines() if line.strip().isdecimal()][1000 // SAMPLED_MS :]
    return round(fmean(seen), 1) if seen else None


def raygan(*words: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "raygan", *words]
