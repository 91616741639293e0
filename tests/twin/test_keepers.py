"""The keepers on real machines: what the record wants becomes true, and what dies is seen."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.twin import daemons, fault
from tests.twin.conftest import Twin, Web, wait_for

pytestmark = pytest.mark.twin
PASSWORD = "it's a 'quoted\\ password"


def front_door(twin: Twin, path: str = "/") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{twin.site.front_door_port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as why:
        return why.code, ""


def test_a_launched_instance_is_a_machine_that_runs_commands_and_serves(twin: Twin, web: Web) -> None:
    host = web.host()

    end = twin.shell(host, "id -u; echo trouble >&2; exit 3")

    assert (end["Status"], end["ResponseCode"]) == ("Failed", 3)
    assert (end["StandardOutputContent"], end["StandardErrorContent"]) == ("0\n", "trouble\n")
    assert front_door(twin)[0] == 200
    assert host in [one["id"] for one in twin.status()["hosts"]]


def test_a_script_that_runs_too_long_is_ended_and_says_so(twin: Twin, web: Web) -> None:
    slow = {"commands": ["sleep 60"], "executionTimeout": ["2"]}

    end = twin.shell(web.host(), "", Parameters=slow)

    assert end["Status"] == "TimedOut"


def test_a_balancer_whose_targets_all_fail_sends_to_them_still(twin: Twin, web: Web) -> None:
    host = web.host()
    twin.client("autoscaling").suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["ReplaceUnhealthy"])
    twin.machine(host).run(["rm", "/srv/www/health"])
    try:
        wait_for("an unhealthy target", lambda: web.targets().get(host) == "unhealthy", 40)

        answers = {front_door(twin)[0] for _ in range(5)}

        assert answers == {200}
    finally:
        twin.machine(host).run(["touch", "/srv/www/health"])
        wait_for("a healthy target", lambda: web.targets().get(host) == "healthy", 40)
        twin.client("autoscaling").resume_processes(AutoScalingGroupName="web")


def test_a_host_that_is_rebooted_comes_back_under_its_own_id(twin: Twin, web: Web) -> None:
    host = web.host()
    asg = twin.client("autoscaling")
    asg.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["ReplaceUnhealthy"])
    before = twin.shell(host, "cat /proc/sys/kernel/random/boot_id; systemctl show -p UserspaceTimestampMonotonic")

    twin.client("ec2").reboot_instances(InstanceIds=[host])

    def rebooted() -> bool:
        again = twin.machine(host).run(["systemctl", "show", "-p", "UserspaceTimestampMonotonic"])
        return again.returncode == 0 and again.stdout.decode() not in before["StandardOutputContent"]

    try:
        wait_for("another boot", lambda: _quietly(rebooted), 60)
        twin.machine(host).wait_up()
        twin.machine(host).run(
            ["systemd-run", "--unit", "web", "python3", "-m", "http.server", "8080", "-d", "/srv/www"]
        )
        assert web.host() == host
    finally:
        asg.resume_processes(AutoScalingGroupName="web")


def _quietly(look: Any) -> bool:
    try:
        return bool(look())
    except (Refused, OSError, subprocess.SubprocessError):
        return False  # it is on its way


def test_a_host_that_lost_its_power_is_replaced_through_the_template(twin: Twin, web: Web) -> None:
    host = web.host()

    fault.make(twin.site, "kill-host", host)
    successor = web.host(but=host)

    assert successor != host
    assert front_door(twin)[0] == 200
    assert twin.machine(successor).ip in front_door(twin)[1].replace("-", ".") or front_door(twin)[1].strip()


def test_a_command_waits_for_an_agent_that_is_dead_and_runs_when_it_lives(twin: Twin, web: Web) -> None:
    host, ssm = web.host(), twin.client("ssm")
    fault.make(twin.site, "agent-kill", host)
    asked = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["echo late"]}}
    id = ssm.send_command(InstanceIds=[host], **asked)["Command"]["CommandId"]
    time.sleep(4)
    waiting = ssm.get_command_invocation(CommandId=id, InstanceId=host)["Status"]

    fault.clear(twin.site, "agent-kill", host)

    def late() -> bool:
        return bool(ssm.get_command_invocation(CommandId=id, InstanceId=host)["StandardOutputContent"] == "late\n")

    assert waiting in ("Pending", "InProgress")
    wait_for("the late output", late, 40)


def test_a_full_disk_takes_no_byte_until_it_is_cleared(twin: Twin, web: Web) -> None:
    host = web.host()
    # Root has a reserve of its own, as on any ext4: more than that.
    write = ["dd", "if=/dev/zero", "of=/var/lib/containers/more", "bs=1M", "count=300"]

    fault.make(twin.site, "disk-full", host)
    full = twin.machine(host).run(write)
    twin.machine(host).run(["rm", "/var/lib/containers/more"])
    fault.clear(twin.site, "disk-full", host)
    roomy = twin.machine(host).run(write)
    twin.machine(host).run(["rm", "/var/lib/containers/more"])

    assert full.returncode != 0 and b"No space left" in full.stderr
    assert roomy.returncode == 0, roomy.stderr


def test_a_host_off_the_network_is_unhealthy_and_the_same_host_when_back(twin: Twin, web: Web) -> None:
    host, asg = web.host(), twin.client("autoscaling")
    asg.suspend_processes(AutoScalingGroupName="web", ScalingProcesses=["ReplaceUnhealthy"])
    try:
        fault.make(twin.site, "partition", host)
        wait_for("an unhealthy target", lambda: web.targets().get(host) == "unhealthy", 40)

        fault.clear(twin.site, "partition", host)

        wait_for("a healthy target", lambda: web.targets().get(host) == "healthy", 40)
    finally:
        asg.resume_processes(AutoScalingGroupName="web")


def test_a_frozen_host_is_replaced(twin: Twin, web: Web) -> None:
    host = web.host()
    group = {"AutoScalingGroupName": "web"}
    twin.client("autoscaling").update_auto_scaling_group(**group, HealthCheckGracePeriod=5)

    fault.make(twin.site, "freeze-host", host)
    try:
        assert web.host(but=host) != host
    finally:
        twin.client("autoscaling").update_auto_scaling_group(**group, HealthCheckGracePeriod=60)


@pytest.mark.parametrize("process", ["alb-web", "door", "front", "imds", "dns"])
def test_a_killed_process_of_the_twin_is_mended_by_its_keeper_or_by_up(twin: Twin, web: Web, process: str) -> None:
    host = web.host()
    pid = daemons.pid(twin.site, process)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for("its end", lambda: daemons.pid(twin.site, process) != pid, 5)

    twin.up()

    wait_for(process, lambda: daemons.pid(twin.site, process) not in (None, pid), 15)
    wait_for("the front door", lambda: _quietly(lambda: front_door(twin)[0] == 200), 15)
    ask = ["getent", "hosts", "s3.us-east-1.amazonaws.com"]
    wait_for("names", lambda: twin.machine(host).run(ask).returncode == 0, 15)
    assert twin.shell(host, "echo alive")["StandardOutputContent"] == "alive\n"


def test_keepers_that_were_killed_go_on_where_they_were(twin: Twin, web: Web) -> None:
    host = web.host()
    keepers = daemons.pid(twin.site, "keepers")
    assert keepers is not None
    os.kill(keepers, signal.SIGKILL)
    wait_for("their end", lambda: daemons.pid(twin.site, "keepers") != keepers, 5)

    twin.up()
    time.sleep(3)

    assert daemons.pid(twin.site, "keepers") not in (None, keepers)
    assert web.host() == host and front_door(twin)[0] == 200


def open_to_hosts(twin: Twin) -> str:
    """Make a security group that lets the twin's hosts in to PostgreSQL."""
    ec2 = twin.client("ec2")
    id = str(ec2.create_security_group(GroupName="db", Description="PostgreSQL from the hosts")["GroupId"])
    range = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "IpRanges": [{"CidrIp": "10.77.0.0/16"}]}
    ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=[range])
    return id


