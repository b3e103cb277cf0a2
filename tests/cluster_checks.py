"""What must hold of a cluster file for `ray up`, as Ray's own schema, parsers and updater see it."""

import copy
import json
import re
import shlex
import tomllib
from pathlib import Path

import jsonschema
import ray
from packaging.requirements import Requirement
from packaging.version import Version
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from tests.kuberay import amount
from tests.ray_up import commands_of

ROOT = Path(__file__).parents[1]
GIB = 2**30
MEMORY = {"m5.2xlarge": 32 * GIB, "g5.2xlarge": 32 * GIB, "n2-standard-8": 32 * GIB, "g2-standard-8": 32 * GIB}
"""As the clouds state it (bytes)."""
TOKEN = "/home/ray/.ray"
"""The folder of the token in a container, where Ray looks for it."""
KINDS = ("head", "worker")
SOURCES = ("raygan", "tune_configs", "pyproject.toml", "README.md", "LICENSE")
"""What is needed of the checkout; the whole of it has a virtual environment of gigabytes, which `ray up` would read."""


def started(command):
    """What `ray start` is told, as its own command line parses it."""
    words = shlex.split(command)[2:]
    context = start.make_context("start", words)
    for option in start.params:
        used = context.get_parameter_source(option.name).name == "COMMANDLINE"
        assert not (used and getattr(option, "hidden", False)), f"{option.name} is deprecated or internal"
    return context.params


def starts(raw):
    """The `ray start` of the head and of a worker, parsed."""
    kinds = {kind: [line for line in raw[f"{kind}_start_ray_commands"] if "ray start" in line] for kind in KINDS}
    assert all(len(lines) == 1 for lines in kinds.values()), kinds
    return {kind: started(lines[0]) for kind, lines in kinds.items()}


def option_of(raw, name):
    """The value of an option of `docker run`."""
    (value,) = [word.split("=", 1)[1] for word in raw["docker"]["run_options"] if word.startswith(f"--{name}=")]
    return value


def workers(raw):
    return {name: kind for name, kind in raw["available_node_types"].items() if name != raw["head_node_type"]}


def pinned(image):
    """Ray's version in the name of an image, and Python's."""
    found = re.fullmatch(r"rayproject/ray:(\d+\.\d+\.\d+)-py(\d)(\d+)-gpu", image)
    assert found, f"{image} is not pinned"
    return found[1], f"{found[2]}.{found[3]}"


# --- what must hold of a file for `ray up` --------------------------------------------------------------


def ray_takes_it(raw):
    schema = Path(ray.__file__).parent / "autoscaler/ray-schema.json"
    jsonschema.validate(raw, json.loads(schema.read_text()))  # as it is: what follows drops some keys of old
    validate_config(prepare_config(copy.deepcopy(raw)))


def versions_are_those_tested(raw):
    version, python = pinned(raw["docker"]["image"])
    assert needed("ray").specifier.contains(version)
    assert Version(version) <= Version(ray.__version__)  # no newer one than is tested
    assert f"python{python}" in (ROOT / "scripts/setup.sh").read_text()
    assert not {"head_image", "worker_image"} & raw["docker"].keys()


def the_head_holds_no_device(raw):
    head = raw["available_node_types"][raw["head_node_type"]]
    assert head["resources"] == {"CPU": 0, "GPU": 0}
    assert head.get("max_workers", 0) == 0


def workers_come_and_go(raw):
    kinds = workers(raw)
    assert [kind["min_workers"] for kind in kinds.values()] == [0, 0]
    assert kinds["gpu"]["max_workers"] > 0 == kinds["gpu_spot"]["max_workers"]
    assert sum(kind["max_workers"] for kind in kinds.values()) <= raw["max_workers"]
    assert 0 < raw["idle_timeout_minutes"] <= 30
    spot = {name: "spot" in str(kind["node_config"]).lower() for name, kind in kinds.items()}
    assert spot == {"gpu": False, "gpu_spot": True}
    assert raw["provider"].get("cache_stopped_nodes", raw["provider"]["type"] == "aws") is False


