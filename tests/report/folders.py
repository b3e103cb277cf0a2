"""Run folders made by hand, as runs leave them."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from raygan.config import dump_config
from raygan.report.grid import image_grid, save_picture
from tests.helpers import tiny

CLASSES = ["zero", "one"]


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rewrite(folder: Path, rows: list[dict]) -> None:
    """Make these the lines of a run that is not over."""
    write_lines(folder / "rounds.jsonl", rows)
    for name in ("evaluation.json", "generator.safetensors"):
        (folder / name).unlink(missing_ok=True)


def played_row(round: int, **changes) -> dict:
    """A round of three devices, 3 MB and 2 simulated seconds."""
    if round == 0:
        return {"round": 0, "wall_s": 0.5, "sim_s": 0.0}
    phases = {"down": 0.5, "device": 1.0, "up": 0.4, "meanwhile": 0.0, "average": 0.0, "server": 0.1, "swap": 0.0}
    return {
        "round": round,
        "wall_s": 0.5 + round,
        "sim_s": 2.0 * round,
        "phases_s": phases,
        "devices": 3,
        "late": 0,
        "bytes_down": 2_000_000,
        "bytes_up": 1_000_000,
        "bytes_swap": 0,
        "dropped": {},
        "spent_s": {"down": 0.1, "devices": 0.6, "server": 0.3},
        "d_loss": 1.3,
        "g_loss": 0.7,
    } | changes


def measured_row(value: float, share: float) -> dict:
    """An evaluation: FD-clf of `value` (half of it for the raw generator), `share` of class "zero"."""
    return {
        "fd_clf": value,
        "fd_clf_raw": value / 2,
        "classes_found": 2,
        "classes_found_raw": 1,
        "class_shares": [share, 1 - share],
        "eval_samples": 50,
        "eval_seed": 0,
        "reference_images": 30,
        "classifier": "c1a551f1e5",
    }


def shade_of(round: int) -> int:
    """The grey of a round's samples."""
    return round % 200 + 20


def draw(folder: Path, round: int) -> None:
    """Four samples, all of the round's grey."""
    images = np.full((4, 1, 8, 8), shade_of(round), np.uint8)
    save_picture(image_grid(images, 2), folder / "samples" / f"round_{round:06d}.png")


def bare_run(folder: Path, *words: str) -> Path:
    """One that has only just begun."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_config(tiny(*words)))
    return folder


def made_run(
    folder: Path, *words: str, values: tuple[float, ...] = (200.0, 50.0, 20.0), played: int | None = None
) -> Path:
    """A whole run of rounds 0 to 10 (`values`: FD-clf at rounds 0, 5, 10); `played`: broken off there."""
    bare_run(folder, "rounds=10", *words)
    rows = [played_row(round) for round in range(11 if played is None else played + 1)]
    for number, value in enumerate(values):
        if 5 * number < len(rows):
            rows[5 * number] |= measured_row(value, 1.0 - 0.2 * number)
            draw(folder, 5 * number)
    write_lines(folder / "rounds.jsonl", rows)
    environment = {
        "versions": {"raygan": "0.1.0", "torch": "2.15.0"},
        "python": "3.11.7",
        "machine": "Linux",
        "git_commit": "a086ebf",
        "command": ["raygan", "train", "--out", "a b"],
        "data_digest": "d16e57",
        "processes": [{"role": "device 0", "node": "one", "pid": 7, "torch_device": "cpu"}],
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    write_data(folder, [[3, 7], [6, 4], [1, 9]])
    if played is None:
        write_closing(folder)
        write_generator(folder, 10)
    return folder


def write_data(folder: Path, counts: list[list[int]], classes: list[str] = CLASSES, devices: int | None = None) -> None:
    """data.json of devices that hold `counts` of the classes."""
    facts = {
        "name": "digits",
        "digest": "d16e57",
        "samples": sum(map(sum, counts)),
        "shape": [1, 8, 8],
        "classes": classes,
        "class_counts": np.sum(counts, axis=0).tolist(),
        "devices": devices or len(counts),
        "device_class_counts": counts,
    }
    (folder / "data.json").write_text(json.dumps(facts))


def write_generator(folder: Path, round: int) -> None:
    """generator.safetensors of a run that ended after a round, as far as pages read it."""
    save_file({"ema.weight": np.zeros(1)}, folder / "generator.safetensors", {"raygan": json.dumps({"round": round})})


def write_closing(folder: Path, round: int = 10, **changes) -> None:
    """evaluation.json, and the picture beside it."""
    facts = {
        "round": round,
        "devices": {"fd_clf": [25.0, None, 35.0], "mean_fd_clf": 30.0, "pooled_fd_clf": 20.0},
        "nearest": {
            "distances": [3.0, 4.0],
            "real_median": 4.0,
            "ratio_median": 0.875,
            "samples": 2,
            "neighbours": 3,
        },
    }
    (folder / "evaluation.json").write_text(json.dumps(facts | changes))
    save_picture(image_grid(np.zeros((8, 1, 8, 8), np.uint8), 4), folder / "samples" / "nearest.png")
