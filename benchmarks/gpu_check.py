"""What raygan does on a real GPU: shares of it, bits, speed, and the paper's question at size, in one go.

    python benchmarks/gpu_check.py --out DIR [--minutes 8] [--cifar10 PLACE] [--parts placement bits ...]
    python benchmarks/gpu_check.py --out DIR --tiny        # the same on a CPU, with GPUs that are only declared

Parts, in order of worth, each ended when its time is over; what it has found by then counts:

    placement   ten devices and a server on shares of one GPU: what each sees, may take and takes; eleven refused
    bits        every method the same bytes inline, packed and with an actor per device, killed and resumed; and with
                stacked devices, however these are packed
    speed       device updates a second beside a loop written by hand, of 128 devices stacked and one by one, and of the
                obvious Ray script
    question    CIFAR-10 at 32 pixels: serial, parallel, fedgan, mdgan (PLACE: a tree of images, or an .npz)

DIR gets results.json, summary.md, log.txt, and from `question` grids.png and fd_clf.png. It takes a machine with
Python 3.12, torch 2.11 or newer with CUDA, and what raygan needs; a package that is not installed is found where
PYTHONPATH says. The exit status is 1 if what a part looks at does not hold.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from gpu_parts import Case, Found, Results, environment, machine

PARTS = {"placement": 0.12, "bits": 0.31, "speed": 0.39, "question": 0.18}
"""What part of the time each may take; what one leaves the next ones have."""
TINY_MINUTES = 8.0
"""Enough for a machine with two cores that is busy; it takes half of that."""
ENDING_S = 20.0


def main() -> int:
    """Play the parts one after the other, each in a process of its own."""
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.part is not None:
        _play(asked)
        return 0
    until = time.monotonic() + 60 * (TINY_MINUTES if asked.tiny else asked.minutes)
    found: dict[str, Found] = {"machine": machine()}
    print(json.dumps(found["machine"]), flush=True)
    for name in asked.parts:
        left = sum(PARTS[other] for other in asked.parts[asked.parts.index(name) :])
        seconds = (until - time.monotonic()) * PARTS[name] / left
        began = time.monotonic()
        found[name], ended = _in_time(name, seconds, asked)
        print(f"{name}: {time.monotonic() - began:.0f} s of {seconds:.0f}, {ended}", flush=True)
        found[name] = {"ended": ended, "s": round(time.monotonic() - began, 1), "found": found[name]}
        _write(found, asked.out)
    whole = ("done", "out of time")
    held = {name: found[name]["ended"] in whole and _of(name).passed(found[name]["found"]) for name in asked.parts}
    print((asked.out / "summary.md").read_text(encoding="utf-8"))
    print(", ".join(f"{name}: {'holds' if holds else 'DOES NOT HOLD'}" for name, holds in held.items()))
    return 0 if all(held.values()) else 1


def _in_time(name: str, seconds: float, asked: argparse.Namespace) -> tuple[Found, str]:
    """Play a part until it is done or its time is over; what it has found, and how it ended."""
    with tempfile.TemporaryDirectory(
        prefix="rg-", dir="/tmp", ignore_cleanup_errors=True
    ) as root:  # short: Ray's sockets are in it
        results = Path(root) / "results.json"
        command = [sys.executable, __file__, "--part", name, "--results", str(results), "--seconds", str(seconds)]
        command += ["--out", str(asked.out), *(["--tiny"] if asked.tiny else [])]
        command += ["--cifar10", str(asked.cifar10)] if asked.cifar10 is not None else []
        kept = environment() | {"RAY_TMPDIR": root, "RAYGAN_CACHE": str(asked.cache or f"{root}/cache")}
        with (asked.out / "log.txt").open("ab") as log:
            log.write(f"\n--- {name}\n".encode())
            log.flush()
            part = subprocess.Popen(command, stdout=log, stderr=log, env=kept, start_new_session=True)
            try:
                ended = f"status {part.wait(seconds)}" if part.wait(seconds) else "done"
            except subprocess.TimeoutExpired:
                ended = "out of time"
            finally:
                _end(part)
        return (json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}), ended


def _end(part: "subprocess.Popen[bytes]") -> None:
    """End a part and whatever it has started; it may end its Ray first."""
    if part.poll() is None:
        part.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            part.wait(ENDING_S)
    with suppress(ProcessLookupError):
        os.killpg(part.pid, signal.SIGKILL)
    part.wait()


def _play(asked: argparse.Namespace) -> None:
    """Be a part."""
    case = Case(asked.tiny, asked.seconds, asked.out.resolve(), asked.cifar10)
    getattr(_of(asked.part), asked.part)(case, Results(asked.results))


def _of(name: str) -> "object":
    """A part's module, whose imports start when it is needed."""
    return importlib.import_module(f"gpu_{name}")


def _write(found: dict[str, Found], out: Path) -> None:
    """Everything as JSON, and in words."""
    (out / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    lines = ["# On this machine", "", ", ".join(f"{name} {value}" for name, value in found["machine"].items())]
    for name, part in found.items():
        if name != "machine":
            lines += ["", f"## {name}: {part['ended']} ({part['s']} s)", ""]
            lines += _of(name).summary(part["found"]) if part["found"] else ["* nothing found; see log.txt"]
    (out / "summary.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the results go")
    parser.add_argument("--minutes", type=float, default=8.0, help="for all parts together")
    parser.add_argument("--tiny", action="store_true", help="on a CPU, in seconds a part")
    parser.add_argument("--cifar10", type=Path, metavar="PLACE", help="images for `question`")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where a trained classifier may lie")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    for name in ("--part", "--results", "--seconds"):  # of the processes that this one starts
        parser.add_argument(name, type={"--results": Path, "--seconds": float}.get(name, str), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
