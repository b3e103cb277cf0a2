"""Nodes and losses without Ray: the in-process transport, with workers on nodes in name and processes that die."""

from contextlib import closing
from functools import cache

from raygan.errors import InputError
from raygan.executors.executor import Executor
from raygan.executors.in_process import InProcess
from raygan.record.folder import RunFolder
from raygan.record.storage import store_at
from raygan.run.ledger import Watcher
from raygan.run.loop import Rounds
from raygan.run.saving import Saving
from raygan.run.session import prepare, run_to_end
from raygan.signals import StopWish
from tests.helpers import tiny


class Nodes(InProcess):
    """Workers on `nodes` in turn, the server on the first.

    `dies` has (round, method, worker): the worker dies before that call. `room`: how many workers can be started again.
    """

    def __init__(self, config, nodes=1, dies=(), room=99):
        super().__init__(config)
        self.nodes, self.dies, self.room, self.round, self.called = nodes, list(dies), room, 0, []
        self.closed = 0

    def node_of(self, role):
        return f"node {role.number % self.nodes}"

    def call(self, process, method, *arguments, **how):
        self.called.append((method, process.role.name))
        if method == "update_devices":
            self.round = arguments[0]
        if (death := (self.round, method, process.role.number)) in self.dies:
            self.dies.remove(death)
            self.kill(process)
        return super().call(process, method, *arguments, **how)

    def start_again(self, role, make, *arguments):
        if self.room == 0:
            raise InputError("engine: no room")
        self.room -= 1
        return self.start(role, make, *arguments)

    def close(self):
        self.closed += 1
        super().close()


def run_through(transport, config, out, together=1):
    """As `run_on`, but what is lost is replayed; also returns the lines that were said, and where it opened anew."""
    store, said = store_at(out), Said()
    RunFolder(store.local).create(config)
    run = prepare(config, store, [said], resume=False)
    run_to_end(run, Executor(run.setup, None, together, transport, run.happened), 0)
    return run.folder, said.lines


def remembered(plain, few, runs, folder):
    """Maps the names of `runs` to the bytes of their generators by a `plain` loop, which is played once for each."""

    @cache
    def of(run):
        return plain(tiny(*few, *runs[run]), folder / "generator.safetensors")

    return of


class Said(Watcher):
    """What a run says."""

    def __init__(self):
        self.lines = []

    def on_phase(self, text):
        self.lines.append(text)

    on_event = on_phase

    def on_round(self, row):
        pass

    def on_evaluation(self, round, metrics):
        pass

    def on_checkpoint(self, round):
        pass


def run_on(transport, config, out, together=1):
    """Returns the run folder of a whole run, `together` devices in each worker."""
    store = store_at(out)
    RunFolder(store.local).create(config)
    run = prepare(config, store, [], resume=False)
    executor = Executor(run.setup, None, together, transport, run.happened)
    with closing(executor), Saving(store, run.happened, run.saved) as saving:
        Rounds(config, run.folder, executor, saving, run.clock, [], 0).run(StopWish())
    return run.folder
