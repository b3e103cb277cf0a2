"""One cache folder and one Ray cluster for the whole session, both private to it."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.head import Head, running_head

os.environ["RAY_AUTH_MODE"] = "disabled"  # no token is written to the home folder
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

# A busy machine is no reason for a test to fail.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


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