def nothing_is_open_but_ssh(raw):
    assert not raw["provider"].get("security_group", {}).get("IpPermissions")
    assert starts(raw)["head"]["dashboard_host"] == "127.0.0.1"
    assert not re.search(r"0\.0\.0\.0|--publish|\b-p \d|'tags'", str(raw))


def a_token_is_asked_for(raw):
    assert raw["file_mounts"].get(TOKEN) == "~/.ray"
    for kind in KINDS:
        commands = commands_of(raw, kind)
        (run,) = [line for line in commands if "docker run" in line]
        assert "--env RAY_AUTH_MODE=token" in run
        assert f"/home/ray/.ray/:{TOKEN} " in run.replace(f"{TOKEN}:", f"{TOKEN}/:"), "a folder, not a file"
        ray_starts = [line for line in commands if "ray start" in line]
        assert ray_starts
        assert all(f"docker exec -it  {raw['docker']['container_name']} " in line for line in ray_starts)
        assert commands.index(run) < commands.index(ray_starts[0])


def memory_fits(raw):
    shared = amount(option_of(raw, "shm-size").removesuffix("g") + "Gi")
    for kind in starts(raw).values():
        assert 0 < (kind["object_store_memory"] or 0) <= 0.95 * shared
    for kind in raw["available_node_types"].values():
        machine = kind["node_config"].get("InstanceType") or kind["node_config"].get("machineType")
        assert shared <= 0.4 * MEMORY[machine], machine


def ray_starts_as_it_should(raw):
    head, worker = starts(raw).values()
    assert (head["head"], head["port"], head["disable_usage_stats"]) == (True, 6379, True)
    assert (worker["head"], worker["address"]) == (False, "$RAY_HEAD_IP:6379")
    assert head["autoscaling_config"] == "~/ray_bootstrap_config.yaml"
    assert "--env RAY_USAGE_STATS_ENABLED=0" in raw["docker"]["run_options"]


def raygan_is_installed_from_the_checkout(raw):
    mounted = {there: here for there, here in raw["file_mounts"].items() if there.startswith("/home/ray/raygan")}
    assert mounted == {f"/home/ray/raygan/{name}": name for name in SOURCES}
    assert raw["rsync_exclude"] == ["__pycache__"]
    assert "rsync_filter" not in raw
    for kind in KINDS:
        commands = commands_of(raw, kind)
        installs = [number for number, line in enumerate(commands) if "/home/ray/raygan[cluster]" in line]
        first_start = next(number for number, line in enumerate(commands) if "ray start" in line)
        assert [number < first_start for number in installs] == [True]
    check_pins(raw["setup_commands"][0], pinned(raw["docker"]["image"])[0])


def check_pins(command, version):
    """A line of pip: exact versions, those of ray and torch among them, that raygan can live with."""
    words = [word for word in shlex.split(command)[2:] if not word.startswith(("-", "/"))]
    pins = {Requirement(word).name: Requirement(word) for word in words}
    assert all(re.fullmatch(r"==\d+\.\d+\.\d+", str(pin.specifier)) for pin in pins.values()), words
    assert pins.keys() == {"ray", "torch", "torchvision"}
    assert str(pins["ray"].specifier) == f"=={version}"
    for name, pin in pins.items():
        assert needed(name).specifier.contains(str(pin.specifier).removeprefix("=="))


def needed(name):
    """What raygan asks of a package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (found,) = [one for one in map(Requirement, project["dependencies"]) if one.name == name]
    return found


def machines_leave_nothing_and_ask_for_tokens(raw):
    if raw["provider"]["type"] != "aws":
        return
    for kind in raw["available_node_types"].values():
        (disk,) = kind["node_config"]["BlockDeviceMappings"]
        assert disk["Ebs"]["DeleteOnTermination"] is True
        assert kind["node_config"]["MetadataOptions"]["HttpTokens"] == "required"


CHECKS = [
    machines_leave_nothing_and_ask_for_tokens,
    ray_takes_it,
    versions_are_those_tested,
    the_head_holds_no_device,
    workers_come_and_go,
    nothing_is_open_but_ssh,
    a_token_is_asked_for,
    memory_fits,
    ray_starts_as_it_should,
    raygan_is_installed_from_the_checkout,
]
