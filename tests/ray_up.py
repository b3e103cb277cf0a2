"""What `ray up` would run on a node, without one: Ray's own updater, with a recorder where ssh and rsync would be."""

import copy
from typing import Any

from ray.autoscaler._private.updater import NodeUpdater
from ray.autoscaler._private.util import prepare_config
from ray.autoscaler.node_provider import NodeProvider


class Recorder:
    """Stands where Ray has `subprocess`, and answers what Ray asks of a machine with Docker and a GPU."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def call(self, command: list[str], *args: object, **options: object) -> int:
        """Note what is run."""
        self.commands.append(" ".join(command))
        return 0

    check_call = call

    def check_output(self, command: list[str]) -> bytes:
        """Note what is asked, and answer it."""
        self.call(command)
        answers = {
            "Config.Env": b'["HOME=/home/ray"]',
            "printenv HOME": b"/home/ray",
            ".Runtimes": b"nvidia-container-runtime",
            "command -v docker": b"/usr/bin/docker",
        }
        return next((answer for asked, answer in answers.items() if asked in self.commands[-1]), b"")


class Machine(NodeProvider):
    """A cloud with one machine, which is new."""

    def node_tags(self, node_id: str) -> dict[str, str]:
        """None yet."""
        return {}

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        """Nobody asks for them."""

    def is_terminated(self, node_id: str) -> bool:
        """It lives."""
        return False

    def external_ip(self, node_id: str) -> str:
        """An address for documentation (RFC 5737)."""
        return "192.0.2.1"


def commands_of(raw: dict[str, Any], kind: str) -> list[str]:
    """What is run, in order, on a node that is the `head`, or a `worker`, of this cluster."""
    config = prepare_config(copy.deepcopy(raw))
    provider = {"type": "external"}  # the clouds' own need their SDKs
    recorder = Recorder()
    updater = NodeUpdater(
        node_id="node",
        provider_config=provider,
        provider=Machine(provider, config["cluster_name"]),
        auth_config=config["auth"],
        cluster_name=config["cluster_name"],
        file_mounts=config["file_mounts"],
        initialization_commands=config["initialization_commands"],
        setup_commands=config[f"{kind}_setup_commands"],
        ray_start_commands=config[f"{kind}_start_ray_commands"],
        runtime_hash="new",
        file_mounts_contents_hash="new",
        is_head_node=kind == "head",
        rsync_options={"rsync_exclude": config["rsync_exclude"], "rsync_filter": config["rsync_filter"]},
        process_runner=recorder,
        docker_config=config["docker"],
    )
    updater.cmd_runner.ssh_command_runner.ssh_control_path = None  # for which a folder would be made
    updater.run()
    return recorder.commands
