"""GPUs by their names in Ray, with the usual machine of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GpuKind:
    """A kind of GPU, and the CPUs and memory per GPU of the usual cloud machine."""

    memory_gb: float
    """Memory of the GPU."""
    cpus: int
    """vCPUs of the machine, per GPU."""
    ram_gb: float
    """Memory of the machine, per GPU."""


# From general knowledge of these AWS and GCP machine types: check them before you rely on them. Machines with
# several GPUs often have more CPUs and memory for each.
GPUS = {
    "T4": GpuKind(16, 4, 16),  # AWS g4dn.xlarge
    "V100": GpuKind(16, 8, 61),  # AWS p3.2xlarge
    "A10G": GpuKind(24, 8, 32),  # AWS g5.2xlarge, as in cluster.yaml
    "L4": GpuKind(24, 8, 32),  # GCP g2-standard-8, as in scripts/cluster/gcp.yaml; AWS g6.2xlarge
    "L40S": GpuKind(48, 4, 32),  # AWS g6e.xlarge
    "A100": GpuKind(40, 12, 85),  # GCP a2-highgpu-1g
    "A100-40G": GpuKind(40, 12, 85),  # the same
    "A100-80G": GpuKind(80, 12, 170),  # GCP a2-ultragpu-1g
    "H100": GpuKind(80, 26, 234),  # GCP a3-highgpu-1g
    "H200": GpuKind(141, 24, 256),  # an eighth of AWS p5e.48xlarge
    "B200": GpuKind(180, 24, 256),  # an eighth of AWS p6-b200.48xlarge
}
"""The known kinds."""

SEVERAL_SIZES = {"V100": (16, 32), "A100": (40, 80)}
"""Kinds of several sizes (GB). Ray 2.60 takes names from NVML, without memory, so that one name is of both."""

UNKNOWN_KIND = "GPU"
"""A GPU of unknown kind in a description; its machine is assumed to be as small as the smallest above."""
UNKNOWN_CPUS, UNKNOWN_RAM_GB = 4, 16.0
"""CPUs and memory of that machine, per GPU."""
