"""Ray's set-up for AWS with cluster.yaml, against a simulation of EC2 and IAM (moto); and the workers' role."""

import copy
import json
import re
import shlex
from types import SimpleNamespace

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster_checks import ROOT

pytestmark = pytest.mark.nightly

FILE = yaml.safe_load((ROOT / "cluster.yaml").read_text())
REGION = FILE["provider"]["region"]
POLICIES = ROOT / "scripts/cluster/aws"
WORKER, OTHER = (f"arn:aws:iam::123456789012:role/{name}" for name in ("raygan-worker", "admin"))
TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}
COMMANDS = [
    line.strip()
    for line in (ROOT / "docs/clusters.md").read_text().replace("\\\n", " ").splitlines()
    if line.startswith("    aws iam ")
]


@pytest.fixture
def aws(monkeypatch, tmp_path):
    """An account, with an image in the place of that of cluster.yaml; nobody is waited for."""
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", REGION)):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray keeps the key of its nodes in ~/.ssh
    (tmp_path / ".ssh").mkdir()
    monkeypatch.chdir(ROOT)
    moto = pytest.importorskip("moto", reason="the extra `dev` brings it")
    boto3 = pytest.importorskip("boto3")
    with moto.mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        from ray.autoscaler._private.aws import config, node_provider, utils

        monkeypatch.setattr(config.time, "sleep", lambda seconds: None)
        for cached in (utils.resource_cache, utils.client_cache, node_provider.list_ec2_instances):
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
        yield SimpleNamespace(ec2=boto3.client("ec2", REGION), iam=boto3.client("iam", REGION), config=config)


def image(ec2):
    return ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]


def set_up(aws, **of_worker):
    """cluster.yaml as `ray up` completes it."""
    raw = copy.deepcopy(FILE)
    for kind in raw["available_node_types"].values():
        kind["node_config"]["ImageId"] = image(aws.ec2)
    raw["available_node_types"]["gpu"]["node_config"].update(of_worker)
    raw["available_node_types"]["gpu_spot"]["node_config"].update(of_worker)
    prepared = prepare_config(raw)
    validate_config(prepared)
    return aws.config.bootstrap_aws(prepared)


def started(aws, config, kind):
    """The machine that Ray's provider makes of a type of node."""
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    provider = AWSNodeProvider(config["provider"], config["cluster_name"])
    made = provider.create_node(config["available_node_types"][kind]["node_config"], {"ray-node-kind": "worker"}, 1)
    (found,) = aws.ec2.describe_instances(InstanceIds=list(made))["Reservations"]
    return found["Instances"][0]


def run_of_docs(aws):
    """Do what the page says, with boto3 in the place of its command line."""
    for command in COMMANDS:
        _, _, name, *words = shlex.split(command)
        given = dict(zip(words[::2], words[1::2], strict=True))
        arguments = {
            re.sub("-(.)", lambda found: found[1].upper(), f"-{option[2:]}"): (ROOT / value[7:]).read_text()
            if value.startswith("file://")
            else value
            for option, value in given.items()
        }
        getattr(aws.iam, name.replace("-", "_"))(**arguments)


@pytest.mark.parametrize("kind", ["gpu", "gpu_spot"])
def test_a_worker_asks_for_tokens_and_leaves_no_disk(kind, aws):
    machine = started(aws, set_up(aws), kind)
    assert machine["InstanceType"] == "g5.2xlarge"
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    (disk,) = machine["BlockDeviceMappings"]
    assert disk["Ebs"]["DeleteOnTermination"] is True
    assert "IamInstanceProfile" not in machine


def test_a_worker_has_the_profile_that_the_page_makes(aws):
    set_up(aws)  # Ray makes the role of the head, which the page adds a policy to
    run_of_docs(aws)
    machine = started(aws, set_up(aws, IamInstanceProfile={"Name": "raygan-worker"}), "gpu")
    assert machine["IamInstanceProfile"]["Arn"].endswith(":instance-profile/raygan-worker")
    (role,) = aws.iam.get_instance_profile(InstanceProfileName="raygan-worker")["InstanceProfile"]["Roles"]
    assert role["RoleName"] == "raygan-worker"
    attached = aws.iam.list_attached_role_policies(RoleName="raygan-worker")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonS3ReadOnlyAccess"]


def permits(documents, action, resource, **given):
    """Whether policies permit an action, by moto's own judgement."""
    from moto.iam.access_control import IAMPolicy, PermissionResult

    judged = [IAMPolicy(document).is_action_permitted(action, resource, None, given or None) for document in documents]
    return PermissionResult.PERMITTED in judged and PermissionResult.DENIED not in judged


def policies_of_head(aws):
    """Ray's role of the head: the documents of AWS's own policies, and those written into the role."""
    role, documents = "ray-autoscaler-v1", []
    for policy in aws.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        arn = policy["PolicyArn"]
        version = aws.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = aws.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        documents.append(json.dumps(found))
    for name in aws.iam.list_role_policies(RoleName=role)["PolicyNames"]:
        documents.append(json.dumps(aws.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]))
    return documents


def test_the_head_may_start_machines_and_pass_the_role_of_workers_only_with_the_policy(aws):
    set_up(aws)
    before = policies_of_head(aws)
    assert permits(before, "ec2:RunInstances", "*")
    assert not permits(before, "iam:PassRole", WORKER), "so a worker with a profile could not be started"
    run_of_docs(aws)
    after = policies_of_head(aws)
    assert permits(after, "iam:PassRole", WORKER, **TO_EC2)
    assert not permits(after, "iam:PassRole", OTHER, **TO_EC2)
    assert not permits(after, "iam:PassRole", WORKER, **{"iam:PassedToService": "lambda.amazonaws.com"})
