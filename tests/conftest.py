"""One cache folder and one Ray cluster for the whole session, both private to it; and who plays what, if several do."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.head import Head, running_head

os.environ["RAY_AUTH_MODE"] = "disabled"  # no token is written to the home folder
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ |= {"RAY_worker_niceness": "0"}  # Ray's 15 starves actors beside another process that plays tests
os.environ |= {"RAY_prestart_worker_first_driver": "0"}  # sixteen that nobody asks for: raygan's workers are forked
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # threads that spin while they wait take the cores from that process

# A busy machine is no reason for a test to fail.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

TOGETHER = {  # files that use one cluster of the session, which takes long to start, in one process
    "tests/executors/test_executors.py": "cluster",
    "tests/sweep/test_tune.py": "cluster",
    "tests/test_docs_code.py": "cluster",
    "tests/record/test_storage.py": "cluster",
    "tests/compression/test_runs.py": "cluster",
    "tests/executors/test_stacked.py": "cluster",
    "tests/methods/test_adaptive.py": "cluster",
    "tests/methods/test_drift.py": "cluster",
    "tests/methods/test_feedback.py": "cluster",
    "tests/methods/test_fegan.py": "cluster",
    "tests/test_jobs.py": "head",
    "tests/cluster/test_joining.py": "head",
    "tests/plan/test_here.py": "head",
}
FIRST = (  # the files that take longest, on a cluster and on others
    *(file for file, what in TOGETHER.items() if what == "cluster"),
    "tests/executors/test_nodes.py",
    *(file for file, what in TOGETHER.items() if what == "head"),
    "tests/test_extending.py",
    "tests/test_cli.py",
    "tests/test_notebook.py",
)


def file_of(nodeid: str) -> str:
    """Where a test is."""
    return nodeid.split("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of several processes (`-n 2 --dist loadfile`), one runs all files that share a cluster of the session."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return TOGETHER.get(file_of(nodeid), file_of(nodeid))

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several processes begin with the files that take longest, so that none waits at the end. One keeps the order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        rank = {file: number for number, file in enumerate(reversed(FIRST), 1)}
        items.sort(key=lambda item: -rank.get(file_of(item.nodeid), 0))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing of the user's cache is read or written."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["RAYGAN_CACHE"] = str(folder)
    yield folder
    del os.environ["RAYGAN_CACHE"]


@pytest.fixture(scope="session")
def cluster(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Ray with 16 logical CPUs and 2 logical GPUs."""
    import ray

    ray.init(
        "local",  # whatever else runs on this machine
        num_cpus=16,
        num_gpus=2,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A cluster that takes jobs; nothing of it is in this process."""
    pytest.importorskip("aiohttp", reason="needs ray[default]")
    with running_head(tmp_path_factory.mktemp("cache-of-head")) as running:
        yield running
