"""What a Terraform made that died before it saved its state: found in its log or by name, to be imported.

Terraform saves its state every 20 seconds and at its end, no oftener, and a killed one gets to neither.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ratemyunit_ops.outside.aws.session import Account, Said
from ratemyunit_ops.outside.terraform_log import events

Planned = Mapping[str, Any]

NOT_THERE = frozenset({
    "404", "DBInstanceNotFound", "DBParameterGroupNotFound", "DBSubnetGroupNotFoundFault", "InvalidDocument",
    "InvalidLaunchTemplateName.NotFoundException", "LoadBalancerNotFound", "NoSuchBucket", "NoSuchEntity", "NoSuchKey",
    "ParameterNotFound", "RepositoryNotFoundException", "ResourceNotFoundException", "TargetGroupNotFound",
})  # fmt: skip


class Finder(NamedTuple):
    """How a resource is found by the name it was to have: a call, the planned attribute it asks with, its answer."""

    service: str
    operation: str
    argument: str
    attribute: str
    listed: str
    id: str


def _tagged(operation: str, listed: str, id: str) -> Finder:
    return Finder("ec2", operation, "Filters", "Name", listed, id)


# The slow ones first: they are what a death most likely finds unfinished. What is not here is made in a moment, or
# may be made twice without harm; if a death hits one of those, the next apply says that it is there already.
BY_NAME = {
    "aws_db_instance": Finder(
        "rds", "DescribeDBInstances", "DBInstanceIdentifier", "identifier", "DBInstances", "DBInstanceIdentifier"
    ),
    "aws_ec2_instance_connect_endpoint": _tagged(
        "DescribeInstanceConnectEndpoints", "InstanceConnectEndpoints", "InstanceConnectEndpointId"
    ),
    "aws_lb": Finder("elbv2", "DescribeLoadBalancers", "Names", "name", "LoadBalancers", "LoadBalancerArn"),
    "aws_vpc": _tagged("DescribeVpcs", "Vpcs", "VpcId"),
    "aws_vpc_endpoint": _tagged("DescribeVpcEndpoints", "VpcEndpoints", "VpcEndpointId"),
    "aws_launch_template": Finder(
        "ec2", "DescribeLaunchTemplates", "LaunchTemplateNames", "name", "LaunchTemplates", "LaunchTemplateId"
    ),
    "aws_iam_instance_profile": Finder(
        "iam", "GetInstanceProfile", "InstanceProfileName", "name", "InstanceProfile", "InstanceProfileName"
    ),
    "aws_autoscaling_group": Finder(
        *("autoscaling", "DescribeAutoScalingGroups", "AutoScalingGroupNames", "name"),
        *("AutoScalingGroups", "AutoScalingGroupName"),
    ),
    "aws_db_parameter_group": Finder(
        *("rds", "DescribeDBParameterGroups", "DBParameterGroupName", "name"),
        *("DBParameterGroups", "DBParameterGroupName"),
    ),
    "aws_db_subnet_group": Finder(
        "rds", "DescribeDBSubnetGroups", "DBSubnetGroupName", "name", "DBSubnetGroups", "DBSubnetGroupName"
    ),
    "aws_ecr_repository": Finder(
        "ecr", "DescribeRepositories", "repositoryNames", "name", "repositories", "repositoryName"
    ),
    "aws_iam_role": Finder("iam", "GetRole", "RoleName", "name", "Role", "RoleName"),
    "aws_internet_gateway": _tagged("DescribeInternetGateways", "InternetGateways", "InternetGatewayId"),
    "aws_lb_target_group": Finder("elbv2", "DescribeTargetGroups", "Names", "name", "TargetGroups", "TargetGroupArn"),
    "aws_route_table": _tagged("DescribeRouteTables", "RouteTables", "RouteTableId"),
    "aws_security_group": _tagged("DescribeSecurityGroups", "SecurityGroups", "GroupId"),
    "aws_ssm_document": Finder("ssm", "DescribeDocument", "Name", "name", "Document", "Name"),
    "aws_ssm_parameter": Finder("ssm", "GetParameter", "Name", "name", "Parameter", "Name"),
    "aws_subnet": _tagged("DescribeSubnets", "Subnets", "SubnetId"),
}

# Made by an operation that puts: a second time they are as they were. Their ids are not what an import asks for.
PUT = frozenset({"aws_iam_role_policy_attachment", "aws_cloudwatch_event_target", "aws_cloudwatch_log_metric_filter"})

RULES = {"aws_vpc_security_group_egress_rule": True, "aws_vpc_security_group_ingress_rule": False}
RULE_SAYS = {
    "cidr_ipv4": "CidrIpv4",
    "description": "Description",
    "from_port": "FromPort",
    "prefix_list_id": "PrefixListId",
    "security_group_id": "GroupId",
    "to_port": "ToPort",
}


class Death:
    """What a Terraform had done and was doing when it died without a last word.

    It saves its state every 20 seconds and at its end, no oftener: what it made since is in no state. Its log is.
    """

    def __init__(self, log: Path) -> None:
        self.died = False
        self.made: dict[str, str] = {}
        self.making: set[str] = set()
        if log.exists():
            self._read(log)

    def _read(self, log: Path) -> None:
        self.died = True
        for event in events(log):
            kind, hook = event.get("type"), event.get("hook", {})
            if kind == "change_summary" or (kind == "diagnostic" and event["diagnostic"]["severity"] == "error"):
                self.died = False
            if hook.get("action") != "create":
                continue
            address = hook["resource"]["addr"]
            if kind == "apply_start":
                self.making.add(address)
            elif kind == "apply_complete":
                self.making.discard(address)
                self.made[address] = hook["id_value"]

    def imports(self) -> dict[str, str]:
        """Name what was made by the id that an import asks for. What may be made twice without harm is left out."""
        if not self.died:
            return {}
        found = {address: self._import_id(address, id) for address, id in self.made.items()}
        return {address: id for address, id in found.items() if id is not None}

    def _import_id(self, address: str, id: str) -> str | None:
        kind = kind_of(address)
        if kind in PUT:
            return None
        if kind == "aws_route_table_association":
            # Imported by the two ends it ties together: the subnet and the table of its own name.
            subnet = self.made.get(address.replace(kind, "aws_subnet"))
            table = self.made.get(address.replace(kind, "aws_route_table").split("[")[0])
            return f"{subnet}/{table}" if subnet and table else None
        return id


def kind_of(address: str) -> str:
    """Name the type of a resource: the last part but one of its address, whatever its key holds."""
    return address.split("[")[0].split(".")[-2] if "." in address else ""


def exists(account: Account, service: str, operation: str, **arguments: Any) -> dict[str, Any] | None:
    """Ask for one thing; None where it is not there."""
    try:
        return account.ask(service, operation, **arguments)
    except Said as why:
        if why.code in NOT_THERE:
            return None
        raise


def find(account: Account, kind: str, planned: Planned) -> str | None:
    """Find the id of a thing that was being made, by its planned name; None where it is not there."""
    if kind in RULES:
        return _find_rule(account, kind, planned)
    how = BY_NAME.get(kind)
    if how is None:
        return None
    name = planned["tags"]["Name"] if how.attribute == "Name" else planned[how.attribute]
    value: Any = [name] if how.argument.endswith("Names") else name
    if how.argument == "Filters":
        value = [{"Name": "tag:Name", "Values": [name]}]
    found = exists(account, how.service, how.operation, **{how.argument: value})
    listed = (found or {}).get(how.listed) or []
    first = listed if isinstance(listed, dict) else next(iter(listed), {})
    return first.get(how.id)


def _find_rule(account: Account, kind: str, planned: Planned) -> str | None:
    """Find a security group's rule, which has no name, by all that was planned of it; None where that fits several."""
    wanted = {told: planned[name] for name, told in RULE_SAYS.items() if planned.get(name) is not None}
    env = planned["tags_all"]["rmu:env"]
    found = [
        rule["SecurityGroupRuleId"]
        for rule in account.pages("ec2", "DescribeSecurityGroupRules", "SecurityGroupRules")
        if rule["IsEgress"] == RULES[kind] and all(rule.get(told) == value for told, value in wanted.items())
        if {t["Key"]: t["Value"] for t in rule.get("Tags", ())}.get("rmu:env", env) == env
    ]
    return found[0] if len(found) == 1 else None


def wait_for_address(account: Account, identifier: str, seconds: float) -> None:
    """Wait until a database that is still being made has its address.

    An import reads what is there at that moment, and a place whose value is empty is none.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = exists(account, "rds", "DescribeDBInstances", DBInstanceIdentifier=identifier)
        if found is None or found["DBInstances"][0].get("Endpoint", {}).get("Address"):
            return
        time.sleep(1)
