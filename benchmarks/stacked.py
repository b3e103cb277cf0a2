"""Rounds a second with groups of devices as one computation (`engine.stacked`), beside one by one.

    python benchmarks/stacked.py [--preset gaussians] [--devices 1000] [--groups 1 8 16 32] [--rounds 3] [--pairs 4]
        [KEY=VALUE ...]

All devices are packed in one process, without Ray. The runs take turns, round block by round block, so what else a
machine does falls on all of them alike; times are medians over blocks.
"""

import argparse
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from rounds import KEPT, playing

from raygan.config import load_config


def main() -> None:
    """Play and print."""
    asked = _arguments()
    seconds: dict[int, list[float]] = {size: [] for size in asked.groups}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as root:
        players = {}
        for size in asked.groups:
            words = [
                f"devices={asked.devices}",
                "engine.executor=inline",
                f"engine.devices_per_actor={asked.devices}",
                f"engine.stacked={size}",
                *KEPT,
                *asked.words,
            ]
            player = stack.enter_context(playing(load_config(asked.preset, words), Path(root) / str(size)))
            player.wait_until_quiet()
            player.block(1)
            players[size] = player
        for _ in range(asked.pairs):
            for size, player in players.items():
                seconds[size].append(player.block(asked.rounds).s_per_round)
    first = median(seconds[asked.groups[0]])
    for size, found in seconds.items():
        ratios = [alone / one for alone, one in zip(seconds[asked.groups[0]], found, strict=True)]
        told = {
            "stacked": size,
            "s_per_round": round(median(found), 4),
            "ms_per_device": round(1e3 * median(found) / asked.devices, 3),
            "times": round(first / median(found), 2),
            "pairs": [round(ratio, 2) for ratio in ratios],
        }
        print(json.dumps(told), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="gaussians", help="a preset or a config file")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 8, 16, 32])
    parser.add_argument("--rounds", type=int, default=3, help="of a block")
    parser.add_argument("--pairs", type=int, default=4, help="blocks of each")
    parser.add_argument("words", nargs="*", help="more of the config")
    return parser.parse_args()


if __name__ == "__main__":
    main()
