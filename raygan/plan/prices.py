"""The hourly price of the nodes of a plan, and the cost of a run on them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from raygan.errors import InputError
from raygan.plan.described import kind_of
from raygan.plan.gpus import UNKNOWN_KIND
from raygan.plan.machines import Machine

PRICE = (
    "What a node costs an hour, by its kind: A10G=1.2 (a GPU), 4xA10G=5.7 (four), 8cpu=0.4 (no GPU), in any currency. "
    "Can be repeated."
)
ROUND_S = (
    "What a round takes in reality (seconds), as a short run measures it: by how much wall_s grows in rounds.jsonl."
)
_PRICE = re.compile(
    r"(?:(?P<cpus>[0-9]{1,9})cpu|(?:(?P<gpus>[0-9]{1,9})x)?(?P<kind>[a-z][\w-]*))=(?P<price>[0-9]{1,9}(?:\.[0-9]{1,9})?)",
    re.ASCII | re.IGNORECASE,
)


def prices_of(words: Sequence[str]) -> dict[str, float]:
    """Parse prices by the kind of a node.

    Raises:
        InputError: a word is wrong, or says again what another says.
    """
    prices: dict[str, float] = {}
    for word in words:
        match = _PRICE.fullmatch(word)
        if match is None:
            raise InputError(f"--price {word}: a price is KIND=NUMBER, such as A10G=1.2, 4xA10G=5.7 or 8cpu=0.4")
        kind = (
            f"{int(match['cpus'])}cpu"
            if match["cpus"]
            else _gpus(int(match["gpus"] or 1), kind_of(f"--price {word}", match["kind"]))
        )
        if kind in prices:
            raise InputError(f"--price {word}: the price of {kind} is said before it")
        prices[kind] = float(match["price"])
    return prices


def cost_lines(
    machines: Sequence[Machine], prices: Mapping[str, float], rounds: int, round_s: float | None
) -> list[tuple[str, str]]:
    """Returns the lines of a plan about money: an hour of these machines, and the run.

    Raises:
        InputError: a price is of a kind that no machine is of.
    """
    counts = Counter(map(_kind, machines))
    for kind in prices:
        if kind not in counts:
            raise InputError(f"--price {kind}=...: no node is of this kind; they are {', '.join(counts)}")
    if not prices:
        return []
    hourly = sum(count * prices.get(kind, 0.0) for kind, count in counts.items())
    parts = ", ".join(f"{count} x {kind} at {prices[kind]:g}" for kind, count in counts.items() if kind in prices)
    free = ", ".join(f"{count} x {kind}" for kind, count in counts.items() if kind not in prices)
    lines = [("price", f"{hourly:.2f} an hour: {parts}{f'; without a price: {free}' if free else ''}")]
    if round_s is None:
        each = hourly * rounds / 3600
        return [*lines, ("cost", f"{each:.3g} for every second that a round takes ({rounds} rounds; --round-s)")]
    hours = rounds * round_s / 3600
    rest = "start, evaluations and idle time come on top"
    of = f"{rounds} of {round_s:g} s, {hours:.3g} hours"
    return [*lines, ("cost", f"{hourly * hours:.2f} for the rounds ({of}); {rest}")]


def _kind(machine: Machine) -> str:
    gpus = int(machine.node.room.get("GPU", 0))
    return _gpus(gpus, machine.gpu or UNKNOWN_KIND) if gpus else f"{machine.node.room.get('CPU', 0):g}cpu"


def _gpus(count: int, kind: str) -> str:
    return kind if count == 1 else f"{count}x{kind}"
