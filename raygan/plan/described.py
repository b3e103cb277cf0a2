"""Descriptions of clusters in a few words: 8xA10G is eight nodes with one GPU each. Independent of Ray.

    NODES x [GPUS x] KIND [:OPTION]...     without the blanks
    NODES x CPUS cpu [:OPTION]...

KIND is a GPU's name in Ray, or GPU for any other. The options override the usual values of each node, in any order and
each at most once: 8cpu (CPUs), 32GB (memory), 24GB-gpu (memory of each GPU), 10GB-store (Ray's object store). Case does
not matter. A memory that is as large as a GPU of this kind may be meant as either, and needs -ram or -gpu.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from raygan.cluster.layout import Node
from raygan.errors import InputError
from raygan.plan.gpus import GPUS, SEVERAL_SIZES, UNKNOWN_CPUS, UNKNOWN_KIND, UNKNOWN_RAM_GB, GpuKind
from raygan.plan.machines import LARGEST_STORE, STORE_SHARE, USABLE_SHARE, Machine, Site

MOST_NODES, MOST_EACH = 10_000, 100_000
"""Limits of a description: nodes, and CPUs, GPUs or GB of a node."""
GB_PER_CPU = 4.0
"""Memory of a machine without a GPU (general-purpose cloud machines, from general knowledge: check)."""

SPEC = (
    "Plan for these nodes, the driver's first; may be repeated. 8xA10G: 8 nodes, a GPU each; 2x4xA10G: 2 nodes of 4; "
    "4x16cpu: 4 nodes without. GPU stands for a GPU of unknown kind. Options override the usual values of a node, each "
    "after a colon: 8cpu, 32GB (memory), 24GB-gpu (memory of a GPU), 10GB-store (object store), as in "
    "2x4xGPU:48cpu:24GB-gpu.  [default: the cluster at engine.address or $RAY_ADDRESS, or this machine]"
)
"""The grammar, for users."""

_NODES = re.compile(
    r"(?P<count>[0-9]{1,9})x(?:(?P<cpus>[0-9]{1,9})cpu|(?:(?P<gpus>[0-9]{1,9})x)?(?P<kind>[a-z][\w-]*))",
    re.ASCII | re.IGNORECASE,
)
_OPTION = re.compile(
    r"(?P<cpus>[0-9]{1,9})cpu|(?P<gb>[0-9]{1,9}(?:\.[0-9]{1,3})?)GB(?P<of>|-ram|-gpu|-store)", re.ASCII | re.IGNORECASE
)
_EXAMPLES = "such as 8xA10G, 2x4xA10G:48cpu:192GB, 4x16cpu or 2x4xGPU:24GB-gpu"
_EXAMPLE = "8xGPU:8cpu:32GB:24GB-gpu"
_OPTIONS = {
    "cpu": "8cpu (CPUs of a node)",
    "": "32GB (memory of a node)",
    "-gpu": "24GB-gpu (memory of each GPU)",
    "-store": "10GB-store (object store of a node)",
}


@dataclass(frozen=True)
class Described:
    """A number of equal nodes. `str` gives the full description, which parses back to the same."""

    count: int
    cpus: int
    memory_gb: float
    gpus: int = 0
    kind: str = UNKNOWN_KIND
    gpu_gb: float | None = None
    """None: unknown."""
    store_gb: float | None = None
    """None: Ray's usual share."""

    def __str__(self) -> str:
        if not self.gpus:
            parts = [f"{self.count}x{self.cpus}cpu"]
        else:
            parts = [f"{self.count}x{f'{self.gpus}x' if self.gpus > 1 else ''}{self.kind}", f"{self.cpus}cpu"]
        of = "-ram" if self.gpus and _is_ambiguous(self.kind, self.gpus, self.memory_gb) else ""
        parts.append(f"{_number(self.memory_gb)}GB{of}")
        for value, what in ((self.gpu_gb, "gpu"), (self.store_gb, "store")):
            if value is not None:
                parts.append(f"{_number(value)}GB-{what}")
        return ":".join(parts)

    def machine(self, number: int) -> Machine:
        """Returns one of these nodes, as the `number`th of all, from 1."""
        room = {"CPU": float(self.cpus)} | ({"GPU": float(self.gpus)} if self.gpus else {})
        store = min(STORE_SHARE * self.memory_gb * 1e9, LARGEST_STORE) if self.store_gb is None else self.store_gb * 1e9
        return Machine(
            Node(str(number), f"node {number}", room),
            memory=USABLE_SHARE * self.memory_gb * 1e9,
            store=store,
            gpu=self.kind if self.gpus and self.kind != UNKNOWN_KIND else None,
            gpu_memory=self.gpu_gb * 1e9 if self.gpu_gb is not None else None,
        )


def described_site(specs: Sequence[str]) -> Site:
    """Returns the described cluster; the driver is on the first node.

    Raises:
        InputError: see `parse`.
    """
    described = [parse(spec) for spec in specs]
    kinds = [one for one in described for _ in range(one.count)]
    machines = [one.machine(number) for number, one in enumerate(kinds, 1)]
    nodes = [machine.node for machine in machines]
    count = f"{len(nodes)} node{'s' if len(nodes) > 1 else ''}"
    return Site(f"{count} as described, {' + '.join(map(str, described))}", machines, nodes[0].id, False, nodes)


