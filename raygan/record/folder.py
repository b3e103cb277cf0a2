"""The run folder: the files of a run, and their paths."""

import json
import platform
import secrets
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from raygan.config import Config, dump_config, load_config
from raygan.config.paths import absolute, relative_paths
from raygan.errors import InputError
from raygan.files import claim, load_json, make_folder, unmake_folder, write_whole
from raygan.record.log import MetricsLog
from raygan.record.settings import flatten

CLASSIFIER = "classifier.safetensors"
"""The file in a run folder that holds the classifier which has measured the run."""
_VERSIONS = ("raygan", "torch", "numpy", "ray", "torchmetrics", "safetensors")
_GIVEN = ": given as "


class RunFolder:
    """The paths in a run folder, and its text files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.environment = root / "environment.json"
        self.log = MetricsLog(root)
        self.samples = root / "samples"
        self.checkpoints = root / "checkpoints"
        self.pending = root / "pending"
        self.generator = root / "generator.safetensors"
        self.error = root / "error.txt"
        self.data = root / "data.json"
        self.events = root / "events.jsonl"
        self.evaluation = root / "evaluation.json"
        self.classifier = root / CLASSIFIER
        self.nearest = self.samples / "nearest.png"
        self._made: list[Path] = []

    def picture(self, round: int) -> Path:
        """Returns the path of the sample grid of a round."""
        return self.samples / f"round_{round:06d}.png"

    def pictures(self) -> dict[int, Path]:
        """Returns the sample grids by round, in order: the names of rounds from 1,000,000 on do not sort as text."""
        found = {
            int(number): path
            for path in self.samples.glob("round_*.png")
            if (number := path.stem.removeprefix("round_")).isdecimal() and path.is_file()
        }
        return dict(sorted(found.items()))

    @property
    def newest_picture(self) -> Path | None:
        """Returns the newest sample grid, or None."""
        return next(reversed(self.pictures().values()), None)

    def create(self, config: Config) -> None:
        """Create the folder and write config.yaml.

        Raises:
            InputError: the folder exists and is not empty, or cannot be written.
        """
        self._made = make_folder(self.root, self.config)
        try:
            claim(self.config, self._text(config))
        except FileExistsError as error:
            begun = f"--out: another run has just begun in {self.root}; name another folder"
            raise InputError(begun, code="exists") from error
        except OSError as error:
            why = f"--out: {self.root} cannot be written: {error.strerror or error}"
            raise InputError(why, code="unreadable") from error

    def discard(self) -> None:
        """Undo `create`, for a run that did not start."""
        unmake_folder(self.root, self._made)

    def write_config(self, config: Config) -> None:
        """Write the whole config of the run, with absolute paths; comments say how relative ones were given."""
        text = self._text(config)
        write_whole(self.config, lambda aside: aside.write_text(text, encoding="utf-8"))

    def _text(self, config: Config) -> str:
        given = {
            key: f"# {key}{_GIVEN}{json.dumps(str(path))} in {json.dumps(str(Path.cwd()))}"
            for key, path in relative_paths(config).items()
        }
        written = absolute(config)
        return "".join(f"{line}\n" for line in (self._given_before(written) | given).values()) + dump_config(written)

    def _given_before(self, config: Config) -> dict[str, str]:
        """Returns the comments of paths that have not changed since, by key."""
        if not self.config.exists():
            return {}
        lines = self.config.read_text(encoding="utf-8").splitlines()
        before = {line[2:].partition(_GIVEN)[0]: line for line in lines if line.startswith("# ") and _GIVEN in line}
        if not before:
            return {}
        then, now = (flatten(one.model_dump(mode="json")) for one in (self.read_config(), config))
        return {key: line for key, line in before.items() if key in now and then.get(key) == now[key]}

    def read_config(self, overrides: Iterable[str] = ()) -> Config:
        """Returns the config the run was started with, overridden by `key=value` words.

        Raises:
            InputError: the folder is not a run folder, its config.yaml is damaged, or a word is wrong.
        """
        if not self.config.is_file():
            raise InputError(f"{self.root}: not a run folder (it has no config.yaml)", code="missing")
        try:
            config = load_config(self.config)
        except InputError as error:
            if str(self.config) in str(error):
                raise
            raise InputError(f"{self.config}: {error}", code=error.code, key=error.key) from error
        return load_config(self.config, overrides) if overrides else config

    def write_environment(self, facts: Mapping[str, object]) -> None:
        """Write versions, machine, git commit and `facts`."""
        about = {
            "versions": {name: version(name) for name in _VERSIONS},
            "python": platform.python_version(),
            "machine": platform.platform(),
            "git_commit": _git_commit(),
            "command": sys.argv,
            **facts,
        }
        _write_json(self.environment, about)

    def write_data(self, facts: Mapping[str, object]) -> None:
        """Write the description of the data and its partition."""
        _write_json(self.data, facts)

    def write_evaluation(self, facts: Mapping[str, object]) -> None:
        """Write the measurements at the end of the run."""
        _write_json(self.evaluation, facts)

    def note(self, what: str) -> None:
        """Add an event to events.jsonl, with its time and round."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"time": now, "round": max(self.log.last_round(), 0), "what": what})
        with self.events.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def class_names(self) -> list[str]:
        """Returns the names of the classes in data.json; none if it does not have them."""
        try:
            return [str(name) for name in load_json(self.data.read_bytes())["classes"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def data_digest(self) -> str | None:
        """Returns the hash of the samples and labels in data.json, or None without that file.

        Raises:
            InputError: data.json is damaged.
        """
        if not self.data.exists():
            return None
        try:
            return str(load_json(self.data.read_bytes())["digest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.data}: not the record of the data that raygan wrote", code="damaged") from error

    def processes(self) -> list[dict[str, object]]:
        """Returns the processes of the last attempt that environment.json records; none if it has no such record."""
        try:
            return [dict(process) for process in load_json(self.environment.read_bytes())["processes"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def check_same_data(self, digest: str) -> None:
        """Raise if the data differs from that of the run so far.

        Raises:
            InputError: environment.json, or data.json where that is missing, is damaged or records another hash.
        """
        if not self.environment.exists():
            before = self.data_digest()
        else:
            try:
                before = load_json(self.environment.read_bytes())["data_digest"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                why = f"{self.environment}: not the record that raygan wrote, so --resume cannot check the data"
                raise InputError(why, code="damaged") from error
        if before not in (None, digest):
            raise InputError(
                f"--resume: the data is not what the run began with (its hash was {before}, now it is {digest}); "
                "put the data back or start a new run",
                code="mismatch",
            )

    def pending_rounds(self) -> list[int]:
        """Returns the rounds whose generators are kept in `pending`, because they have not been evaluated yet."""
        return sorted(int(path.stem.removeprefix("round_")) for path in self.pending.glob("round_*.safetensors"))

    def generators_of(self, round: int) -> Path:
        """Returns the file in `pending` that keeps the generators of a round until they are evaluated."""
        return self.pending / f"round_{round:06d}.safetensors"

    def drop_pending(self, round: int) -> None:
        """Remove the kept generators of a round that has been evaluated."""
        self.generators_of(round).unlink(missing_ok=True)
        with suppress(OSError):  # other rounds are pending, or the folder does not exist
            self.pending.rmdir()

    def trim(self, last_round: int) -> None:
        """Remove the files of rounds after `last_round`, and partly written files."""
        log = self.log.rounds, self.log.evaluations
        for whole in (self.config, self.environment, *log, self.generator, self.data, self.evaluation, self.classifier):
            for half in self.root.glob(f".{whole.name}.*"):
                half.unlink()
        for half in self.pending.glob(".round_*"):
            half.unlink()
        for round, path in self.pictures().items():
            if round > last_round:
                path.unlink()
        self.log.trim(last_round)
        evaluated = self.log.last_evaluation()
        for round in self.pending_rounds():
            if not evaluated < round <= last_round:
                self.drop_pending(round)


def new_folder(source: str | Path | None, config: Config) -> Path:
    """Returns the default folder of a run, named by its config's source or data, its method and the time."""
    name = Path(source).stem if source else config.data.name
    return Path("runs") / unmet(f"{name}-{config.method}".replace(":", "."))


def unmet(name: str) -> str:
    """Returns a name followed by the time and 24 random bits, so that runs of the same second get different names."""
    return f"{name}-{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _write_json(path: Path, facts: Mapping[str, object]) -> None:
    text = json.dumps(facts, indent=2) + "\n"
    write_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def _git_commit() -> str | None:
    """Returns the git commit of raygan's source tree, if it runs from one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
