"""The gate alone, on loopback: what moto lacks is answered as AWS answers it. Machines are played by the test."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.gate_alone import LATENCY, Gate, running_gate


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with running_gate(tmp_path_factory.mktemp("gate")) as gate:
        yield gate


@pytest.fixture(scope="module")
def subnet(gate: Gate) -> str:
    ec2 = gate.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"])


@pytest.fixture
def instance(gate: Gate, subnet: str) -> str:
    """An instance whose agent is online."""
    run = gate.client("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=subnet)
    id = str(run["Instances"][0]["InstanceId"])
    gate.seen(machines={id: "running"})
    gate.call(f"/twin-agent/ping?instance={id}")
    return id


def answer_one(gate: Gate, id: str, **report: Any) -> dict[str, Any]:
    """Be the guest agent for one command; answer what it was handed."""
    work = gate.call(f"/twin-agent/poll?instance={id}")
    said = {
        "command_id": work["command_id"],
        "instance": id,
        "status": "Success",
        "exit_code": 0,
        "stdout": "",
        "stderr": "",
        **report,
    }
    gate.call("/twin-agent/update", said)
    return dict(work)


def wait_for(what: Any, seconds: float = 5.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := what()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def send(gate: Gate, id: str, **more: Any) -> str:
    asked = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}, **more}
    return str(gate.client("ssm").send_command(InstanceIds=[id], **asked)["Command"]["CommandId"])


def status(gate: Gate, command: str, id: str) -> dict[str, Any]:
    answer: dict[str, Any] = gate.client("ssm").get_command_invocation(CommandId=command, InstanceId=id)
    return answer


def ended(gate: Gate, command: str, id: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        now = status(gate, command, id)
        return now if now["Status"] not in ("Pending", "InProgress", "Cancelling") else None

    found = wait_for(look)
    assert found, "the command never ended"
    return dict(found)


def test_an_invocation_does_not_exist_straight_after_send(gate: Gate, instance: str) -> None:
    command = send(gate, instance)

    with pytest.raises(ClientError) as refused:
        status(gate, command, instance)

    assert refused.value.response["Error"]["Code"] == "InvocationDoesNotExist"


def test_a_command_goes_from_pending_through_in_progress_to_its_end(gate: Gate, instance: str) -> None:
    gate.call("/twin/ssm-latency", 1.0)
    command = send(gate, instance)
    time.sleep(0.6)
    before = status(gate, command, instance)["Status"]
    work = gate.call(f"/twin-agent/poll?instance={instance}")
    during = status(gate, command, instance)["Status"]

    gate.call(
        "/twin-agent/update",
        {
            "command_id": command,
            "instance": instance,
            "status": "Failed",
            "exit_code": 7,
            "stdout": "out",
            "stderr": "err",
        },
    )
    told_late = status(gate, command, instance)
    end = ended(gate, command, instance)
    gate.call("/twin/ssm-latency", LATENCY)

    assert (before, during) == ("Pending", "InProgress")
    assert work["script"] == "true\n"
    assert told_late["Status"] == "InProgress" and told_late["StandardOutputContent"] == ""
    assert (end["Status"], end["ResponseCode"], end["StandardOutputContent"]) == ("Failed", 7, "out")


def test_reads_that_lag_answer_what_was_so_before_a_write(gate: Gate) -> None:
    ec2 = gate.client("ec2")

    def groups() -> set[str]:
        return {one["GroupName"] for one in ec2.describe_security_groups()["SecurityGroups"]}

    groups()  # the first call of a service makes it, which takes a while
    gate.call("/twin/reads-lag", 2.0)
    before = groups()
    ec2.create_security_group(GroupName="late", Description="late")
    stale, other = groups(), ec2.describe_security_groups(GroupNames=["late"])["SecurityGroups"]
    seen = wait_for(lambda: "late" in groups(), 5.0)
    gate.call("/twin/reads-lag", 0)

    assert "late" not in before and stale == before
    assert [one["GroupName"] for one in other] == ["late"]  # nobody had asked this before
    assert seen


def test_output_is_cut_as_aws_cuts_it(gate: Gate, instance: str) -> None:
    command = send(gate, instance)
    time.sleep(0.5)
    answer_one(gate, instance, stdout="x" * 30_000, stderr="y" * 9_000)

    end = ended(gate, command, instance)

    assert (len(end["StandardOutputContent"]), len(end["StandardErrorContent"])) == (24_000, 8_000)


def test_a_parameter_by_environment_never_enters_the_script(gate: Gate, instance: str) -> None:
    document = {
        "schemaVersion": "2.2",
        "parameters": {"Body": {"type": "String", "interpolationType": "ENV_VAR"}, "Limit": {"type": "String"}},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "run",
                "inputs": {"timeoutSeconds": "{{ Limit }}", "runCommand": ['printf %s "$SSM_Body"', "echo {{ Body }}"]},
            }
        ],
    }
    gate.client("ssm").create_document(Name="rmu-test", Content=json.dumps(document), DocumentType="Command")

    send(gate, instance, DocumentName="rmu-test", Parameters={"Body": ["'; rm -rf /"], "Limit": ["42"]})
    work = answer_one(gate, instance)

    assert work["env"] == {"SSM_Body": "'; rm -rf /"}
    assert "rm -rf" not in work["script"] and "echo $SSM_Body" in work["script"]
    assert work["execution_timeout_s"] == 42


@pytest.mark.parametrize("parameters", [{}, {"commands": ["true"], "shell": ["sh"]}])
def test_a_missing_or_unknown_parameter_is_refused(gate: Gate, instance: str, parameters: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        send(gate, instance, Parameters=parameters)

    assert refused.value.response["Error"]["Code"] == "InvalidParameters"


def test_an_instance_whose_agent_never_called_takes_no_command(gate: Gate, subnet: str) -> None:
    run = gate.client("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=subnet)
    id = run["Instances"][0]["InstanceId"]

    with pytest.raises(ClientError) as refused:
        send(gate, id)

    assert refused.value.response["Error"]["Code"] == "InvalidInstanceId"
    shown = gate.client("ssm").describe_instance_information()["InstanceInformationList"]
    assert id not in [one["InstanceId"] for one in shown]


def test_a_command_that_a_dying_agent_took_along_is_handed_out_again(gate: Gate, instance: str) -> None:
    command = send(gate, instance)
    lost = gate.call(f"/twin-agent/poll?instance={instance}")

    again = answer_one(gate, instance)

    assert lost["command_id"] == again["command_id"] == command
    assert ended(gate, command, instance)["Status"] == "Success"


def test_a_cancel_reaches_the_agent_and_promises_nothing(gate: Gate, instance: str) -> None:
    command = send(gate, instance)
    gate.call(f"/twin-agent/poll?instance={instance}")
    begun = {"command_id": command, "instance": instance, "status": "InProgress", "exit_code": -1}
    gate.call("/twin-agent/update", begun)

    gate.client("ssm").cancel_command(CommandId=command)
    told = gate.call(f"/twin-agent/poll?instance={instance}")
    time.sleep(0.5)  # an invocation is invisible that long
    asked = wait_for(lambda: status(gate, command, instance)["Status"] == "Cancelling")

    assert told == {"cancel": command} and asked


def group_of_one(gate: Gate, subnet: str, name: str, hook: bool = True) -> Any:
    ec2, asg = gate.client("ec2"), gate.client("autoscaling")
    data = {
        "ImageId": "ami-12345678",
        "InstanceType": "t3.micro",
        "UserData": base64.b64encode(b"#!/bin/sh\n").decode(),
    }
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    asg.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=2,
        DesiredCapacity=0,
        VPCZoneIdentifier=subnet,
        LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
    )
    if hook:
        asg.put_lifecycle_hook(
            LifecycleHookName=f"{name}-boot",
            AutoScalingGroupName=name,
            HeartbeatTimeout=30,
            LifecycleTransition="autoscaling:EC2_INSTANCE_LAUNCHING",
            DefaultResult="ABANDON",
        )
    asg.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    return asg


def members(asg: Any, name: str) -> list[tuple[str, str]]:
    group = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    return [(one["InstanceId"], one["LifecycleState"]) for one in group["Instances"]]


def test_an_instance_is_in_service_only_when_its_hook_is_completed(gate: Gate, subnet: str) -> None:
    asg = group_of_one(gate, subnet, "hooked")
    [(id, launched)] = members(asg, "hooked")
    gate.seen(machines={id: "running"})
    [(_, waits)] = members(asg, "hooked")

    asg.complete_lifecycle_action(
        LifecycleHookName="hooked-boot", AutoScalingGroupName="hooked", InstanceId=id, LifecycleActionResult="CONTINUE"
    )
    [(_, serves)] = members(asg, "hooked")

    assert (launched, waits, serves) == ("Pending", "Pending:Wait", "InService")
    with pytest.raises(ClientError):
        asg.record_lifecycle_action_heartbeat(
            LifecycleHookName="hooked-boot", AutoScalingGroupName="hooked", InstanceId=id
        )


def test_an_instance_tells_which_version_of_the_template_it_was_born_of(gate: Gate, subnet: str) -> None:
    asg, ec2 = group_of_one(gate, subnet, "versioned", hook=False), gate.client("ec2")
    [(old, _)] = members(asg, "versioned")
    gate.seen(machines={old: "running"})
    data = {"UserData": base64.b64encode(b"#!/bin/sh\ntrue\n").decode()}
    ec2.create_launch_template_version(LaunchTemplateName="versioned", SourceVersion="1", LaunchTemplateData=data)

    asg.terminate_instance_in_auto_scaling_group(InstanceId=old, ShouldDecrementDesiredCapacity=False)
    group = asg.describe_auto_scaling_groups(AutoScalingGroupNames=["versioned"])["AutoScalingGroups"][0]

    versions = {one["InstanceId"] == old: one["LaunchTemplate"]["Version"] for one in group["Instances"]}
    assert versions == {True: "1", False: "2"}


def test_an_abandoned_instance_is_replaced(gate: Gate, subnet: str) -> None:
    asg = group_of_one(gate, subnet, "abandoned")
    [(id, _)] = members(asg, "abandoned")
    gate.seen(machines={id: "running"})

    asg.complete_lifecycle_action(
        LifecycleHookName="abandoned-boot",
        AutoScalingGroupName="abandoned",
        InstanceId=id,
        LifecycleActionResult="ABANDON",
    )
    both = dict(members(asg, "abandoned"))
    gate.seen(machines={id: "gone"})
    left = dict(members(asg, "abandoned"))

    assert both[id] == "Terminating" and len(both) == 2
    assert id not in left and list(left.values()) == ["Pending"]


def test_standby_leaves_the_target_group_and_comes_back(gate: Gate, subnet: str) -> None:
    asg, elb = group_of_one(gate, subnet, "standing", hook=False), gate.client("elbv2")
    vpc = gate.client("ec2").describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    made = elb.create_target_group(Name="standing", Protocol="HTTP", Port=8080, VpcId=vpc)
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    asg.attach_load_balancer_target_groups(AutoScalingGroupName="standing", TargetGroupARNs=[arn])
    [(id, _)] = members(asg, "standing")
    gate.seen(machines={id: "running"})

    def targets() -> list[str]:
        shown = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return [one["TargetHealth"]["State"] for one in shown]

    before = targets()
    asg.enter_standby(InstanceIds=[id], AutoScalingGroupName="standing", ShouldDecrementDesiredCapacity=True)
    during, inside = targets(), members(asg, "standing")
    asg.exit_standby(InstanceIds=[id], AutoScalingGroupName="standing")

    assert before == ["unused"]
    assert during == ["draining"] and inside == [(id, "Standby")]
    assert targets() == ["unused"] and members(asg, "standing") == [(id, "InService")]


def test_two_pollers_of_two_instances_do_not_take_each_others_work(gate: Gate, instance: str, subnet: str) -> None:
    run = gate.client("ec2").run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=subnet)
    other = str(run["Instances"][0]["InstanceId"])
    gate.call(f"/twin-agent/ping?instance={other}")
    got: dict[str, Any] = {}
    waits = [threading.Thread(target=lambda id=id: got.update({id: answer_one(gate, id)})) for id in (instance, other)]

    for one in waits:
        one.start()
    first, second = send(gate, instance), send(gate, other)
    for one in waits:
        one.join()

    assert got[instance]["command_id"] == first and got[other]["command_id"] == second


def test_a_lifecycle_policy_is_kept_changed_tagged_and_forgotten(gate: Gate) -> None:
    dlm = gate.client("dlm")
    details = {
        "PolicyType": "IMAGE_MANAGEMENT",
        "ResourceTypes": ["INSTANCE"],
        "TargetTags": [{"Key": "Name", "Value": "host"}],
        "Schedules": [
            {"Name": "daily", "CreateRule": {"Interval": 24, "IntervalUnit": "HOURS"}, "RetainRule": {"Count": 7}}
        ],
    }
    role = "arn:aws:iam::123456789012:role/images"
    id = dlm.create_lifecycle_policy(
        ExecutionRoleArn=role, Description="daily", State="ENABLED", PolicyDetails=details, Tags={"a": "1"}
    )["PolicyId"]

    dlm.update_lifecycle_policy(PolicyId=id, State="DISABLED")
    policy = dlm.get_lifecycle_policy(PolicyId=id)["Policy"]
    dlm.tag_resource(ResourceArn=policy["PolicyArn"], Tags={"b": "2"})
    dlm.untag_resource(ResourceArn=policy["PolicyArn"], TagKeys=["a"])
    listed = dlm.get_lifecycle_policies()["Policies"]
    dlm.delete_lifecycle_policy(PolicyId=id)

    assert policy["State"] == "DISABLED" and policy["PolicyDetails"]["Schedules"][0]["RetainRule"] == {"Count": 7}
    assert [(one["PolicyId"], one["Tags"]) for one in listed] == [(id, {"b": "2"})]
    with pytest.raises(dlm.exceptions.ResourceNotFoundException):
        dlm.get_lifecycle_policy(PolicyId=id)


def test_an_alarm_knows_nothing_at_first_and_remembers_its_changes(gate: Gate) -> None:
    watch = gate.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName="busy",
        Namespace="AWS/EC2",
        MetricName="CPUUtilization",
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=80,
        ComparisonOperator="GreaterThanThreshold",
    )
    watch.put_composite_alarm(AlarmName="all", AlarmRule="ALARM(busy)")
    born = watch.describe_alarms(AlarmNames=["busy"])["MetricAlarms"][0]["StateValue"]

    watch.set_alarm_state(AlarmName="busy", StateValue="ALARM", StateReason="a test")
    history = watch.describe_alarm_history(AlarmName="busy", HistoryItemType="StateUpdate")["AlarmHistoryItems"]
    both = watch.describe_alarms(AlarmTypes=["CompositeAlarm", "MetricAlarm"])

    assert born == "INSUFFICIENT_DATA"
    assert history[-1]["HistorySummary"] == "Alarm updated from INSUFFICIENT_DATA to ALARM"
    assert [one["AlarmRule"] for one in both["CompositeAlarms"]] == ["ALARM(busy)"]


def test_windows_that_only_touch_do_not_overlap(gate: Gate) -> None:
    made = gate.client("rds").create_db_instance(
        DBInstanceIdentifier="touching",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        EngineVersion="17.5",
        AllocatedStorage=20,
        MasterUsername="rmu_master",
        MasterUserPassword="not-so-secret",
        PreferredBackupWindow="03:00-04:00",
        PreferredMaintenanceWindow="sun:04:00-sun:05:00",
    )

    assert made["DBInstance"]["DBInstanceStatus"] == "creating"


def test_a_database_is_available_only_when_its_keeper_says_so(gate: Gate) -> None:
    rds = gate.client("rds")
    resource = rds.describe_db_instances(DBInstanceIdentifier="touching")["DBInstances"][0]["DbiResourceId"]
    gate.seen(databases={"touching": "available"}, archived={resource: 1_700_000_000.0})
    before = rds.describe_db_instances(DBInstanceIdentifier="touching")["DBInstances"][0]
    gate.seen(bases={resource: [{"name": "first", "ended": 1_699_999_990, "damaged": False}]})

    row = rds.describe_db_instances(DBInstanceIdentifier="touching")["DBInstances"][0]

    assert row["DBInstanceStatus"] == "available"
    assert "LatestRestorableTime" not in before
    assert row["LatestRestorableTime"].timestamp() == 1_700_000_000


def test_an_instance_connect_endpoint_is_kept_and_forgotten(gate: Gate, subnet: str) -> None:
    ec2 = gate.client("ec2")
    made = ec2.create_instance_connect_endpoint(SubnetId=subnet)["InstanceConnectEndpoint"]
    id = made["InstanceConnectEndpointId"]

    listed = ec2.describe_instance_connect_endpoints(InstanceConnectEndpointIds=[id])["InstanceConnectEndpoints"]
    ec2.delete_instance_connect_endpoint(InstanceConnectEndpointId=id)

    assert [one["State"] for one in listed] == ["create-complete"] and listed[0]["SubnetId"] == subnet
    with pytest.raises(ClientError):
        ec2.describe_instance_connect_endpoints(InstanceConnectEndpointIds=[id])


def test_a_refresh_replaces_the_instances_of_a_group(gate: Gate, subnet: str) -> None:
    asg = group_of_one(gate, subnet, "refreshed", hook=False)
    [(old, _)] = members(asg, "refreshed")
    gate.seen(machines={old: "running"})

    asg.start_instance_refresh(AutoScalingGroupName="refreshed")
    with pytest.raises(ClientError) as refused:
        asg.start_instance_refresh(AutoScalingGroupName="refreshed")
    gate.call("/twin/wanted")
    [new] = [id for id, state in members(asg, "refreshed") if state == "Pending"]
    gate.seen(machines={old: "gone", new: "running"})
    gate.call("/twin/wanted")
    [last] = asg.describe_instance_refreshes(AutoScalingGroupName="refreshed")["InstanceRefreshes"]

    assert refused.value.response["Error"]["Code"] == "InstanceRefreshInProgress"
    assert new != old and last["Status"] == "Successful"


def test_a_later_version_of_a_template_launches_too(gate: Gate, subnet: str) -> None:
    asg = group_of_one(gate, subnet, "later", hook=False)
    newer = {"ImageId": "ami-12345678", "InstanceType": "t3.small", "UserData": base64.b64encode(b"newer").decode()}
    gate.client("ec2").create_launch_template_version(LaunchTemplateName="later", LaunchTemplateData=newer)

    asg.set_desired_capacity(AutoScalingGroupName="later", DesiredCapacity=2)
    types = {one["InstanceType"] for one in asg.describe_auto_scaling_instances()["AutoScalingInstances"]}

    assert "t3.small" in types


def group_of(gate: Gate, subnet: str, name: str) -> str:
    ec2 = gate.client("ec2")
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    group = str(ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"])
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=everything)
    return group


def test_an_instance_run_from_a_template_is_launched_once_for_a_token_and_by_the_whole_template(
    gate: Gate, subnet: str
) -> None:
    ec2, iam = gate.client("ec2"), gate.client("iam")
    iam.create_instance_profile(InstanceProfileName="of-a-template")
    group, own = group_of(gate, subnet, "template"), group_of(gate, subnet, "own")
    template = ec2.create_launch_template(
        LaunchTemplateName="corner",
        LaunchTemplateData={
            "ImageId": "ami-12345678",
            "UserData": base64.b64encode(b"#!/bin/sh\ntrue\n").decode(),
            "IamInstanceProfile": {"Name": "of-a-template"},
            "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group]}],
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    asked = {
        "LaunchTemplate": {"LaunchTemplateId": template, "Version": "$Default"},
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": "r-1",
        "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet, "Groups": [own]}],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "rmu:role", "Value": "drill"}]}],
    }

    first, second = (ec2.run_instances(**asked)["Instances"][0]["InstanceId"] for _ in range(2))

    row = next(i for i in gate.call("/twin/wanted")["instances"] if i["id"] == first)
    assert first == second
    assert base64.b64decode(row["user_data"]) == b"#!/bin/sh\ntrue\n"
    assert row["profile"].endswith("/of-a-template")
    assert row["tags"]["rmu:role"] == "drill"


def test_a_wall_lets_through_what_the_groups_say_and_nothing_else(gate: Gate, subnet: str) -> None:
    ec2 = gate.client("ec2")
    here, there = group_of(gate, subnet, "here"), group_of(gate, subnet, "there")
    hole = [{"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": there}]}]
    ec2.authorize_security_group_egress(GroupId=here, IpPermissions=hole)
    ec2.authorize_security_group_ingress(
        GroupId=there,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 90, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}],
    )
    inside = [
        ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, SubnetId=subnet, SecurityGroupIds=[group])[
            "Instances"
        ][0]
        for group in (here, there)
    ]

    walls = {wall["address"]: wall for wall in gate.call("/twin/wanted")["walls"]}

    near, far = (one["PrivateIpAddress"] for one in inside)
    assert (walls[near]["in"], walls[near]["out"]) == ([], [[far, 5432, 5432]])
    assert (walls[far]["in"], walls[far]["out"]) == ([["10.0.0.0/8", 80, 90]], [])


def test_an_image_policy_that_runs_makes_an_image_that_is_there_once_its_disk_is(gate: Gate, subnet: str) -> None:
    ec2, dlm = gate.client("ec2"), gate.client("dlm")
    tags = [{"Key": "Name", "Value": "rmu-x-host"}, {"Key": "rmu:env", "Value": "x"}]
    host = ec2.run_instances(
        ImageId="ami-12345678",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"][0]["InstanceId"]
    policy = dlm.create_lifecycle_policy(
        ExecutionRoleArn="arn:aws:iam::123456789012:role/x",
        Description="x",
        State="ENABLED",
        PolicyDetails={
            "PolicyType": "IMAGE_MANAGEMENT",
            "ResourceTypes": ["INSTANCE"],
            "TargetTags": [{"Key": "Name", "Value": "rmu-x-host"}],
            "Schedules": [
                {
                    "Name": "daily",
                    "CopyTags": True,
                    "TagsToAdd": [{"Key": "rmu:image", "Value": "daily"}],
                    "CreateRule": {"Interval": 24, "IntervalUnit": "HOURS", "Times": ["16:30"]},
                    "RetainRule": {"Count": 7},
                }
            ],
        },
    )["PolicyId"]

    (image,) = gate.call("/twin/run-image-policies", {})

    def state() -> dict[str, Any]:
        return dict(ec2.describe_images(ImageIds=[image], Owners=["self"])["Images"][0])

    assert state()["State"] == "pending"
    assert gate.call("/twin/wanted")["images"] == {image: host}
    gate.seen(images=[image])
    assert state()["State"] == "available"
    assert {"Key": "rmu:image", "Value": "daily"} in state()["Tags"]
    assert {"Key": "rmu:env", "Value": "x"} in state()["Tags"]
    dlm.delete_lifecycle_policy(PolicyId=policy)


KEY = "ssh-ed25519 " + 68 * "A"  # as short as a key can be, and as AWS takes it


def keys_of(gate: Gate, instance: str, user: str = "rmu") -> str:
    return str(gate.call("/twin/ssh-keys", {"instance": instance, "user": user}))


def push(gate: Gate, instance: str, key: str = KEY, user: str = "rmu") -> Any:
    return gate.client("ec2-instance-connect").send_ssh_public_key(
        InstanceId=instance, InstanceOSUser=user, SSHPublicKey=key
    )


def test_a_pushed_key_is_shown_to_its_instance_and_user_alone_with_its_end(gate: Gate, instance: str) -> None:
    assert push(gate, instance)["Success"] is True

    shown = keys_of(gate, instance).splitlines()

    assert [line.partition("=")[0] for line in shown[:4]] == ["#Timestamp", "#Instance", "#Caller", "#Request"]
    assert 50 < int(shown[0].partition("=")[2]) - time.time() <= 60
    assert (shown[1], shown[4]) == (f"#Instance={instance}", KEY)
    assert keys_of(gate, instance, "root") == keys_of(gate, "i-another") == ""


@pytest.mark.parametrize(
    ("instance_id", "key", "code"),
    [
        ("i-0123456789abcdef0", KEY, "EC2InstanceNotFoundException"),
        (None, "no key" + 80 * "x", "InvalidArgsException"),
        (None, f"{KEY}\n{KEY}", "InvalidArgsException"),
    ],
)
def test_a_key_that_is_none_or_for_nobody_is_refused(
    gate: Gate, instance: str, instance_id: str | None, key: str, code: str
) -> None:
    with pytest.raises(ClientError, match=code):
        push(gate, instance_id or instance, key)
