"""Checkpoints of a run's full state, whole or absent: safetensors and JSON, written aside, flushed, renamed."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from raygan.errors import InputError
from raygan.files import load_json, save_arrays
from raygan.methods.base import State
from raygan.record.settings import FlatConfig

_FORMAT = 3
_FLYING = "flying.safetensors"


@dataclass(frozen=True)
class Flying:
    """Devices that are under way, and what they started from."""

    devices: list[int]
    down: np.ndarray


@dataclass(frozen=True)
class Snapshot:
    """The state after `round`: the server's, and that of every device that has one, before it started if under way."""

    round: int
    server: State
    devices: dict[int, State]
    settings: FlatConfig = field(default_factory=dict)
    """The config keys that the numbers depend on."""
    flying: dict[int, Flying] = field(default_factory=dict)
    """Devices that are under way, by the round in which they started (`schedule=asynchronous`)."""

    def of(self, devices: Iterable[int]) -> dict[int, State]:
        """Returns the states of these devices, of those that have one."""
        return {device: self.devices[device] for device in devices if device in self.devices}


def save_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write `folder`/round_NNNNNN atomically.

    Raises:
        OSError: the disk is full or not writable; earlier checkpoints are unchanged.
    """
    final = folder / f"round_{snapshot.round:06d}"
    folder.mkdir(exist_ok=True)
    for leftover in folder.glob(".round_*"):  # left by a process that was killed while it wrote
        shutil.rmtree(leftover)
    aside = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=folder))
    try:
        tensors = {
            f"{number}/{name}": array for number, state in snapshot.devices.items() for name, array in state.items()
        }
        save_arrays(snapshot.server, aside / "server.safetensors")
        save_arrays(tensors, aside / "devices.safetensors")
        if snapshot.flying:
            save_arrays(_packed(snapshot.flying), aside / _FLYING)
        sums = {path.name: _checksum(path) for path in sorted(aside.iterdir())}
        manifest = {"format": _FORMAT, "round": snapshot.round, "settings": snapshot.settings, "checksums": sums}
        manifest["own_checksum"] = _own_checksum(manifest)
        (aside / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        for path in [*aside.iterdir(), aside]:
            _flush(path)
        if final.exists():
            shutil.rmtree(final)
        aside.chmod(0o755)  # mkdtemp makes it private
        aside.rename(final)
        _flush(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def remove_old(folder: Path, keep: int, recorded: int) -> None:
    """Keep the newest `keep` checkpoints up to round `recorded`, and all later ones.

    `recorded` is the last round in rounds.jsonl: a run can resume without a gap only from a checkpoint that is not
    later than that.
    """
    behind = [path for path in _newest_first(folder) if _round_of(path) <= recorded]
    for path in behind[keep:]:
        shutil.rmtree(path)


def remove_later(folder: Path, round: int) -> None:
    """Remove the checkpoints after `round`: the rounds that are run again may have other numbers."""
    for path in _newest_first(folder):
        if _round_of(path) > round:
            shutil.rmtree(path)


def newest(folder: Path, recorded: int) -> Path | None:
    """Returns the folder of the newest checkpoint, whole or not, up to round `recorded`."""
    return next((path for path in _newest_first(folder) if _round_of(path) <= recorded), None)


def load_newest(folder: Path, recorded: int) -> tuple[Snapshot | None, list[str]]:
    """Returns the newest whole checkpoint in `folder` up to round `recorded`, or None.

    Also returns a line for each newer checkpoint that was skipped.
    """
    passed_over: list[str] = []
    for path in _newest_first(folder):
        if _round_of(path) > recorded:
            passed_over.append(f"{path}: passed over, as rounds.jsonl ends before it (round {recorded})")
            continue
        try:
            return _load(path), passed_over
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            passed_over.append(f"{path}: damaged, passed over ({error})")
    return None, passed_over


def load_server(folder: Path, round: int) -> State | None:
    """Returns the server's state in the checkpoint of a round, or None if there is no such checkpoint.

    Raises:
        InputError: it is damaged.
    """
    path = folder / f"round_{round:06d}"
    if not path.is_dir():
        return None
    file = path / "server.safetensors"
    try:
        if _checksum(file) != load_json((path / "manifest.json").read_bytes())["checksums"][file.name]:
            raise ValueError("it does not match its checksum")
        return load_file(file)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file}: damaged ({error}); remove the checkpoint to measure without it", code="damaged"
        ) from error


def _load(path: Path) -> Snapshot:
    manifest = load_json((path / "manifest.json").read_bytes())
    if manifest["format"] != _FORMAT:
        raise ValueError(f"format {manifest['format']}, this raygan reads {_FORMAT}")
    if _own_checksum(manifest) != manifest["own_checksum"]:
        raise ValueError("manifest.json does not match its own checksum")
    if manifest["round"] != _round_of(path):
        raise ValueError(f"it holds round {manifest['round']}")
    has_flying = _FLYING in manifest["checksums"]
    for name in ("server.safetensors", "devices.safetensors", *([_FLYING] if has_flying else [])):
        if _checksum(path / name) != manifest["checksums"][name]:
            raise ValueError(f"{name} does not match its checksum")
    devices: dict[int, State] = {}
    for key, array in load_file(path / "devices.safetensors").items():
        number, _, name = key.partition("/")
        devices.setdefault(int(number), {})[name] = array
    flying = _unpacked(load_file(path / _FLYING)) if has_flying else {}
    return Snapshot(manifest["round"], load_file(path / "server.safetensors"), devices, manifest["settings"], flying)


def _packed(flying: Mapping[int, Flying]) -> State:
    devices = {f"{round}/devices": np.array(one.devices) for round, one in flying.items()}
    return devices | {f"{round}/down": one.down for round, one in flying.items()}


def _unpacked(arrays: State) -> dict[int, Flying]:
    rounds = sorted(int(name.removesuffix("/down")) for name in arrays if name.endswith("/down"))
    return {round: Flying(arrays[f"{round}/devices"].tolist(), arrays[f"{round}/down"]) for round in rounds}


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("round_*") if path.is_dir() and path.name[6:].isdecimal()]
    return sorted(found, key=_round_of, reverse=True)


def _round_of(path: Path) -> int:
    return int(path.name.removeprefix("round_"))


def _own_checksum(manifest: Mapping[str, object]) -> str:
    rest = {key: value for key, value in manifest.items() if key != "own_checksum"}
    return hashlib.blake2b(json.dumps(rest, sort_keys=True).encode(), digest_size=16).hexdigest()


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
