"""A provider for Ray's autoscaler that starts no machine, as a cloud account without a quota."""

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider

WORDS = (
    "An error occurred (VcpuLimitExceeded) when calling the RunInstances operation: You have requested more vCPU "
    "capacity than your current vCPU limit of 0 allows for the instance bucket that the specified instance type "
    "belongs to."
)


class FailingProvider(FakeMultiNodeProvider):
    """Refuses every machine."""

    def create_node_with_resources_and_labels(self, *arguments):
        """Raise what boto3 raises for a quota of zero, in these words."""
        raise RuntimeError(WORDS)
