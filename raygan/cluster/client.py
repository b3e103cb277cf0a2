"""Being a client of a cluster that this machine is no part of (Ray Client, `engine.address=ray://host:10001`)."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raygan.cluster.connection import knock
from raygan.errors import InputError

_CLIENT = "ray://"
_TRIES = 5  # Ray's server forks while its threads talk, and now and then the process it makes for a client is dead


def is_afar(address: str | None) -> bool:
    """Whether, with this `engine.address`, the cluster is one that this process is, or would be, a client of."""
    if ray.is_initialized():  # $RAY_ADDRESS no longer counts
        return is_client() or (address or "").startswith(_CLIENT)
    return _meant(address).startswith(_CLIENT)


def is_client() -> bool:
    """Whether this process is a client of a cluster already."""
    return bool(ray.util.client.ray.is_connected())


def _meant(address: str | None) -> str:
    """Ray itself takes $RAY_ADDRESS for `auto`, too."""
    return (os.environ.get("RAY_ADDRESS") if address in (None, "auto") else address) or ""


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Inside, this process is a client; a connection that the user has made stays.

    Raises:
        InputError: there is no client's server at the address, or it will not have us.
    """
    if is_client():
        if address is not None:
            raise InputError(
                f"engine.address: {address}, but this process is a client of a cluster already; leave it out"
            )
        yield
        return
    if ray.is_initialized():
        here = ray.get_runtime_context().gcs_address
        raise InputError(f"engine.address: {address}, but this process already uses the Ray at {here}")
    _join(_meant(address), "engine.address" if address not in (None, "auto") else "$RAY_ADDRESS")
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str, key: str) -> None:
    if find_spec("grpc") is None:
        raise InputError(f"engine.address: {address} needs Ray's client; pip install 'raygan[cluster]'")
    try:
        knock(address.removeprefix(_CLIENT))
    except (OSError, UnicodeError) as error:
        raise InputError(f"{key}: nobody listens at {address!r} (ray://host:port): {error}") from error
    for tries_left in reversed(range(_TRIES)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what the error says as well
                ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL)
            return
        except ConnectionAbortedError as error:
            if not tries_left:
                reason = str(error).strip().splitlines()[-1]
                raise InputError(f"{key}: {address}: Ray's server fails to serve a client: {reason}") from error
        except ConnectionError as error:
            raise InputError(
                f"{key}: {address}: {error}; it must be the port of Ray's client server (10001), and the "
                "token that of the cluster (RAY_AUTH_MODE=token, ~/.ray/auth_token)"
            ) from error
        except RuntimeError as error:  # other versions of Ray or Python there
            raise InputError(f"{key}: {address}: {' '.join(str(error).split())}") from error


def check_versions() -> None:
    """Refuse other versions there than here: what is sent is made for these.

    Raises:
        InputError: names what differs.
    """
    ask = there(ray.remote(version))
    for package in ("raygan", "torch"):
        here = version(package)
        try:
            found: str | None = ray.get(ask.remote(package))
        except PackageNotFoundError:
            found = None
        if found is None or _public(found) != _public(here):
            raise InputError(
                f"engine.address: {package} is {here} here, but {found or 'not installed'} on the cluster; install "
                f"{package} {_public(here)} on its nodes"
            )


def _public(version: str) -> str:
    """Without what says how it was built, such as +cpu."""
    return version.partition("+")[0]


def there(remote: Any, **options: Any) -> Any:
    """On the node of the client's server, as part of no simulated machine."""
    node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return remote.options(num_cpus=0, scheduling_strategy=node, **options)
