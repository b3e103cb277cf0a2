"""Flower's simulation as an engine of benchmarks/engines.py: FedAvg, two workers of one CPU each.

    PYTHON_WITH_FLOWER benchmarks/engine_flower.py FOLDER

The generator travels beside the discriminator, steps where the strategy has averaged, and is kept by it.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter

import torch
from engine import Block, Desk, Engine
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from plain import PlainGan, compute_alone, dump, generator_step, local_steps
from store import created_bytes, created_since
from torch import Tensor, nn
from work import State, WorkFolder

WORKERS = 2

client = ClientApp()
loaded: list[tuple[WorkFolder, PlainGan]] = []
"""The networks that the devices of one worker take turns on."""


@client.train()
def train(message: Message, context: Context) -> Message:
    """A device's round."""
    config = message.content["config"]
    if not loaded:
        folder = WorkFolder(Path(config["folder"]))
        compute_alone(folder.work())
        loaded.append((folder, PlainGan(folder)))
    folder, gan = loaded[0]
    device = int(context.node_config["partition-id"])
    _load(gan, message.content["arrays"])
    local_steps(
        gan, folder.work(), folder.shards()[device], device, int(config["before"]) + int(config["server-round"])
    )
    return Message(
        content=RecordDict(
            {
                "arrays": ArrayRecord(gan.discriminator.state_dict()),
                "metrics": MetricRecord({"num-examples": 1}),
            }
        ),
        reply_to=message,
    )


def _load(gan: PlainGan, arrays: ArrayRecord) -> None:
    """Put both networks in: their names are told apart by a prefix."""
    state = arrays.to_torch_state_dict()
    for prefix, network in _networks(gan).items():
        network.load_state_dict({name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)})


def _networks(gan: PlainGan) -> dict[str, nn.Sequential]:
    return {"generator.": gan.generator, "discriminator.": gan.discriminator}


class Average(FedAvg):
    """FedAvg of the discriminators, then the generator's step."""

    def __init__(self, folder: WorkFolder) -> None:
        super().__init__(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=folder.work().devices)
        self.gan = PlainGan(folder)
        self.played = 0
        self._work = folder.work()

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Average, and step."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is None:
            raise RuntimeError(f"nothing came back in round {server_round}")
        self.gan.discriminator.load_state_dict(arrays.to_torch_state_dict())
        self.played += 1
        generator_step(self.gan, self._work, self.played)
        return self.arrays(), metrics

    def arrays(self) -> ArrayRecord:
        """Both networks, as they go down."""
        state: OrderedDict[str, Tensor] = OrderedDict()
        for prefix, network in _networks(self.gan).items():
            state |= {prefix + name: tensor for name, tensor in network.state_dict().items()}
        return ArrayRecord(state)


class Flower(Engine):
    """Inside a ServerApp: a run of the strategy for each block."""

    def __init__(self, folder: WorkFolder, grid: Grid) -> None:
        compute_alone(folder.work())
        self._folder, self._grid, self._strategy = folder, grid, Average(folder)

    def play(self, rounds: int) -> Block:
        """Run the strategy."""
        config = ConfigRecord({"folder": str(self._folder.root), "before": self._strategy.played})
        before = created_bytes() if self._strategy.played else created_bytes() and 0
        start = perf_counter()
        self._strategy.start(self._grid, self._strategy.arrays(), num_rounds=rounds, train_config=config)
        seconds = perf_counter() - start
        return Block(seconds, created_since(before))

    def discriminator(self) -> State:
        """The average."""
        return dump(self._strategy.gan.discriminator)


def main() -> None:
    """Serve, from inside the simulation."""
    desk = Desk()
    folder = WorkFolder(Path(sys.argv[1]))
    server = ServerApp()

    @server.main()
    def serve(grid: Grid, context: Context) -> None:
        desk.serve(Flower(folder, grid), ["flwr", "ray", "torch", "numpy"])

    torch.set_num_threads(1)
    run_simulation(
        server,
        client,
        num_supernodes=folder.work().devices,
        backend_config={
            "init_args": {"num_cpus": WORKERS, "include_dashboard": False},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )


if __name__ == "__main__":
    main()
