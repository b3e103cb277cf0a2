"""The paper's question at the size of its field: which schedule or method is there soonest? For gpu_check.py.

CIFAR-10 at 32 pixels, DCGAN of the width of PyTorch's tutorial, ten devices; all runs beside each other on the GPU, as
many rounds as the time gives, then stopped as by Ctrl-C.
"""

import signal
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib as mpl
import numpy as np
import ray
from gpu_parts import Case, Found, Results, environment, raygan
from PIL import Image

from raygan.record.folder import RunFolder

RUNS = {
    "serial": ["method=averaged", "schedule=serial"],
    "parallel": ["method=averaged", "schedule=parallel"],
    "fedgan": ["method=fedgan"],
    "mdgan": ["method=mdgan"],
}
COMMON = ["channel.name=wireless", "eval.nearest=0", "eval.metrics=frechet", "checkpoint.every=1000000"]
FULL = ["devices=10", "batch_size=64", "generator_batch_size=128", "device_steps=1", "rounds=1000000", "eval.every=500"]
FULL += ["gan.latent=100", "gan.generator_width=64", "gan.discriminator_width=64", "gan.loss=hinge", "gan.ema=0.999"]
FULL += ["device_optimizer.lr=4e-4", "generator_optimizer.lr=4e-4", "eval.samples=5000", "gan.precision=tf32"]
FULL += ["engine.devices_per_actor=5", "engine.gpus_per_device=0.09", "engine.server_gpus=0.05"]
TINY = ["devices=2", "engine.executor=inline", "rounds=1000000", "eval.every=5", "eval.samples=50", "data.limit=300"]
TINY += ["gan.generator_width=4", "gan.discriminator_width=4"]
TINY_S, GRACE_S = 15.0, 40.0
"""How long tiny runs are played at least, until each has a picture, and how long a run may take to end."""


def question(case: Case, results: Results) -> None:
    """Start all runs, wait, stop them, and look at what they have."""
    names = list(RUNS)[:2] if case.tiny else list(RUNS)
    data = ["data.name=digits"] if case.cifar10 is None else _data(case.cifar10)
    if not case.tiny and case.cifar10 is None:
        results["left out"] = "no images: name them with --cifar10"
        return
    last = time.monotonic() + case.seconds - GRACE_S
    until = min(last, time.monotonic() + TINY_S) if case.tiny else last
    words = [*COMMON, *(TINY if case.tiny else FULL), *data]
    with TemporaryDirectory(prefix="raygan-gpu-") as root:
        if not case.tiny:
            started = ray.init(num_gpus=1, include_dashboard=False, log_to_driver=False)
            words.append(f"engine.address={started.address_info['gcs_address']}")
        playing = {}
        for name in names:
            with Path(root, f"{name}.log").open("wb") as log:
                command = raygan("train", *words, *RUNS[name], "--out", f"{root}/{name}")
                playing[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment())
        while any(run.poll() is None for run in playing.values()) and time.monotonic() < last:
            if time.monotonic() > until and all(RunFolder(Path(root, name)).newest_picture for name in names):
                break
            time.sleep(0.5)
        for run in playing.values():
            run.send_signal(signal.SIGINT)
        results["words"] = words
        for name, run in playing.items():
            try:
                status = run.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                run.kill()
                status = run.wait()
            said = Path(root, f"{name}.log").read_text(encoding="utf-8", errors="replace")
            results[name] = _seen(RunFolder(Path(root, name))) | {"status": status, "said": said[-600:]}
        _grids({name: RunFolder(Path(root, name)) for name in names}, case.out / "grids.png")
        _curves({name: results.found[name]["curve"] for name in names}, case.out / "fd_clf.png")
        if not case.tiny:
            ray.shutdown()


def _data(path: Path) -> list[str]:
    kind = "npz" if path.suffix == ".npz" else "folder"
    return [f"data.name={kind}", f"data.root={path}", "data.size=32"]


def _seen(folder: RunFolder) -> Found:
    """What a run has measured: (round, simulated seconds, FD-clf), and its pace."""
    rows = folder.log.rows()
    curve = [(row["round"], row.get("sim_s", 0.0), row["fd_clf"]) for row in rows if "fd_clf" in row]
    played = [row for row in rows if row["round"] > 0]
    pace = played[-1]["wall_s"] - played[len(played) // 2]["wall_s"] if len(played) > 2 else None
    rate = (len(played) - 1 - len(played) // 2) / pace if pace else None
    return {"rounds": len(played), "rounds_per_s": rate, "curve": curve}


def _grids(folders: dict[str, RunFolder], path: Path) -> None:
    """The newest samples of every run, side by side."""
    pictures = [
        Image.open(folder.newest_picture).convert("RGB") for folder in folders.values() if folder.newest_picture
    ]
    if not pictures:
        return
    height = max(picture.height for picture in pictures)
    together = Image.new("RGB", (sum(picture.width + 8 for picture in pictures) - 8, height), "white")
    left = 0
    for picture in pictures:
        together.paste(picture, (left, 0))
        left += picture.width + 8
    together.save(path)


def _curves(curves: dict[str, list[tuple[int, float, float]]], path: Path) -> None:
    """FD-clf against simulated seconds."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, curve in curves.items():
        if curve:
            _, seconds, distances = np.array(curve).T
            axes.plot(seconds, distances, marker="o", markersize=3, label=name)
    axes.set(xlabel="simulated seconds", ylabel="FD-clf", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def summary(found: Found) -> list[str]:
    """A line for each run."""
    lines = [f"* left out: {found['left out']}"] if "left out" in found else []
    for name in RUNS:
        if name in found and found[name]["curve"]:
            round, seconds, distance = found[name]["curve"][-1]
            rate = found[name]["rounds_per_s"]
            lines.append(
                f"* {name}: {found[name]['rounds']} rounds ({f'{rate:.1f}' if rate else '-'} a second), FD-clf "
                f"{distance:.2f} after {round} rounds and {seconds:.0f} simulated seconds"
            )
        elif name in found:
            lines.append(f"* {name}: nothing measured; it said: {found[name]['said'].strip()[-300:]}")
    return lines


def passed(found: Found) -> bool:
    """Whether every run that was started has measured something."""
    runs = [found[name] for name in RUNS if name in found]
    return bool(runs) and all(run["curve"] for run in runs)
