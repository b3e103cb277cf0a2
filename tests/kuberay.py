"""The fields of a KubeRay job that scripts/cluster/rayjob.yaml uses, and nothing else.

Names and kinds are those of the API reference of `ray.io/v1` (KubeRay 1.5 to 1.7) and of Kubernetes' core API.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_SUFFIXES = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def amount(quantity: str) -> float:
    """A Kubernetes quantity as a number, such as 28Gi in bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([a-zA-Z]*)", quantity)
    if found is None or found[2] not in _SUFFIXES:
        raise ValueError(f"{quantity!r} is not a quantity")
    return float(found[1]) * _SUFFIXES[found[2]]


def _quantity(text: str) -> str:
    amount(text)
    return text


Quantity = Annotated[str, AfterValidator(_quantity)]
Amounts = dict[Literal["cpu", "memory", "nvidia.com/gpu"], Quantity]
Name = Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Count = Annotated[int, Field(ge=0)]


class Part(BaseModel):
    """A part of the file: nothing else may be in it, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class Metadata(Part):
    """What it is called."""

    name: Name


class Port(Part):
    """A port of a container."""

    name: Annotated[Name, Field(max_length=15)]
    container_port: Annotated[int, Field(gt=0, lt=65536)]


class Mount(Part):
    """Where a volume is seen."""

    name: Name
    mount_path: Annotated[str, Field(pattern="^/")]


class EmptyDir(Part):
    """A folder that lives as long as its pod."""

    medium: Literal["Memory", ""]
    size_limit: Quantity


class Volume(Part):
    """A volume of a pod."""

    name: Name
    empty_dir: EmptyDir


class Resources(Part):
    """What a container asks for, and the most that it may take."""

    requests: Amounts
    limits: Amounts


class Container(Part):
    """A container of a pod."""

    name: Name
    image: str
    resources: Resources
    ports: list[Port] = []
    volume_mounts: list[Mount]


class PodSpec(Part):
    """A pod; autoscaler v2 wants pods that are not restarted."""

    restart_policy: Literal["Never"]
    containers: Annotated[list[Container], Field(min_length=1, max_length=1)]
    volumes: list[Volume]


class Template(Part):
    """What pods of a group are like."""

    spec: PodSpec

    @property
    def container(self) -> Container:
        """Its only one."""
        return self.spec.containers[0]


class Head(Part):
    """The head of the Ray cluster."""

    service_type: Literal["ClusterIP"]
    ray_start_params: dict[str, str]
    template: Template


class Workers(Part):
    """A group of workers."""

    group_name: Name
    replicas: Count
    min_replicas: Count
    max_replicas: Count
    ray_start_params: dict[str, str]
    template: Template


class Auth(Part):
    """Who may use the cluster (KubeRay 1.5.1 and newer)."""

    mode: Literal["token", "disabled"]


class Autoscaler(Part):
    """How workers come and go."""

    version: Literal["v1", "v2"]
    idle_timeout_seconds: Count


class Cluster(Part):
    """The Ray cluster of a job."""

    ray_version: str
    auth_options: Auth
    enable_in_tree_autoscaling: bool
    autoscaler_options: Autoscaler
    head_group_spec: Head
    worker_group_specs: list[Workers]


class Spec(Part):
    """A job, and the cluster that is made for it."""

    entrypoint: str
    submission_mode: Literal["K8sJobMode", "HTTPMode", "SidecarMode", "InteractiveMode"]
    backoff_limit: Count
    active_deadline_seconds: Annotated[int, Field(gt=0)]
    shutdown_after_job_finishes: bool
    ttl_seconds_after_finished: Count
    ray_cluster_spec: Cluster


class RayJob(Part):
    """The whole file."""

    api_version: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: Spec
