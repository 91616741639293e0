"""The corner's contract, on EC2 and EventBridge Scheduler as moto plays them; a host's agent is a function here."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from ratemyunit_ops.errors import Failed, Refused, Unreachable
from ratemyunit_ops.outside.aws.corner import Ec2Corner
from ratemyunit_ops.outside.aws.hosts import Hosts
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.aws.shell import SsmShell
from ratemyunit_ops.outside.aws.ssm import Commands
from tests.contract.stand_in import Agent, StandIn, host_program
from tests.fakes.clock import FakeClock

RUN = "r-1"


class Told:
    """Places as a test tells them."""

    def __init__(self, places: dict[str, str]) -> None:
        self.places = places

    def all(self) -> Mapping[str, str]:
        return self.places


@pytest.fixture
def places(account: Account, environment: str) -> dict[str, str]:
    """Make the network, a template and a group for the corner, as Terraform does."""
    vpc = account.act("ec2", "CreateVpc", CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = account.act("ec2", "CreateSubnet", VpcId=vpc, CidrBlock="10.9.1.0/24")["Subnet"]["SubnetId"]
    group = account.act("ec2", "CreateSecurityGroup", GroupName=environment, Description="x", VpcId=vpc)["GroupId"]
    template = account.act(
        "ec2",
        "CreateLaunchTemplate",
        LaunchTemplateName=f"rmu-{environment}-host",
        LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "t3.small"},
    )
    return {
        "launch_template": template["LaunchTemplate"]["LaunchTemplateId"],
        "drill_host_security_group": group,
        "drill_subnet": subnet,
    }


@pytest.fixture
def corner(account: Account, clock: FakeClock, environment: str, places: dict[str, str]) -> Ec2Corner:
    hosts = Hosts(account, clock, f"rmu-{environment}-hosts", f"rmu-{environment}-host", lambda verb: "cHJvZ3JhbQ==")
    shell = SsmShell(Commands(account, clock), f"rmu-{environment}-exec")
    return Ec2Corner(hosts, Told(places), shell, smoke="a")


def described(account: Account, host: str) -> dict[str, object]:
    found = account.ask("ec2", "DescribeInstances", InstanceIds=[host])["Reservations"][0]["Instances"][0]
    return dict(found)


def test_a_drills_host_is_made_once_and_says_whose_it_is(
    corner: Ec2Corner, account: Account, environment: str, places: dict[str, str]
) -> None:
    first, second = corner.launch(RUN, image=None), corner.launch(RUN, image=None)

    (host,) = corner.hosts()
    seen = described(account, host.id)
    assert first["host"] == second["host"] == host.id
    assert (host.run, first["type"]) == (RUN, "t3.small")
    tags = {t["Key"]: t["Value"] for t in seen["Tags"]}  # type: ignore[attr-defined]
    expected = {"Name": f"rmu-{environment}-drill", "rmu:env": environment, "rmu:role": "drill", "rmu:run": RUN}
    assert {k: tags.get(k) for k in expected} == expected
    assert seen["SubnetId"] == places["drill_subnet"]
    (interface,) = seen["NetworkInterfaces"]  # type: ignore[misc]
    assert [g["GroupId"] for g in interface["Groups"]] == [places["drill_host_security_group"]]


def test_ending_takes_the_runs_own_host_and_no_other(corner: Ec2Corner) -> None:
    corner.launch(RUN, image=None)
    corner.launch("r-2", image=None)

    corner.end(RUN)
    corner.end(RUN)

    assert [h.run for h in corner.hosts()] == ["r-2"]


def test_a_host_of_another_environment_is_none_of_ours(
    corner: Ec2Corner, account: Account, clock: FakeClock, places: dict[str, str]
) -> None:
    theirs = Hosts(account, clock, "rmu-elsewhere-hosts", "rmu-elsewhere-host", lambda verb: "")
    Ec2Corner(theirs, Told(places), corner.shell, smoke="a").launch(RUN, image=None)

    assert corner.hosts() == ()


def test_the_newest_image_of_a_host_is_found_among_those_that_can_be_booted(
    corner: Ec2Corner, account: Account, environment: str
) -> None:
    assert corner.newest_image() is None
    host = corner.launch(RUN, image=None)["host"]
    tags = [{"Key": "rmu:env", "Value": environment}, {"Key": "rmu:image", "Value": "daily"}]
    made = [
        account.act(
            "ec2",
            "CreateImage",
            InstanceId=host,
            Name=f"{environment}-{n}",
            TagSpecifications=[{"ResourceType": "image", "Tags": tags if n else tags[:1]}],
        )["ImageId"]
        for n in range(2)
    ]

    found = corner.newest_image()

    assert found is not None and found.id == made[1]


def test_a_host_from_an_image_boots_that_image(corner: Ec2Corner, account: Account) -> None:
    host = corner.launch(RUN, image="ami-1e749f67")["host"]

    assert described(account, host)["ImageId"] == "ami-1e749f67"


def test_a_stack_without_a_corner_is_named(corner: Ec2Corner, places: dict[str, str]) -> None:
    del places["drill_subnet"]

    with pytest.raises(Refused, match="drill_subnet") as why:
        corner.launch(RUN, image=None)

    assert why.value.next == "rmu infra apply"


def test_only_the_drills_own_host_is_asked(corner: Ec2Corner, aws: StandIn) -> None:
    host = corner.launch(RUN, image=None)["host"]
    empty = {"release": None, "digest": None, "state": "empty"}
    says = {
        "outcome": "ok",
        "live_slot": None,
        "backup_on": False,
        "holding": False,
        "slots": {"blue": empty, "green": empty},
        "worker": {"release": None, "state": "absent"},
        "memory": {"total": 10, "available": 7},
        "disk_free": 3,
    }
    aws.ssm.agents[host] = Agent(host_program(lambda request: says))

    (view,) = corner.fleet(RUN).survey()

    assert view.id == host
    assert [sent["InstanceIds"] for sent in aws.ssm.sent] == [[host]]


def test_a_drill_whose_host_is_gone_is_told_so(corner: Ec2Corner) -> None:
    with pytest.raises(Unreachable, match="the host of drill r-1 is gone"):
        corner.fleet(RUN).survey()


def played(aws: StandIn, host: str, answers: Mapping[str, tuple[int, str]]) -> None:
    """Let a host's curl answer by path; anything else is refused as by a port that nobody listens on."""

    def run(parameters: dict[str, str]) -> tuple[int, str]:
        argv = json.loads(base64.b64decode(parameters["argv"]))
        status, body = answers.get(argv[-1].removeprefix("http://127.0.0.1:8080"), (0, ""))
        return (0, f"{body}\n{status} 0.012") if status else (7, "")

    aws.ssm.agents[host] = Agent(run)