@pytest.fixture(scope="module")
def database(twin: Twin) -> dict[str, Any]:
    rds = twin.client("rds")
    rds.create_db_parameter_group(DBParameterGroupName="pg", DBParameterGroupFamily="postgres17", Description="test")
    wanted = (("rds.force_ssl", "1"), ("track_commit_timestamp", "1"), ("log_min_duration_statement", "1000"))
    parameters = [{"ParameterName": k, "ParameterValue": v, "ApplyMethod": "pending-reboot"} for k, v in wanted]
    rds.modify_db_parameter_group(DBParameterGroupName="pg", Parameters=parameters)
    rds.create_db_instance(
        DBInstanceIdentifier="rmu-test-db-1",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        EngineVersion="17.5",
        AllocatedStorage=20,
        MasterUsername="rmu_master",
        MasterUserPassword=PASSWORD,
        DBName="ratemyunit",
        DBParameterGroupName="pg",
        VpcSecurityGroupIds=[open_to_hosts(twin)],
    )

    def available() -> dict[str, Any] | None:
        row: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier="rmu-test-db-1")["DBInstances"][0]
        return row if row["DBInstanceStatus"] == "available" else None

    return wait_for("the database", available)


def ask(twin: Twin, host: str, database: dict[str, Any], sql: str, mode: str = "verify-full") -> Any:
    """Ask the database from a host, by the endpoint's name."""
    target = (
        f"host={database['Endpoint']['Address']} dbname=ratemyunit user=rmu_master sslmode={mode} "
        "sslrootcert=/etc/ssl/certs/ca-certificates.crt"
    )
    return twin.machine(host).run(["psql", "-X", "-A", "-t", target, "-c", sql], env={"PGPASSWORD": PASSWORD})


