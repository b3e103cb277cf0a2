"""Injects faults into small runs at random moments, and checks that each run ends as if nothing had happened.

    python scripts/chaos.py [--kinds device,server] [--methods serial,asynchronous] [--each N] [--seed N] [--table FILE]

Faults: a device's, the server's or the evaluator's process is killed, or what they are forks of, one hangs, Ray's
head process is killed (the run goes on by itself), the command itself is killed or interrupted, a Ray node is lost, the
disk is full, the newest checkpoint is cut off or has a bit flipped (the run goes on with --resume). In the end
generator.safetensors has to be the undisturbed run's, byte for byte, and so has the log apart from wall-clock time; no
process and no half-written file may be left.

Everything happens in a temporary folder, with a Ray of its own. Exit status 1 means that something went wrong: its
run folder, output and errors are kept, and named. Needs the `dev` extra.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from random import Random

import psutil

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # where tests.damage is, before all others of the name

from chaos_faults import KINDS, PLAIN, Fault, full_disk, lost_node
from chaos_report import Outcome, circumstances, judge, passed, table
from chaos_runs import LostError, MissedError, Run, kill_all, marked
from chaos_sites import LocalCluster, SmallDisk, enter_namespace, small_disk

from raygan.record.folder import RunFolder

ROUNDS = 150
EARLIEST = 20
"""The first round that a fault waits for: two checkpoints are there."""
FAULTS_PER_RUN = 3
DEVICES = 3
HUNG = ["engine.hang_timeout_s=20"]
MISSED = [  # everybody misses some rounds: not chosen, out of reach, or too late, before or behind the update
    *("channel.name=wireless", "selection.name=uniform", "selection.count=2", "selection.deadline_s=0.0045"),
]
METHODS = {
    "serial": ["method=averaged", "schedule=serial"],
    "parallel": ["method=averaged", "schedule=parallel"],
    "fedgan": ["method=fedgan"],
    "compressed": [
        *("method=averaged", "averaged.upload=delta", "compression.name=topk", "compression.share=0.05", *MISSED),
    ],
    "both-ways": [  # down go the newest code, two codes, or the model
        *("method=averaged", "averaged.upload=delta", "compression.name=sign", "downlink_compression.name=qsgd"),
        *MISSED,
    ],
    "asynchronous": [
        *("method=averaged", "schedule=asynchronous", "asynchronous.buffer=2", "averaged.upload=delta"),
        *("compute.device_flops=[1e9, 2e9, 5e9]", "channel.name=wireless"),
    ],
}
WORDS = [  # rounds of about 50 ms, so that a fault hits something under way
    *("data.name=digits", "data.limit=200", f"devices={DEVICES}", f"rounds={ROUNDS}", "device_steps=2"),
    *("batch_size=16", "generator_batch_size=16"),
    *("gan.latent=8", "gan.generator_width=8", "gan.discriminator_width=8"),
    *("eval.every=5", "eval.samples=50", "eval.classifier_epochs=1", "eval.grid=4", "checkpoint.every=5"),
]


class Campaign:
    """Runs of one session: what they share, and how far it has come."""

    def __init__(self, work: Path, disk: SmallDisk | None, random: Random, methods: Sequence[str], each: int) -> None:
        self._work, self._disk, self._random, self._methods, self._each = work, disk, random, methods, each
        self._runs = disk.root if disk is not None else work / "runs"
        self._logs, self._mark = work / "logs", work.name
        for folder in (self._runs, self._logs):
            folder.mkdir(exist_ok=True)

    def play(self, kind: str) -> Iterator[Outcome]:
        """Runs that suffer one kind of fault, until it was injected often enough."""
        if kind == "node":
            with closing(LocalCluster(self._mark, cpus=DEVICES + 1)) as cluster:
                address = [f"engine.address={cluster.address}"]
                yield from self._repeat(kind, lost_node(cluster), address, cluster.actors)
        elif kind == "full-disk":
            if self._disk is not None:
                yield from self._repeat(kind, full_disk(self._disk))
        else:
            yield from self._repeat(kind, PLAIN[kind], HUNG if kind == "hung" else ())

    def _repeat(
        self,
        kind: str,
        fault: Fault,
        words: Sequence[str] = (),
        elsewhere: Callable[[], list[psutil.Process]] = list,
    ) -> Iterator[Outcome]:
        missing, per_run = self._each, min(FAULTS_PER_RUN, -(-self._each // len(self._methods)))
        first = KINDS.index(kind)  # so that one fault of each kind meets every method, too
        for number in range(self._each + len(self._methods)):  # some more, as a fault may miss
            if missing <= 0:
                return
            method = self._methods[(first + number) % len(self._methods)]
            name = f"{kind}-{number}-{method}"
            packed = f"engine.devices_per_actor={self._random.randint(1, DEVICES)}"
            all_words = [*WORDS, *METHODS[method], "engine.executor=ray", packed, *words]
            run = Run(self._runs / name, all_words, self._logs, f"{self._mark}-{name}", elsewhere)
            outcome = self._finish(kind, method, run, fault, min(per_run, missing))
            missing -= outcome.injected
            yield outcome

    def _finish(self, kind: str, method: str, run: Run, fault: Fault, faults: int) -> Outcome:
        """Play a run with so many faults to its end; what went wrong is kept."""
        undisturbed = self._undisturbed(method)
        try:
            run.start()
            self._strike(run, fault, faults)
            run.wait(0)
            run.wait_for_agents()
            if len(run.complained()) != run.allowed_complaints:
                raise LostError("it wrote to stderr")
            outcome = judge(kind, run, undisturbed)
        except LostError as error:
            why = "; ".join([str(error), *run.complained()[-1:]])
            outcome = Outcome(kind, run.folder.root.name, run.injected, lost=why, left=tuple(run.left))
        finally:
            run.kill()
        if not outcome.is_fine:
            self._keep(run, undisturbed)
        shutil.rmtree(run.folder.root, ignore_errors=True)  # it may not have come to make one
        return outcome

    def _keep(self, run: Run, undisturbed: RunFolder) -> None:
        """Keep the evidence of a run that went wrong."""
        kept = self._work / "kept" / run.folder.root.name
        for name, folder in (("run", run.folder), ("undisturbed", undisturbed)):
            if folder.root.exists():
                shutil.copytree(folder.root, kept / name)
        kept.mkdir(parents=True, exist_ok=True)
        for log in (run.out, run.err):
            shutil.copy(log, kept)

    def _strike(self, run: Run, fault: Fault, faults: int) -> None:
        """Let faults hit, each in a later stretch of the run than the one before, until one misses."""
        stretch = (ROUNDS * 3 // 4 - EARLIEST) // faults
        behind = EARLIEST
        for number in range(faults):
            start = EARLIEST + number * stretch
            try:
                run.wait_for_round(max(behind, self._random.randrange(start, start + stretch)))
                time.sleep(self._random.uniform(0, 0.3))
                fault(run, self._random)
            except MissedError:
                return
            run.injected += 1
            behind = run.recorded() + 1  # lines that were there before do not say that it goes on

    def _undisturbed(self, method: str) -> RunFolder:
        """The run without Ray and without faults; played once per method."""
        run = Run(
            self._work / "undisturbed" / method,
            [*WORDS, *METHODS[method], "engine.executor=inline"],
            self._logs,
            f"{self._mark}-undisturbed",
        )
        if not run.folder.generator.exists():
            run.start()
            run.wait(0)
        return run.folder


def main() -> int:
    """Play all kinds, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS), help="which faults, of %(default)s")
    parser.add_argument("--methods", default=",".join(METHODS), help="in turn, of %(default)s")
    parser.add_argument("--each", type=int, default=7, help="how many of each kind (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of rounds, moments, victims (default %(default)s)")
    parser.add_argument("--table", type=Path, help="Markdown file to write the table to")
    arguments = parser.parse_args()
    kinds, methods = arguments.kinds.split(","), arguments.methods.split(",")
    for option, asked, known in (("kinds", kinds, KINDS), ("methods", methods, METHODS)):
        if unknown := set(asked) - set(known):
            parser.error(f"--{option}: {', '.join(sorted(unknown))}: not among {', '.join(known)}")
    if arguments.each < 1:
        parser.error("--each: at least 1")
    if "full-disk" in kinds:
        enter_namespace()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that all is cleaned up
    return play(kinds, methods, arguments.each, arguments.seed, arguments.table)


