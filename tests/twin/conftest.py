"""One twin of its own for the tests that need real machines; skipped, saying so, where there is no root."""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import pytest

from ratemyunit_ops.twin.down import lower_ground
from ratemyunit_ops.twin.ground import missing
from ratemyunit_ops.twin.inner import call, client
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site
from ratemyunit_ops.twin.status import status
from ratemyunit_ops.twin.up import bring_up
from tests.twin.driver import Stack, raised_stack

T = TypeVar("T")

USER_DATA = b"""#!/bin/sh
set -eux
curl -fsS -o /tmp/agent.deb \
    https://s3.us-east-1.amazonaws.com/amazon-ssm-us-east-1/latest/debian_amd64/amazon-ssm-agent.deb
dpkg -i /tmp/agent.deb
mkdir -p /srv/www
hostname > /srv/www/index.html
touch /srv/www/health
systemd-run --unit web python3 -m http.server 8080 -d /srv/www
"""


class Twin:
    """A running twin and what tests ask of it."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def client(self, service: str) -> Any:
        return client(self.site, service)

    def call(self, action: str, body: Any = None) -> Any:
        return call(self.site, action, body)

    def status(self) -> dict[str, Any]:
        return status(self.site)

    def machine(self, name: str) -> Machine:
        return Machine(self.site, name)

    def up(self) -> None:
        bring_up(self.site, lambda line: print(line, file=sys.stderr))

    def shell(self, host: str, script: str, **more: Any) -> dict[str, Any]:
        """Run a script over SSM; answer the ended invocation."""
        ssm = self.client("ssm")
        asked = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": [script]}, **more}
        id = ssm.send_command(InstanceIds=[host], **asked)["Command"]["CommandId"]
        time.sleep(0.6)  # an invocation is invisible that long

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = ssm.get_command_invocation(CommandId=id, InstanceId=host)
            return None if found["Status"] in ("Pending", "InProgress", "Cancelling") else found

        return wait_for("the command's end", ended, 60)


def wait_for(what: str, look: Callable[[], T | None], seconds: float = 90) -> T:
    """Poll until `look` answers something."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.3)


@pytest.fixture(scope="session")
def twin() -> Iterator[Twin]:
    if os.geteuid() != 0 or missing():
        pytest.skip(f"needs root and {missing() or 'nothing else'}: the twin's machines are not proven here")
    site = Site(name="test", port_base=5580)
    lower_ground(site)
    running = Twin(site)
    running.up()
    yield running
    lower_ground(site)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Give the stack back to the next test when one fails in the middle of a run."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and report.when == "call" and isinstance(stack, Stack):
        stack.release()
    return report


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A twin of its own with the stack applied, shared by all tests that drive `rmu`."""
    if os.geteuid() != 0 or missing():
        pytest.skip(f"needs root and {missing() or 'nothing else'}: the twin's machines are not proven here")
    with raised_stack("road", 5620, tmp_path_factory.mktemp("road")) as raised:
        yield raised


class Web:
    """A group of one host behind a load balancer, as Terraform would make it."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        ec2, elb, asg = twin.client("ec2"), twin.client("elbv2"), twin.client("autoscaling")
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        zones = (("10.77.1.0/24", "us-east-1a"), ("10.77.2.0/24", "us-east-1b"))
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for block, zone in zones
        ]
        balancer = elb.create_load_balancer(Name="web", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        self.target_group = elb.create_target_group(
            Name="web",
            Protocol="HTTP",
            Port=8080,
            VpcId=vpc,
            HealthCheckPath="/health",
            HealthCheckTimeoutSeconds=2,
            HealthCheckIntervalSeconds=5,
            HealthyThresholdCount=2,
            UnhealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "2"}
        elb.modify_target_group_attributes(TargetGroupArn=self.target_group, Attributes=[delay])
        forward = {"Type": "forward", "TargetGroupArn": self.target_group}
        elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[forward])
        data = {"ImageId": "ami-12345678", "InstanceType": "t3.micro", "UserData": base64.b64encode(USER_DATA).decode()}
        ec2.create_launch_template(LaunchTemplateName="web", LaunchTemplateData=data)
        asg.create_auto_scaling_group(
            AutoScalingGroupName="web",
            MinSize=0,
            MaxSize=1,
            DesiredCapacity=1,
            HealthCheckType="ELB",
            HealthCheckGracePeriod=60,
            VPCZoneIdentifier=",".join(subnets),
            TargetGroupARNs=[self.target_group],
            LaunchTemplate={"LaunchTemplateName": "web", "Version": "$Latest"},
        )

    def targets(self) -> dict[str, str]:
        shown = self.twin.client("elbv2").describe_target_health(TargetGroupArn=self.target_group)
        return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in shown["TargetHealthDescriptions"]}

    def host(self, *, but: str = "") -> str:
        """Wait for a healthy host whose agent is online; answer its id."""

        def look() -> str | None:
            online = self.twin.client("ssm").describe_instance_information()["InstanceInformationList"]
            ids = {one["InstanceId"] for one in online}
            healthy = [id for id, state in self.targets().items() if state == "healthy" and id in ids and id != but]
            return healthy[0] if healthy else None

        return wait_for("a healthy host", look, 120)


@pytest.fixture(scope="session")
def web(twin: Twin) -> Web:
    return Web(twin)