def test_a_database_answers_its_name_over_verified_tls_only(twin: Twin, web: Web, database: dict[str, Any]) -> None:
    host = web.host()

    verified = ask(twin, host, database, "SHOW track_commit_timestamp")
    plain = ask(twin, host, database, "SELECT 1", mode="disable")

    assert verified.stdout == b"on\n", verified.stderr
    assert plain.returncode != 0 and b"no encryption" in plain.stderr


def test_a_static_parameter_waits_for_a_reboot_and_says_so(twin: Twin, web: Web, database: dict[str, Any]) -> None:
    host, rds = web.host(), twin.client("rds")

    def status() -> str:
        row = rds.describe_db_instances(DBInstanceIdentifier="rmu-test-db-1")["DBInstances"][0]
        return str(row["DBParameterGroups"][0]["ParameterApplyStatus"])

    before = status()
    static = {"ParameterName": "max_connections", "ParameterValue": "77", "ApplyMethod": "pending-reboot"}
    rds.modify_db_parameter_group(DBParameterGroupName="pg", Parameters=[static])
    wait_for("a parameter that waits", lambda: status() == "pending-reboot", 20)
    waiting = ask(twin, host, database, "SHOW max_connections").stdout

    rds.reboot_db_instance(DBInstanceIdentifier="rmu-test-db-1")
    wait_for("the reboot", lambda: status() == "in-sync", 30)

    assert before == "in-sync" and waiting != b"77\n"
    wait_for("the parameter", lambda: ask(twin, host, database, "SHOW max_connections").stdout == b"77\n", 20)


