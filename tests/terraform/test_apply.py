"""Both roots, applied whole, with a death in between.

RDS alone waits 80 seconds: the provider looks after a minute, then three times.
"""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from ratemyunit_ops.outside.terraform import Terraform, TerraformFailed
from tests.terraform.conftest import EDGE_SECRET, PASSWORD, SOURCES, VARIABLES, Cloud, nobody_listens, terraforms_of

TWIN = {"environment": "twin", **VARIABLES, "database_identifier": "rmu-twin-db-1"}
PLACES = "/rmu/twin/places"


@pytest.fixture(scope="module")
def terraform(cloud: Cloud, work: Path) -> Terraform:
    env = SOURCES / "env"
    return cloud.terraform("twin", work, tfvars=env / "twin.tfvars", alarms=env / "twin.slo.tfvars.json")


@pytest.fixture(scope="module")
def killed(cloud: Cloud, terraform: Terraform, work: Path) -> TerraformFailed:
    """The first apply of the stack, whose Terraform is killed while balancer and database are being made."""
    terraform.apply("bootstrap", TWIN, nobody_listens)
    cloud.make_secrets("twin")
    log = work / "twin/stack-apply.log"

    def kill(name: str, action: str, seconds: float) -> None:
        said = log.read_text()
        if "aws_db_instance.this: Creating" in said and "aws_lb.this: Creating" in said:
            for pid in terraforms_of(work / "twin"):
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(TerraformFailed) as died:
        terraform.apply("stack", TWIN, kill)
    return died.value


@pytest.fixture(scope="module")
def applied(cloud: Cloud, terraform: Terraform, killed: TerraformFailed) -> Terraform:
    """The twin's stack, made as `rmu infra bootstrap` and `rmu infra apply` make it: here, on the second try."""
    holder = terraform.lock_holder("stack")
    assert holder is not None
    terraform.unlock("stack", holder.id)
    cloud.database_is_there("rmu-twin-db-1")  # it came up meanwhile; one that is still being made is waited for
    terraform.apply("stack", TWIN, lambda *event: cloud.database_is_there("rmu-twin-db-1"))
    return terraform


def body_of(cloud: Cloud, key: str) -> str:
    bucket = "rmu-twin-state-123456789012"
    return str(cloud.account.ask("s3", "GetObject", Bucket=bucket, Key=key)["Body"].read().decode())


def test_f36_what_a_killed_terraform_was_making_is_named(killed: TerraformFailed) -> None:
    assert "module.database.aws_db_instance.this" in killed.state
    assert "module.web.aws_lb.this" in killed.state
    assert killed.next == "mend it, then: rmu infra apply --env twin"


def test_f36_what_a_killed_terraform_had_made_is_taken_over_not_made_again(cloud: Cloud, applied: Terraform) -> None:
    """It saves its state every 20 seconds only, so this one had saved none of its network."""
    named = [{"Name": "tag:rmu:env", "Values": ["twin"]}]

    assert len(cloud.account.ask("ec2", "DescribeVpcs", Filters=named)["Vpcs"]) == 1
    assert len(cloud.account.ask("ec2", "DescribeSubnets", Filters=named)["Subnets"]) == 4
    assert len(cloud.account.ask("ec2", "DescribeVpcEndpoints", Filters=named)["VpcEndpoints"]) == 1


def test_the_bootstrap_is_safe_to_repeat_and_its_state_lies_in_its_own_bucket(cloud: Cloud, applied: Terraform) -> None:
    again = applied.apply("bootstrap", TWIN, nobody_listens)

    assert again.empty
    assert "aws_dynamodb_table" in body_of(cloud, "bootstrap.tfstate")


def test_a_bootstrap_whose_state_was_lost_takes_over_what_it_made(
    cloud: Cloud, applied: Terraform, tmp_path: Path
) -> None:
    """As after a death between the apply and the push of its state, or on another machine."""
    bucket, key = "rmu-twin-state-123456789012", "bootstrap.tfstate"
    cloud.account.act("s3", "DeleteObject", Bucket=bucket, Key=key)
    elsewhere = cloud.terraform("twin", tmp_path, tfvars=SOURCES / "env/twin.tfvars")

    done = elsewhere.apply("bootstrap", TWIN, nobody_listens)

    assert set(done.imports) == {"aws_s3_bucket.state", "aws_dynamodb_table.ledger"}
    assert not {*done.imports} & {*done.create, *done.replace, *done.destroy}
    assert elsewhere.plan("bootstrap", TWIN).empty


def test_the_state_bucket_is_private_versioned_and_encrypted(cloud: Cloud, applied: Terraform) -> None:
    bucket = {"Bucket": "rmu-twin-state-123456789012"}
    block = cloud.account.ask("s3", "GetPublicAccessBlock", **bucket)["PublicAccessBlockConfiguration"]

    assert all(block.values()) and len(block) == 4
    assert cloud.account.ask("s3", "GetBucketVersioning", **bucket)["Status"] == "Enabled"
    assert cloud.account.ask("s3", "GetBucketEncryption", **bucket)["ServerSideEncryptionConfiguration"]["Rules"]


def test_every_place_leads_to_something(cloud: Cloud, applied: Terraform) -> None:
    found = cloud.account.ask("ssm", "GetParametersByPath", Path=PLACES)["Parameters"]
    more = cloud.account.pages("ssm", "GetParametersByPath", "Parameters", Path=PLACES)
    places = {p["Name"].rsplit("/", 1)[1]: p["Value"] for p in [*found, *more]}

    assert len(places) == 28
    assert all(places.values())
    assert places["table"] == "rmu-twin"
    assert places["asg"] == "rmu-twin-hosts"
    assert (places["document_host"], places["document_exec"]) == ("rmu-twin-host", "rmu-twin-exec")
    assert places["repository"].endswith("/rmu-twin/app")
    assert places["front_door"].startswith("http://")
    database = cloud.account.ask("rds", "DescribeDBInstances", DBInstanceIdentifier=places["database"])
    assert database["DBInstances"][0]["Endpoint"]["Address"] == places["database_address"]


