"""How fast devices are played on a GPU, beside a loop written by hand; for benchmarks/gpu_check.py.

As in benchmarks/engines.py every engine is measured beside the same hand-written one (here `loop`: all devices in one
process), in blocks of rounds that take turns. The GPU's utilisation is of each of them alone.
"""

import os
import sys
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from gpu_parts import HERE, Case, Found, Results, environment, utilisation

os.environ |= environment()  # what engines are started with; and psutil, where Ray's is the only one
sys.path += [path for path in os.environ["PYTHONPATH"].split(os.pathsep) if path not in sys.path]

from engine import Engine, EngineLostError
from engine_loop import Loop
from engine_raygan import Raygan
from layout import lay_out
from measure import Measured, Plan, measure
from work import Work, WorkFolder

LOOP = [sys.executable, str(HERE / "engine_loop.py")]
SMALL = Work(devices=10, steps=5, width=16, batch=32, channels=3, on="cuda", share=0.09)
LARGE = replace(SMALL, side=64, width=64, batch=64, server_batch=64)
TINY = replace(SMALL, devices=2, steps=2, width=4, batch=8, server_batch=8, samples=20, latent=8, on="cpu", share=0.0)
EVERYONE = ("naive", "actors", "packed", "packed:5", "packed:2:eager")
RAYGAN = ("actors", "packed", "packed:5")
WATCHED_S = 3.0
"""How long the GPU's utilisation is looked at, of each engine."""
MANY = replace(SMALL, devices=128, steps=1)
STACKED = ("packed:1:stacked128", "packed:1", "packed:1:stacked32", "packed:1:stacked8")
CASES: list[tuple[str, Work, tuple[str, ...]]] = [
    ("32 pixels, width 16, batch 32, float32, stacked", MANY, STACKED),
    ("32 pixels, width 16, batch 32, float32", SMALL, EVERYONE),
    ("64 pixels, width 64, batch 64, float32", LARGE, EVERYONE),
    ("32 pixels, width 16, batch 32, tf32", replace(SMALL, precision="tf32"), RAYGAN),
    ("64 pixels, width 64, batch 64, tf32", replace(LARGE, precision="tf32"), RAYGAN),
    ("64 pixels, width 64, batch 64, bfloat16", replace(LARGE, precision="bfloat16"), RAYGAN),
    ("32 pixels, width 16, batch 32, bfloat16", replace(SMALL, precision="bfloat16"), RAYGAN),
]
"""What is new first, then in order of worth; time is over somewhere."""
TINY_CASES = [
    ("32 pixels, width 4, batch 8, float32, stacked", replace(TINY, devices=4), ("packed:1:stacked4", "packed:1")),
    ("32 pixels, width 4, batch 8, float32", TINY, ("naive", "packed")),
]


def plan_of(work: Work, tiny: bool) -> Plan:
    """How much is played: blocks of a second or two of the loop's."""
    if tiny:
        return Plan(pairs=1, block=2)
    if work.devices > 100:
        return Plan(pairs=4, block=3)  # it comes first, and leaves time to others
    return Plan(pairs=4, block=20 if work.side == 32 else 5)


def speed(case: Case, results: Results) -> None:
    """All engines, as far as time goes; where time goes outside kernels first, as it takes little."""
    for name, work, engines in TINY_CASES if case.tiny else CASES:
        plan = plan_of(work, case.tiny)
        with TemporaryDirectory(prefix="raygan-gpu-") as root:
            folder = WorkFolder(Path(root))
            lay_out(work, folder)
            found: Found = {"work": asdict(work), "engines": {}}
            if work.precision == "float32" and work.steps > 1:
                found["kernels"] = {"loop": _kernels(Loop(folder), plan), "inline": _of_raygan(folder, plan)}
            results[name] = found
            commands = {engine: _command(engine) for engine in engines}
            watch = partial(utilisation, seconds=0.1 if case.tiny else WATCHED_S)
            try:
                for engine, seen in measure(work, folder, LOOP, commands, plan, watch):
                    found["engines"][engine] = _told(seen, work)
                    results[name] = found
            except EngineLostError as error:  # the others' numbers stay
                found["lost"] = str(error)[-2000:]
                results[name] = found