def parse(spec: str) -> Described:
    """Parse a description.

    Raises:
        InputError: the description is wrong; says what would be right.
    """
    head, *options = spec.split(":")
    match = _NODES.fullmatch(head)
    if match is None:
        raise InputError(f"--nodes {spec}: {head!r} is no NODESx[GPUSx]KIND or NODESxCPUScpu, {_EXAMPLES}")
    count = _whole(spec, match["count"], 1, MOST_NODES, "nodes")
    given = _options(spec, options)
    return _of_gpus(spec, match, count, given) if match["kind"] else _of_cpus(spec, match, count, given)


def _of_cpus(spec: str, match: re.Match[str], count: int, given: dict[str, float]) -> Described:
    if "cpu" in given or "-gpu" in given:
        what = "its CPUs are given twice" if "cpu" in given else "it has no GPU to have memory"
        raise InputError(f"--nodes {spec}: {what}; {match[0]} takes {_OPTIONS['']} and {_OPTIONS['-store']}")
    cpus = _whole(spec, match["cpus"], 0, MOST_EACH, "CPUs")
    if cpus == 0 and "" not in given:
        raise InputError(f"--nodes {spec}: say how much memory a node without CPUs has, such as {match[0]}:16GB")
    memory = given.get("", GB_PER_CPU * cpus)
    return _checked(spec, Described(count, cpus, memory, store_gb=given.get("-store")))


def _of_gpus(spec: str, match: re.Match[str], count: int, given: dict[str, float]) -> Described:
    gpus = _whole(spec, match["gpus"] or "1", 1, MOST_EACH, "GPUs")
    kind = kind_of(f"--nodes {spec}", match["kind"])
    for option in spec.split(":")[1:]:
        if option.lower().endswith("gb") and _is_ambiguous(kind, gpus, given[""]):
            of_gpu, of_node = f"{option}-gpu", f"{option}-ram"
            raise InputError(
                f"--nodes {spec}: {option} may be the memory of a GPU ({of_gpu}) or of the node ({of_node}); say which"
            )
    usual = GPUS.get(kind, GpuKind(0.0, UNKNOWN_CPUS, UNKNOWN_RAM_GB))
    described = Described(
        count,
        int(given.get("cpu", usual.cpus * gpus)),
        given.get("", usual.ram_gb * gpus),
        gpus,
        kind,
        given.get("-gpu", usual.memory_gb or None),
        given.get("-store"),
    )
    return _checked(spec, described)


def _is_ambiguous(kind: str, gpus: int, memory_gb: float) -> bool:
    """Returns whether this may be meant as the memory of a GPU of the kind, which it would then not be."""
    usual = GPUS.get(kind)
    if usual is None or memory_gb == usual.ram_gb * gpus:
        return False
    return memory_gb in (usual.memory_gb, *SEVERAL_SIZES.get(kind, ()))


def kind_of(where: str, name: str) -> str:
    """Returns the canonical name of a GPU.

    Raises:
        InputError: it is unknown; the message starts with `where`.
    """
    names = {known.lower(): known for known in (*GPUS, UNKNOWN_KIND)}
    if name.lower() in names:
        return names[name.lower()]
    close = difflib.get_close_matches(name.lower(), list(names), n=1)
    hint = f"did you mean {names[close[0]]}?" if close else f"known: {', '.join(GPUS)}; any other is GPU, such as"
    example = "" if close else f" {_EXAMPLE}"
    raise InputError(f"{where}: {name!r} is no known GPU; {hint}{example}")


def _options(spec: str, options: Sequence[str]) -> dict[str, float]:
    """Returns the values by key in `_OPTIONS`."""
    given: dict[str, float] = {}
    for option in options:
        match = _OPTION.fullmatch(option)
        if match is None:
            raise InputError(f"--nodes {spec}: {option!r} is no option; they are {', '.join(_OPTIONS.values())}")
        key = "cpu" if match["cpus"] else match["of"].lower().removesuffix("-ram")
        if key in given:
            raise InputError(f"--nodes {spec}: {option!r} says again what is said before it")
        given[key] = float(match["cpus"] or match["gb"])
    return given


def _checked(spec: str, described: Described) -> Described:
    """Reject impossible sizes."""
    sizes = {"memory": described.memory_gb, "memory of a GPU": described.gpu_gb, "object store": described.store_gb}
    for what, size in sizes.items():
        if size is not None and not 0 < size <= MOST_EACH:
            raise InputError(f"--nodes {spec}: {what} of {_number(size)} GB; above 0 and up to {MOST_EACH} is right")
    if described.store_gb is not None and described.store_gb > described.memory_gb:
        raise InputError(
            f"--nodes {spec}: an object store of {_number(described.store_gb)} GB is more than the memory it is in, "
            f"{_number(described.memory_gb)} GB"
        )
    if not described.cpus <= MOST_EACH:
        raise InputError(f"--nodes {spec}: {described.cpus} CPUs; up to {MOST_EACH} are right")
    return described


def _whole(spec: str, digits: str, least: int, most: int, what: str) -> int:
    value = int(digits)
    if not least <= value <= most:
        raise InputError(f"--nodes {spec}: {digits} {what}; {least} to {most} are right")
    return value


def _number(value: float) -> str:
    """Returns a number to the MB, which is the precision of a description."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
