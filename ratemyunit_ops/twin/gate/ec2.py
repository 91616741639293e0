"""EC2's small holes: reboots are counted for the keeper, a template is obeyed whole and a client token once,
Instance Connect endpoints are kept."""

import os
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.models.instances import Instance, MetadataOptions
from moto.ec2.responses import EC2Response
from moto.moto_api._internal import mock_random

from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend, refuse

ENDPOINTS: dict[str, dict[str, Any]] = {}
CONSOLE_BYTES = 64 * 1024

_reboot = Instance.reboot


@mend(Instance)
def reboot(self: Instance) -> None:
    """Note one more reboot; the keeper compares the count."""
    _reboot(self)
    self.reboots = getattr(self, "reboots", 0) + 1  # type: ignore[attr-defined]


_run_instances = EC2Response.run_instances


@mend(EC2Response)
def run_instances(self: Any) -> ActionResult:
    """Launch as moto does, but by the whole template, and only once for a client token."""
    token = self._get_param("ClientToken")
    reservations = list(self.ec2_backend.reservations.values())
    known = next((r for r in reservations if token and any(i.client_token == token for i in r.instances)), None)
    if known is not None:
        return ActionResult(known)
    answer = _run_instances(self)
    asked = self._get_param("LaunchTemplate", {})
    if asked:
        template = self.ec2_backend._get_template_from_args(asked)
        made: Any = answer.result
        for instance in made.instances:
            dress(instance, template.data)
    return answer


def dress(instance: Instance, template: dict[str, Any]) -> None:
    """Give a launched instance what moto forgets of its template: groups, profile and metadata options."""
    named = [id for nic in template.get("NetworkInterfaces") or [] for id in nic.get("Groups") or []]
    groups = [group for id in named if (group := instance.ec2_backend.get_security_group_from_id(id))]
    for nic in instance.nics.values():
        # moto gives an interface that was asked for no group its network's default one.
        if groups and all(group.is_default for group in nic._group_set):
            nic._group_set = list(groups)
    profile = template.get("IamInstanceProfile") or {}
    if profile:
        instance.ec2_backend.associate_iam_instance_profile(
            instance.id, iam_instance_profile_name=profile.get("Name"), iam_instance_profile_arn=profile.get("Arn")
        )
    if template.get("MetadataOptions"):
        instance.metadata_options = MetadataOptions(template["MetadataOptions"])


def profile_of(instance: Instance) -> str:
    """Answer the ARN of an instance's profile; empty when it has none."""
    association = instance.ec2_backend.iam_instance_profile_associations.get(instance.id)
    return str(association.iam_instance_profile.arn) if association else ""


@mend(EC2Response)
def get_console_output(self: Any) -> ActionResult:
    """Answer the end of a machine's console, as much as EC2 keeps; nothing where the gate runs without machines.

    Raises: InvalidInstanceID.NotFound.
    """
    instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
    log = Path(os.environ.get("RMU_TWIN_LOGS", "/nonexistent")) / f"machine-{instance.id}.log"
    text = log.read_bytes()[-CONSOLE_BYTES:].decode(errors="replace") if log.exists() else ""
    return ActionResult({"InstanceId": instance.id, "Output": Base64EncodedString.from_raw_string(text)})


@mend(EC2Response)
def create_instance_connect_endpoint(self: Any) -> ActionResult:
    """Keep an endpoint; it is available at once."""
    id = f"eice-{mock_random.get_random_hex(17)}"
    subnet = self.ec2_backend.get_subnet(self._get_param("SubnetId"))
    tags = [tag for spec in self._get_param("TagSpecifications", []) or [] for tag in spec.get("Tags", [])]
    ENDPOINTS[id] = {
        "OwnerId": ACCOUNT,
        "InstanceConnectEndpointId": id,
        "InstanceConnectEndpointArn": f"arn:aws:ec2:{self.region}:{ACCOUNT}:instance-connect-endpoint/{id}",
        "State": "create-complete",
        "DnsName": f"{id}.ec2-instance-connect-endpoint.{self.region}.amazonaws.com",
        "PreserveClientIp": bool(self._get_bool_param("PreserveClientIp", False)),
        "SecurityGroupIds": self._get_param("SecurityGroupIds", []) or [],
        "SubnetId": subnet.id,
        "VpcId": subnet.vpc_id,
        "AvailabilityZone": subnet.availability_zone,
        "Tags": tags,
    }
    return ActionResult({"InstanceConnectEndpoint": ENDPOINTS[id]})


@mend(EC2Response)
def describe_instance_connect_endpoints(self: Any) -> ActionResult:
    """List endpoints.

    Raises: InvalidInstanceConnectEndpointId.NotFound.
    """
    ids = self._get_param("InstanceConnectEndpointIds", []) or list(ENDPOINTS)
    return ActionResult({"InstanceConnectEndpoints": [_endpoint(id) for id in ids]})


@mend(EC2Response)
def delete_instance_connect_endpoint(self: Any) -> ActionResult:
    """Forget an endpoint.

    Raises: InvalidInstanceConnectEndpointId.NotFound.
    """
    endpoint = _endpoint(self._get_param("InstanceConnectEndpointId"))
    del ENDPOINTS[endpoint["InstanceConnectEndpointId"]]
    return ActionResult({"InstanceConnectEndpoint": {**endpoint, "State": "delete-complete"}})


def _endpoint(id: str) -> dict[str, Any]:
    if id not in ENDPOINTS:
        raise refuse("InvalidInstanceConnectEndpointId.NotFound", f"The endpoint {id} does not exist")
    return ENDPOINTS[id]
