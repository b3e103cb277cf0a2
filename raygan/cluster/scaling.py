"""What an autoscaler of Ray's does, read from the status that it reports (version 1 and 2). Independent of Ray."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_FAILED = re.compile(r"Failed to launch \S+ node(?:s|\(s\)) of type (?P<type>[^\s:]+?)[.:] (?P<words>.*\S)")

_BY_HAND = re.compile(r"node_[0-9a-f]{56}")


@dataclass(frozen=True)
class Failure:
    """A launch that failed."""

    type: str
    at: int
    """When (seconds since 1970, on the head's clock)."""
    words: str
    """The provider's; empty if the status lacks them."""


@dataclass(frozen=True)
class Scaling:
    """The state of an autoscaler."""

    present: Mapping[str, int]
    """Nodes that have joined the cluster, by type; without those that the autoscaler did not start."""
    requested: Mapping[str, int]
    """Nodes that have been requested of the provider, by type."""
    starting: Mapping[str, int]
    """Machines that are there and have not joined yet, by type."""
    failures: tuple[Failure, ...]
    infeasible: frozenset[str]
    """Placement groups (by Ray's id) that fit no nodes that it could start now; version 1 does not report them."""

    def launching(self) -> str:
        """Returns in a few words what is on its way, or nothing."""
        starting = [f"{count} {name} starting" for name, count in sorted(self.starting.items())]
        return ", ".join([*starting, *(f"{count} {name} requested" for name, count in sorted(self.requested.items()))])


def scaling_of_v2(reply: Mapping[str, Any]) -> Scaling | None:
    """Returns the state in the reply to GetClusterStatus, as JSON; None if no autoscaler of version 2 reports.

    Ray 2.60 gives no reason for a failure there; the words are in the autoscaler's log.
    """
    state = reply.get("autoscaling_state") or {}
    if not int(state.get("autoscaler_state_version", 0)):
        return None
    nodes = (reply.get("cluster_resource_state") or {}).get("node_states", [])
    living = [node for node in nodes if node.get("status") != "DEAD"]
    return Scaling(
        present=_typed(Counter(node["ray_node_type_name"] for node in living if node.get("ray_node_type_name"))),
        requested=_by_type(state.get("pending_instance_requests", ())),
        starting=_by_type(state.get("pending_instances", ())),
        failures=tuple(
            Failure(one["ray_node_type_name"], int(one.get("failed_ts", 0)), one.get("reason", ""))
            for one in state.get("failed_instance_requests", ())
        ),
        infeasible=frozenset(
            one.get("details", "").split(":")[0] for one in state.get("infeasible_gang_resource_requests", ())
        ),
    )


def _typed(nodes: Counter[str]) -> Counter[str]:
    """Returns the nodes without those that joined by hand, each of which Ray calls a type of its own."""
    return Counter({name: count for name, count in nodes.items() if not _BY_HAND.fullmatch(name)})


def _by_type(instances: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for one in instances:
        found[one["ray_node_type_name"]] += int(one.get("count", 1))
    return found


def scaling_of_v1(status: Mapping[str, Any]) -> Scaling | None:
    """Returns the state that an autoscaler of version 1 keeps in Ray's key-value store, as JSON, or None."""
    report = status.get("autoscaler_report")
    if report is None:
        return None
    known = (report.get("node_availability_summary") or {}).get("node_availabilities", {})
    return Scaling(
        present=_typed(Counter(report.get("active_nodes") or {}) + Counter(report.get("idle_nodes") or {})),
        requested=Counter(report.get("pending_launches") or {}),
        starting=Counter(node[1] for node in report.get("pending_nodes") or ()),
        failures=tuple(
            Failure(name, int(one["last_checked_timestamp"]), _words_v1(one["unavailable_node_information"] or {}))
            for name, one in known.items()
            if not one["is_available"]
        ),
        infeasible=frozenset(),
    )


def _words_v1(why: Mapping[str, str]) -> str:
    return ": ".join(word for word in (why.get("category"), why.get("description")) if word)


def words_in(log: str) -> dict[str, str]:
    """Returns the provider's last words on a failed launch of each type, from the log of an autoscaler."""
    return {found["type"]: found["words"] for found in map(_FAILED.search, log.splitlines()) if found}


class Failures:
    """The failures of launches while a run waits; those of before do not count."""

    def __init__(self) -> None:
        self._before: frozenset[tuple[str, int]] | None = None
        self._tries: Counter[str] = Counter()
        self._seen: set[tuple[str, int]] = set()
        self._words: dict[str, str] = {}

    def note(self, scaling: Scaling, words: Mapping[str, str]) -> None:
        """Note a state; `words` are those of the log."""
        now = frozenset((one.type, one.at) for one in scaling.failures)
        if self._before is None:
            self._before = now
        for one in scaling.failures:
            if (one.type, one.at) not in self._seen | self._before:
                self._seen.add((one.type, one.at))
                self._tries[one.type] += 1
        self._words |= {one.type: one.words for one in scaling.failures if one.words}
        self._words |= {name: said for name, said in words.items() if not self._words.get(name)}

    def lack_words(self) -> bool:
        """Returns whether a failure is known without the provider's words."""
        return any(not self._words.get(name) for name in self._tries)

    def hopeless(self, helpful: frozenset[str] = frozenset()) -> bool:
        """Returns whether all types have failed often, with words that waiting does not change.

        They are those that were tried, and the `helpful` ones, which an autoscaler may try next.
        """
        return (
            bool(self._tries)
            and helpful <= self._tries.keys()
            and all(
                count >= _OFTEN and bool(_LASTING.search(self._words.get(name, "")))
                for name, count in self._tries.items()
            )
        )

    def forget(self) -> None:
        """Start again, because a node has come."""
        self._before = None
        self._tries.clear()

    def told(self, counting: bool = False) -> str:
        """Returns the types that could not be started, and the provider's words; nothing if there are none."""
        return "; ".join(
            f"{name} could not be started{f', {count} times' if counting and count > 1 else ''}: "
            f"{_short(self._words.get(name) or 'the provider gave no reason')}"
            for name, count in sorted(self._tries.items())
        )


_OFTEN = 3
"""Tries after which words that waiting does not change are believed: an autoscaler tries again every 5 seconds."""
_LASTING = re.compile(
    r"(?<!rate)(?<!rate )(?<!request)(?<!request )limit ?exceeded|count ?exceeded|quota|not ?authorized|unauthorized|"
    r"access ?denied|permission|forbidden|optinrequired|pendingverification|notfound|invalid",
    re.IGNORECASE,
)
"""Reasons that lie in the account or in the cluster file. A lack of machines is none: that may end while one waits."""
_LONGEST = 300


def _short(words: str) -> str:
    words = words.rstrip(". ")
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ..."
