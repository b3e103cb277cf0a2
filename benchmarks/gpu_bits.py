"""The same generator, byte for byte, wherever on a GPU it is made; for benchmarks/gpu_check.py."""

import hashlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
import torch
from gpu_parts import Case, Found, Results
from torch import nn

from raygan import train
from raygan.config import load_config
from raygan.record.folder import RunFolder
from raygan.round.compute import torch_device
from raygan.round.lanes import told_of_stacking

ROUNDS = 4
SHARE = 0.2
PACKED, ALL_PACKED = "engine.devices_per_actor=2", "engine.devices_per_actor=4"
METHODS = {
    "averaged serial": ["schedule=serial"],
    "averaged serial, stacked": ["schedule=serial", "engine.stacked=2"],
    "averaged parallel": ["schedule=parallel"],
    "fedgan": ["method=fedgan"],
    "mdgan": ["method=mdgan"],
    "mdgan, odds": ["method=mdgan", "mdgan.feedback=odds", "mdgan.swap_epochs=null"],
    "fegan": ["method=fegan"],
    "centralized": ["method=centralized"],
    "averaged serial, wgan_gp": ["gan.loss=wgan_gp"],
    "averaged serial, wgan_gp, stacked": ["gan.loss=wgan_gp", "engine.stacked=2"],
    "mdgan, stacked": ["method=mdgan", "engine.stacked=2"],
    "fedgan, stacked": ["method=fedgan", "engine.stacked=2"],
}
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Conv2d": (lambda: nn.Conv2d(3, 8, 4, 2, 1), (4, 3, 16, 16)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 8, 4, 2, 1), (4, 3, 16, 16)),
    "Linear": (lambda: nn.Linear(16, 8), (4, 16)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), (4, 3, 16, 16)),
    "GroupNorm": (lambda: nn.GroupNorm(3, 3), (4, 3, 16, 16)),
    "Fold": (lambda: nn.Fold(16, 4, stride=2, padding=1), (4, 48, 64)),
    "AvgPool2d": (lambda: nn.AvgPool2d(2), (4, 3, 16, 16)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(4), (4, 3, 16, 16)),
    "MaxPool2d": (lambda: nn.MaxPool2d(2), (4, 3, 16, 16)),
    "Upsample nearest": (lambda: nn.Upsample(scale_factor=2), (4, 3, 16, 16)),
    "Upsample bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (4, 3, 16, 16)),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(1), (4, 3, 16, 16)),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (4, 12, 16, 16)),
}


class Kill:
    """A watcher that kills a device's process after a round."""

    def __init__(self, folder: Path, round: int) -> None:
        self._folder, self._round = RunFolder(folder), round

    def on_round(self, row: dict[str, Any]) -> None:
        """Kill once."""
        if row["round"] == self._round:
            devices = [one for one in self._folder.processes() if str(one["role"]).startswith("device")]
            os.kill(int(str(devices[-1]["pid"])), signal.SIGKILL)

    def _ignore(self, *_: object) -> None:
        pass

    on_phase = on_event = on_evaluation = on_checkpoint = _ignore


def bits(case: Case, results: Results) -> None:
    """Every method in every place."""
    ray.init(num_gpus=1, num_cpus=6, include_dashboard=False, log_to_driver=False)
    width = 4 if case.tiny else 16
    base = [f"rounds={ROUNDS}", "device_steps=3", "generator_steps=2", "data.name=digits"]
    base += [f"gan.generator_width={width}", f"gan.discriminator_width={width}", "batch_size=16", "data.limit=400"]
    base += [f"eval.every={ROUNDS}", "eval.samples=50", "eval.nearest=0", "eval.metrics=sliced", "checkpoint.every=1"]
    results["layers without a deterministic kernel"] = {} if case.tiny else _without_kernel()
    results["not stacked"] = {
        name: told
        for name, words in METHODS.items()
        if (told := told_of_stacking(load_config(None, [*base, *words, "devices=4", PACKED]), (1, 16, 16))) is not None
    }
    digests: dict[str, dict[str, str]] = {}
    with TemporaryDirectory(prefix="raygan-gpu-") as root:
        for name, words in METHODS.items():
            digests[name] = {}
            for place, where in places(name, case.tiny).items():
                digests[name][place] = _trained(Path(root) / f"{name}-{place}", [*base, *words, *where])
                results["digests"] = digests
        for name in ("averaged serial",) if case.tiny else ("averaged serial", "mdgan"):
            words = [*base, *METHODS[name], *places("averaged serial", case.tiny)["actors"]]
            killed = Path(root) / f"{name}-killed"
            digests[name]["actors, one killed"] = _trained(killed, words, [Kill(killed, 2)])
            stopped = Path(root) / f"{name}-stopped"
            _trained(stopped, [*words, "rounds=2"])
            digests[name]["actors, stopped and resumed"] = _trained(stopped, words, resume=True)
            results["digests"] = digests
    ray.shutdown()


def places(name: str, tiny: bool) -> dict[str, list[str]]:
    """Where a method is played, and the words of a config for it: stacked devices share an actor."""
    stacked = name.endswith("stacked")
    shares = [f"engine.gpus_per_device={SHARE}", f"engine.server_gpus={SHARE}"]
    here = ["engine.executor=inline", *([] if tiny else shares)]
    on_ray = ["engine.executor=ray", *shares]
    found = {"inline": [*here, ALL_PACKED] if stacked else here}
    found["inline without graphs"] = [*found["inline"], "engine.cuda_graphs=false"]
    if stacked:
        found["inline, in twos"] = [*here, PACKED]
    if name in ("averaged serial", "averaged serial, stacked") or not (tiny or stacked):  # ten seconds each
        found["packed"] = [*on_ray, PACKED]
        if not stacked:
            found["actors"] = on_ray
    devices = "devices=2" if tiny and not stacked else "devices=4"
    return {place: [devices, *where] for place, where in found.items()}


def _trained(out: Path, words: list[str], watchers: list[Any] | None = None, resume: bool = False) -> str:
    """The hash of the generator that a run makes."""
    result = train(load_config(None, words), out, watchers=watchers or [], resume=resume)
    return hashlib.sha256((result.out / "generator.safetensors").read_bytes()).hexdigest()[:16]


def _without_kernel() -> dict[str, str]:
    """Common layers that raise an error in a run on a GPU, with its first words."""
    device, refused = torch_device(1.0), {}
    for name, (make, shape) in LAYERS.items():
        try:
            layer = make().to(device)
            layer(torch.rand(shape, device=device, requires_grad=True)).sum().backward()
        except RuntimeError as error:
            refused[name] = str(error).partition(". ")[0][:200]
    return refused


def summary(found: Found) -> list[str]:
    """In words."""
    lines = []
    for name, digests in found.get("digests", {}).items():
        groups: dict[str, list[str]] = {}
        for place, digest in digests.items():
            groups.setdefault(digest, []).append(place)
        told = "the same bytes" if len(groups) == 1 else "NOT THE SAME"
        lines.append(f"* {name}: {told}: {'; '.join(', '.join(places) for places in groups.values())}")
    lines += [f"* {name}: NOT STACKED: {why}" for name, why in found.get("not stacked", {}).items()]
    if refused := found.get("layers without a deterministic kernel"):
        lines += [f"* {name} has no deterministic kernel, and is refused: {why}" for name, why in refused.items()]
    return lines


def passed(found: Found) -> bool:
    """Whether all bytes are the same, and all was stacked that should be."""
    digests = found.get("digests", {})
    same = all(len(set(one.values())) == 1 for one in digests.values())
    return same and len(digests) == len(METHODS) and not found.get("not stacked")