def test_a_changed_master_password_is_todays(twin: Twin, web: Web, database: dict[str, Any]) -> None:
    host, rds = web.host(), twin.client("rds")

    rds.modify_db_instance(
        DBInstanceIdentifier="rmu-test-db-1", MasterUserPassword="another-one", ApplyImmediately=True
    )
    wait_for("the old password to fail", lambda: ask(twin, host, database, "SELECT 1").returncode != 0, 30)

    def settled() -> bool:
        row = rds.describe_db_instances(DBInstanceIdentifier="rmu-test-db-1")["DBInstances"][0]
        return row["DBInstanceStatus"] == "available" and not row["PendingModifiedValues"]

    wait_for("the change to settle", settled, 30)
    rds.modify_db_instance(DBInstanceIdentifier="rmu-test-db-1", MasterUserPassword=PASSWORD, ApplyImmediately=True)

    wait_for("the first password to work again", lambda: ask(twin, host, database, "SELECT 1").returncode == 0, 30)


def test_postgres_that_was_killed_is_back_by_itself(twin: Twin, web: Web, database: dict[str, Any]) -> None:
    host = web.host()
    ask(twin, host, database, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")

    fault.make(twin.site, "postgres-kill", None)

    wait_for("PostgreSQL", lambda: ask(twin, host, database, "SELECT n FROM kept").stdout == b"7\n", 30)


def test_the_latest_restorable_time_moves_on(twin: Twin, database: dict[str, Any]) -> None:
    rds = twin.client("rds")

    def latest() -> Any:
        return rds.describe_db_instances(DBInstanceIdentifier="rmu-test-db-1")["DBInstances"][0].get(
            "LatestRestorableTime"
        )

    first = wait_for("an archived segment", latest, 90)

    wait_for("a later one", lambda: latest() > first, 90)


def test_the_applications_url_works_from_this_machine(twin: Twin, web: Web, database: dict[str, Any]) -> None:
    host = web.host()
    twin.client("ssm").put_parameter(Name="/rmu/twin/db/app_password", Value="p@ss/word", Type="SecureString")
    ask(twin, host, database, "CREATE ROLE rmu_app LOGIN PASSWORD 'p@ss/word'")

    [row] = twin.status()["databases"]
    answered = subprocess.run(
        ["psql", "-X", "-A", "-t", row["url"], "-c", "SELECT current_user"], capture_output=True, text=True, check=False
    )

    assert row["identifier"] == "rmu-test-db-1"
    assert answered.stdout == "rmu_app\n", answered.stderr


def test_a_pushed_image_is_in_the_record_and_an_immutable_tag_does_not_move(twin: Twin, tmp_path: Any) -> None:
    ecr = twin.client("ecr")
    ecr.create_repository(
        repositoryName="test/app", imageTagMutability="IMMUTABLE", imageScanningConfiguration={"scanOnPush": True}
    )

    def push(text: str) -> str:
        layout = make_image(tmp_path / text, text)
        target = f"docker://127.0.0.1:{twin.site.registry_outside}/test/app:v1"
        subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}", target], check=True)
        found = wait_for("the record", lambda: ecr.describe_images(repositoryName="test/app")["imageDetails"], 10)
        return str(found[0]["imageDigest"])

    first = push("one")
    second = push("two")
    fault.make(twin.site, "plant-findings", first)
    scan = wait_for("the scan", lambda: scanned(ecr, first), 10)
    fault.clear(twin.site, "plant-findings", None)

    assert second == first
    assert scan == {"CRITICAL": 1}


def scanned(ecr: Any, digest: str) -> Any:
    scan = ecr.describe_image_scan_findings(repositoryName="test/app", imageId={"imageDigest": digest})
    return scan.get("imageScanFindings", {}).get("findingSeverityCounts")


def make_image(where: Any, text: str) -> Any:
    """Write the smallest image: one empty layer, and a label that tells it from others."""
    import hashlib
    import json

    blobs = where / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(content: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    layer = blob(bytes(1024), "layer.v1.tar")
    inside = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"text": text}},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    }
    config = blob(json.dumps(inside).encode(), "config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    }
    entry = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    (where / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (where / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return where