def test_the_first_host_is_born_with_its_hook_and_its_profile(cloud: Cloud, applied: Terraform) -> None:
    group = cloud.account.ask("autoscaling", "DescribeAutoScalingGroups", AutoScalingGroupNames=["rmu-twin-hosts"])
    hooks = cloud.account.ask("autoscaling", "DescribeLifecycleHooks", AutoScalingGroupName="rmu-twin-hosts")

    assert len(group["AutoScalingGroups"][0]["Instances"]) == 1
    assert [h["LifecycleHookName"] for h in hooks["LifecycleHooks"]] == ["rmu-twin-boot"]


def test_the_masters_password_reached_the_database_and_no_state(cloud: Cloud, applied: Terraform) -> None:
    state = body_of(cloud, "stack.tfstate")

    assert "rmu-twin-db-1" in state
    assert PASSWORD not in state
    assert EDGE_SECRET not in state  # the twin asks for no header


def test_the_local_awss_alarms_look_every_ten_seconds_and_tell_a_topic(cloud: Cloud, applied: Terraform) -> None:
    all_of_them = cloud.account.pages("cloudwatch", "DescribeAlarms", "MetricAlarms", AlarmNamePrefix="rmu-twin-")
    alarms = [alarm for alarm in all_of_them if "-slo-" not in alarm["AlarmName"]]

    inside = [[m["MetricStat"]["Period"] for m in a.get("Metrics", []) if "MetricStat" in m] for a in alarms]
    periods = {
        a["AlarmName"]: [a["Period"]] if "Period" in a else found for a, found in zip(alarms, inside, strict=True)
    }
    assert len(alarms) == 19
    assert {p for name, found in periods.items() if name != "rmu-twin-backups-late" for p in found} == {10}
    assert periods["rmu-twin-backups-late"] == [3600]  # no backup is made here by itself
    assert all(re.fullmatch(r"arn:aws:sns:\S+:rmu-twin-(alerts|critical)", a["AlarmActions"][0]) for a in alarms)
    for alarm in alarms:
        topic = alarm["AlarmActions"][0].rpartition("-")[2]
        assert ("SEV-1" in alarm["AlarmDescription"]) == (topic == "critical")


def test_the_dashboard_is_one_column_as_a_phone_shows_it_and_a_place_leads_to_it(
    cloud: Cloud, applied: Terraform
) -> None:
    place = cloud.account.ask("ssm", "GetParameter", Name=f"{PLACES}/dashboard")["Parameter"]["Value"]
    name = place.rpartition("/")[2]

    widgets = json.loads(cloud.account.ask("cloudwatch", "GetDashboard", DashboardName=name)["DashboardBody"])[
        "widgets"
    ]

    assert {(w["x"], w["width"]) for w in widgets} == {(0, 24)}
    assert [w["y"] for w in widgets] == [5 * at for at in range(len(widgets))]
    heard = {arn.rpartition(":")[2] for arn in widgets[0]["properties"]["alarms"]}
    assert len({name for name in heard if "-slo-" not in name}) == 19


def test_no_policy_is_larger_than_iam_takes(cloud: Cloud, applied: Terraform) -> None:
    """6,144 characters of a policy of its own, 10,240 of one inside a role; blanks do not count."""
    ask = cloud.account.ask
    own = {
        p["PolicyName"]: ask("iam", "GetPolicyVersion", PolicyArn=p["Arn"], VersionId=p["DefaultVersionId"])
        for p in ask("iam", "ListPolicies", Scope="Local")["Policies"]
    }
    inside = ask("iam", "GetRolePolicy", RoleName="rmu-twin-host", PolicyName="host")["PolicyDocument"]

    sizes = {name: len(json.dumps(p["PolicyVersion"]["Document"], separators=(",", ":"))) for name, p in own.items()}

    assert {"rmu-twin-deploy", "rmu-twin-operate"} <= set(sizes)
    assert max(sizes.values()) <= 6144, sizes
    assert len(json.dumps(inside, separators=(",", ":"))) <= 10240


def test_an_applied_stack_has_nothing_left_to_do(applied: Terraform) -> None:
    assert applied.plan("stack", TWIN).empty


def test_the_compiled_alarms_of_every_objective_are_made(cloud: Cloud, applied: Terraform) -> None:
    wanted = json.loads((SOURCES / "env/twin.slo.tfvars.json").read_text())["slo_alarms"]

    told, parts = (
        {a["AlarmName"]: a for a in cloud.account.pages("cloudwatch", "DescribeAlarms", key, AlarmTypes=[kind])}
        for key, kind in (("CompositeAlarms", "CompositeAlarm"), ("MetricAlarms", "MetricAlarm"))
    )

    assert {n.removeprefix("rmu-twin-") for n in told} == set(wanted["alarms"])
    assert {n.removeprefix("rmu-twin-") for n in parts if "-slo-" in n} == set(wanted["windows"])
    fast = told["rmu-twin-slo-availability-fast"]
    assert fast["AlarmDescription"].endswith("severity: SEV-1. next: rmu runbook run host-unresponsive --env twin")
    assert fast["AlarmActions"][0].endswith(":rmu-twin-critical")
    assert 'ALARM("rmu-twin-slo-availability-14.4x-1h")' in fast["AlarmRule"]