def test_the_app_is_asked_from_its_own_host(corner: Ec2Corner, aws: StandIn) -> None:
    host = corner.launch(RUN, image=None)["host"]
    said = json.dumps({"version": "v1", "digest": "sha256:11", "host": host, "database": "db-2"})
    played(aws, host, {"/version": (200, said), "/api/units?search=a": (200, '{"units": [1, 2]}')})

    seen, smoke = corner.traffic(RUN).look(), corner.traffic(RUN).smoke()

    assert (seen.version, seen.digest, seen.database) == ("v1", "sha256:11", "db-2")
    assert smoke["smoke"] == [{"path": "/api/units?search=a", "units": 2, "seconds": 0.012}]


def test_a_proxy_that_serves_nothing_yet_is_an_answer_and_one_that_is_down_is_none(
    corner: Ec2Corner, aws: StandIn
) -> None:
    host = corner.launch(RUN, image=None)["host"]
    played(aws, host, {"/version": (503, "")})
    assert corner.traffic(RUN).look().version is None
    played(aws, host, {})

    with pytest.raises(Unreachable, match="does not answer on port 8080"):
        corner.traffic(RUN).look()


def test_a_search_that_fails_in_the_corner_is_told(corner: Ec2Corner, aws: StandIn) -> None:
    host = corner.launch(RUN, image=None)["host"]
    played(aws, host, {"/api/units?search=a": (500, "oh")})

    with pytest.raises(Failed, match="answered 500"):
        corner.traffic(RUN).smoke()


def test_the_reminder_is_moved_and_nothing_else_of_it(
    corner: Ec2Corner, account: Account, places: dict[str, str], environment: str
) -> None:
    assert corner.reminds_from() is None
    target = {"Arn": "arn:aws:sns:us-east-1:123456789012:x", "RoleArn": "arn:aws:iam::123456789012:role/x"}
    name = f"rmu-{environment}-drill"
    account.act(
        "scheduler",
        "CreateSchedule",
        Name=name,
        ScheduleExpression="rate(7 days)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={**target, "Input": "no drill"},
        Description="a quarter",
        StartDate=datetime(2026, 1, 1, tzinfo=UTC),
    )
    places["drill_reminder"] = name
    later = datetime(2026, 6, 1, tzinfo=UTC)

    corner.remind_from(later)

    seen = account.ask("scheduler", "GetSchedule", Name=name)
    assert corner.reminds_from() == later
    assert (seen["ScheduleExpression"], seen["Target"]["Input"], seen["Description"]) == (
        "rate(7 days)",
        "no drill",
        "a quarter",
    )


def test_without_a_reminder_there_is_nothing_to_move(corner: Ec2Corner, places: dict[str, str]) -> None:
    places["drill_reminder"] = "rmu-gone-drill"

    assert corner.remind_from(datetime(2026, 6, 1, tzinfo=UTC) + timedelta(days=1)) == {"reminder": None}
