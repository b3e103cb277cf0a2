"""Resource requests of a run, without Ray."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raygan.config.tree import Config

Resources = Mapping[str, float]
"""Amounts by name, as Ray counts them: CPU, GPU."""


NODE_LABEL = "ray.io/node-id"
"""The label with the node's id that Ray sets on each node."""


def on_node(node: str) -> dict[str, Any]:
    """Returns the options of Ray that bind an actor or a task to a node (by Ray's id)."""
    return {"label_selector": {NODE_LABEL: node}}


@dataclass(frozen=True)
class Needs:
    """The resources that a run requests from Ray."""

    workers: int
    per_worker: Resources
    server: Resources
    recorder: Resources
    devices: int | None = None
    """The devices of the workers, if they may be packed otherwise."""

    @property
    def total(self) -> dict[str, float]:
        """The total of all actors."""
        names = self.per_worker.keys() | self.server.keys() | self.recorder.keys()
        others = (self.server, self.recorder)
        return {
            name: self.workers * self.per_worker.get(name, 0) + sum(other.get(name, 0) for other in others)
            for name in sorted(names)
        }

    @property
    def centre(self) -> dict[str, float]:
        """Server and recorder together."""
        return {name: self.server.get(name, 0) + self.recorder.get(name, 0) for name in ("CPU", "GPU")}

    @property
    def bundles(self) -> list[dict[str, float]]:
        """Bundles of a placement group for the whole run: server and recorder in the first, then one per worker."""
        bundles = [self.centre, *[self.per_worker] * self.workers]
        wanted = [{name: amount for name, amount in bundle.items() if amount} for bundle in bundles]
        return [bundle for bundle in wanted if bundle]


def needs_of(config: Config) -> Needs:
    """Returns the needs of one actor per `devices_per_actor` devices and the server; the recorder requests no CPU."""
    engine = config.engine
    return Needs(
        workers=-(-config.devices // engine.devices_per_actor),
        per_worker=_resources(engine.cpus_per_device, engine.gpus_per_device),
        server=_resources(1.0, engine.server_gpus),
        recorder=_resources(0.0, config.eval.gpus),
        devices=config.devices,
    )


def _resources(cpus: float, gpus: float) -> Resources:
    return {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}