def _command(engine: str) -> list[str]:
    if engine == "naive":
        return [sys.executable, str(HERE / "engine_naive.py")]
    return [sys.executable, str(HERE / "engine_raygan.py"), engine]


def _told(seen: Measured, work: Work) -> Found:
    updates = seen.device_updates_per_s
    return {
        "device_updates_per_s": round(updates, 1),
        "real_images_per_s": round(updates * work.steps * work.batch),
        "times_the_loop": round(1 / seen.overhead_over_floor, 2),
        "s_per_round": seen.s_per_round,
        "range": seen.s_per_round_range,
        "difference_from_the_loop": seen.difference,
        "spent_s": seen.spent_s,
        "startup_s": round(seen.startup_s, 1),
        "private_mb": round(seen.peak_private_mb),
        "utilisation": seen.watched,
    }


def _of_raygan(folder: WorkFolder, plan: Plan) -> Found:
    with closing(Raygan(folder, "inline")) as engine:
        return _kernels(engine, plan)


def _kernels(engine: Engine, plan: Plan) -> Found:
    """Of a block, after one to get warm: seconds in all, seconds in which kernels ran, and how many did."""
    engine.play(plan.block)
    on_gpu = torch.cuda.is_available()
    with ExitStack() as stack:
        activities = [torch.profiler.ProfilerActivity.CUDA if on_gpu else torch.profiler.ProfilerActivity.CPU]
        profiler = stack.enter_context(torch.profiler.profile(activities=activities))
        start = perf_counter()
        engine.play(plan.block)
        whole = perf_counter() - start
    events = [event for event in profiler.events() if on_gpu == (str(event.device_type) == "DeviceType.CUDA")]
    if not on_gpu:
        return {"s": whole, "operations": len(events)}
    busy = sum(event.device_time for event in events) / 1e6
    return {"s": whole, "in_kernels_s": busy, "kernels": len(events), "outside_kernels": round(1 - busy / whole, 3)}


def summary(found: Found) -> list[str]:
    """A table for each case."""
    lines: list[str] = []
    for name, case in found.items():
        lines += [f"### {name}, {case['work']['devices']} devices, {case['work']['steps']} local steps", ""]
        if engines := case["engines"]:
            head = "device updates/s | real images/s | times the loop | difference | start-up, s | GPU utilisation, %"
            lines += [f"| engine | {head} |", f"| --- |{' ---: |' * 6}"]
            lines += [_row("loop" if engine == "floor" else engine, seen) for engine, seen in engines.items()]
        lines += [f"* {who}: {_outside(seen)}" for who, seen in case.get("kernels", {}).items()]
        lines += [f"* lost: {case['lost']}"] if "lost" in case else []
        lines.append("")
    return lines


def _row(engine: str, seen: Found) -> str:
    names = ("device_updates_per_s", "real_images_per_s", "times_the_loop", "difference_from_the_loop", "startup_s")
    used = "-" if seen["utilisation"] is None else f"{seen['utilisation']:.0f}"
    return f"| {engine} | {' | '.join(f'{seen[name]:.3g}' for name in names)} | {used} |"


def _outside(seen: Found) -> str:
    if "outside_kernels" not in seen:
        return f"{seen['operations']} operations in {seen['s']:.3f} s"
    return f"{seen['kernels']} kernels in {seen['s']:.3f} s, {seen['outside_kernels']:.0%} of it outside kernels"


def passed(found: Found) -> bool:
    """Whether every engine of the first case was measured, and did the loop's maths."""
    first = next(iter(found.values()), None)
    return (
        first is not None
        and "floor" in first["engines"]
        and "lost" not in first
        and all(seen["difference_from_the_loop"] < 1e-3 for seen in first["engines"].values())
    )
