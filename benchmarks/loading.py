"""Seconds and peak memory of the first and the second load of a folder or an archive of images.

    python benchmarks/loading.py                        60,000 PNGs of 28x28, made in a temporary folder
    python benchmarks/loading.py set.tar.gz/train ...   other sets
    python benchmarks/loading.py --against OTHER        the same with the raygan of another working copy, in turns

Each load is a process of its own; the first one has an empty cache of raygan's (that of the system is full: every file
has been read or written before). The shortest time of several is told. Memory is the largest private memory of the
process and all that it starts, of a load that is not timed. A set that differs between the copies is marked UNLIKE.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from memory import peak
from PIL import Image

ROOT = Path(__file__).parents[1]
LOAD = """
import json, sys, time
from raygan import load_config
from raygan.data import load_data
config = load_config(None, ["data.name=folder", *sys.argv[1:]])
before = time.perf_counter()
images = load_data(config.data, 0)
seconds = time.perf_counter() - before
print(json.dumps({"seconds": seconds, "bytes": images.images.nbytes, "samples": len(images), "digest": images.digest}))
"""


def make_pngs(folder: Path, count: int, side: int) -> None:
    """Smooth grey images, in ten classes."""
    random = np.random.default_rng(0)
    for label in range(10):
        (folder / str(label)).mkdir(parents=True)
    for number in range(count):
        coarse = Image.fromarray(random.integers(256, size=(7, 7), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BILINEAR).save(folder / str(number % 10) / f"{number:06}.png")


def load(words: list[str], copy: Path, cache: str) -> dict[str, float | str]:
    """One load in a process of its own."""
    environment = os.environ | {"RAYGAN_CACHE": cache, "PYTHONPATH": str(copy)}
    command = [sys.executable, "-c", LOAD, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"loading {words[0]} failed")
    return dict(json.loads(said))


def highest(words: list[str], copy: Path, cache: str) -> float:
    """The largest memory of a load that is not timed, in bytes."""
    environment = os.environ | {"RAYGAN_CACHE": cache, "PYTHONPATH": str(copy)}
    with (
        subprocess.Popen([sys.executable, "-c", LOAD, *words], stdout=subprocess.DEVNULL, env=environment) as process,
        peak(process.pid) as most,
    ):
        process.wait()
    return most.private


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("places", nargs="*", help="folders, archives or folders inside of them")
    parser.add_argument("--against", type=Path, help="another working copy of raygan")
    parser.add_argument("--count", type=int, default=60_000, help="images to make without PLACES")
    parser.add_argument("--side", type=int, default=28, help="their side, and that of the loaded images (pixels)")
    parser.add_argument("--channels", type=int, default=1, choices=[1, 3])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    copies = [*([given.against] if given.against else []), ROOT]
    with tempfile.TemporaryDirectory() as made:
        places = given.places
        if not places:
            make_pngs(Path(made) / "pngs", given.count, given.side)
            places = [str(Path(made) / "pngs")]
        for place in places:
            words = [f"data.root={place}", f"data.size={given.side}", f"data.channels={given.channels}"]
            digests = set()
            times: dict[tuple[Path, str], list[float]] = {}
            for _ in range(given.repeats):
                for copy in copies:
                    with tempfile.TemporaryDirectory() as cache:
                        for which in ("first", "second"):
                            seen = load(words, copy, cache)
                            digests.add(seen["digest"])
                            times.setdefault((copy, which), []).append(float(seen["seconds"]))
            unlike = ", UNLIKE" if len(digests) > 1 else ""
            print(f"{place}: {seen['samples']:,} images, {float(seen['bytes']) / 1e6:,.0f} MB decoded{unlike}")
            for copy in copies:
                with tempfile.TemporaryDirectory() as cache:
                    most = highest(words, copy, cache)
                first, second = (min(times[copy, which]) for which in ("first", "second"))
                print(f"  {copy}: first {first:.2f} s, second {second:.2f} s, memory at most {most / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