def play(kinds: list[str], methods: list[str], each: int, seed: int, page: Path | None) -> int:
    """Play these kinds of fault; returns the exit status."""
    began = time.monotonic()
    outcomes: list[Outcome] = []
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        work = stack.enter_context(private_folder())
        disk = stack.enter_context(small_disk(work / "disk")) if "full-disk" in kinds else None
        campaign = Campaign(work, disk, Random(seed), methods, each)
        if "full-disk" in kinds and disk is None:
            skipped["full-disk"] = "no filesystem of its own could be mounted"
        for kind in kinds:
            for outcome in campaign.play(kind):
                outcomes.append(outcome)
                print(f"[{(time.monotonic() - began) / 60:5.1f} min] {outcome.describe()}", flush=True)
    lines = [
        table(outcomes, kinds, skipped),
        "",
        circumstances(seed, sum(one.injected for one in outcomes), time.monotonic() - began),
    ]
    print("", *lines, sep="\n")
    if page is not None:
        page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if passed(outcomes, set(kinds) - skipped.keys(), each):
        return 0
    print(f"\nFAILED. What went wrong is kept in {work}" if work.exists() else "\nFAILED: too few faults hit.")
    return 1


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for Ray's files, raygan's cache and the runs; in the end only what went wrong is left of it."""
    work = Path(tempfile.mkdtemp(prefix="raygan-chaos-"))
    os.environ.pop("RAY_ADDRESS", None)
    os.environ |= {
        "RAY_TMPDIR": str(work),
        "RAY_AUTH_MODE": "disabled",  # no token is written to the home folder
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAYGAN_CACHE": str(work / "cache"),
    }
    try:
        yield work
    finally:
        kill_all(marked(work.name))
        for path in work.iterdir():
            if path.name != "kept":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not any(work.iterdir()):
            work.rmdir()


if __name__ == "__main__":
    sys.exit(main())
