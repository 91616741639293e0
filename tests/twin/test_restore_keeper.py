"""Restores on real machines: the data of a moment exactly, AWS's defaults, and every way in which a restore ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.twin import daemons, fault
from ratemyunit_ops.twin.down import lower_ground
from ratemyunit_ops.twin.ground import missing
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site
from tests.twin.conftest import Twin, wait_for

pytestmark = pytest.mark.twin
SOURCE = "rmu-rds-db-1"
PASSWORD = "the-first-password"
TABLE = "CREATE TABLE ledger (n int PRIMARY KEY, text text)"


class Lab:
    """A twin with one database that somebody writes to, a host that may reach it, and what tests ask of them."""

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.ports: dict[str, int] = {}
        self.rds = twin.client("rds")
        ec2 = twin.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
        hosts, self.group = (
            ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
            for name in ("hosts", "db")
        )
        from_hosts = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": hosts}]}
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[from_hosts])
        self.rds.create_db_subnet_group(DBSubnetGroupName="db", DBSubnetGroupDescription="db", SubnetIds=[subnet])
        self.rds.create_db_parameter_group(
            DBParameterGroupName="pg", DBParameterGroupFamily="postgres17", Description="commit times"
        )
        stamps = {"ParameterName": "track_commit_timestamp", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}
        self.rds.modify_db_parameter_group(DBParameterGroupName="pg", Parameters=[stamps])
        ran = ec2.run_instances(
            ImageId="ami-12345678",
            InstanceType="t3.nano",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            SecurityGroupIds=[hosts],
        )
        self.host = Machine(twin.site, ran["Instances"][0]["InstanceId"])
        fault.make(twin.site, "archive-lag", "3")
        self.create(SOURCE)
        self.ask(SOURCE, TABLE)
        self.written = 0
        self.host.wait_up()

    def create(self, identifier: str, **more: Any) -> None:
        self.rds.create_db_instance(
            **{
                "DBInstanceIdentifier": identifier,
                "DBInstanceClass": "db.t3.micro",
                "Engine": "postgres",
                "EngineVersion": "17",
                "AllocatedStorage": 20,
                "MasterUsername": "rmu_master",
                "MasterUserPassword": PASSWORD,
                "DBName": "ratemyunit",
                "BackupRetentionPeriod": 7,
                "DBSubnetGroupName": "db",
                "DBParameterGroupName": "pg",
                "VpcSecurityGroupIds": [self.group],
                "EnableCloudwatchLogsExports": ["postgresql"],
                "CopyTagsToSnapshot": True,
                "MaxAllocatedStorage": 100,
                "Tags": [{"Key": "app", "Value": "ratemyunit"}],
                **more,
            }
        )
        self.reaches(identifier, "available")

    def row(self, identifier: str) -> dict[str, Any]:
        found: dict[str, Any] = self.rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
        return found

    def reaches(self, identifier: str, status: str, seconds: float = 180) -> dict[str, Any]:
        """Wait for a status that nothing pending contradicts."""

        def look() -> dict[str, Any] | None:
            row = self.row(identifier)
            return row if row["DBInstanceStatus"] == status and not row["PendingModifiedValues"] else None

        return wait_for(f"{identifier} to be {status}", look, seconds)

    def statuses(self, identifier: str, until: str, seconds: float = 180) -> list[str]:
        """Answer every status on the way to one."""
        seen = [self.row(identifier)["DBInstanceStatus"]]
        end = time.monotonic() + seconds
        while seen[-1] != until and time.monotonic() < end:
            time.sleep(0.1)
            now = self.row(identifier)["DBInstanceStatus"]
            seen += [now] if now != seen[-1] else []
        return seen

    def port(self, identifier: str) -> int:
        resource = self.row(identifier)["DbiResourceId"]
        if resource not in self.ports:
            self.ports[resource] = {one["identifier"]: one["port"] for one in self.twin.status()["databases"]}[
                identifier
            ]
        return self.ports[resource]

    def ask(self, identifier: str, sql: str, password: str = PASSWORD) -> str:
        """Ask a database from this machine, through the door."""
        target = f"host=127.0.0.1 port={self.port(identifier)} dbname=ratemyunit user=rmu_master sslmode=require"
        done = subprocess.run(
            ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", target, "-c", sql],
            env={**os.environ, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "5"},
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def reached(self, identifier: str) -> bool:
        """Tell whether the host can open a connection to a database, by its name."""
        address = self.row(identifier)["Endpoint"]["Address"]
        target = f"host={address} dbname=ratemyunit user=rmu_master sslmode=require connect_timeout=2"
        done = self.host.run(["psql", "-X", "-A", "-t", target, "-c", "SELECT 1"], env={"PGPASSWORD": PASSWORD})
        return done.returncode == 0

    def write(self, rows: int) -> datetime:
        """Write rows, each in a commit of its own; answer a moment among them: a third of them are later."""
        for _ in range(rows):
            self.written += 1
            self.ask(SOURCE, f"INSERT INTO ledger VALUES ({self.written}, md5(random()::text))")
        late = self.ask(
            SOURCE,
            "SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM ledger "
            f"ORDER BY n DESC OFFSET {rows // 3} LIMIT 1",
        )
        return datetime.fromtimestamp(float(late), UTC) + timedelta(milliseconds=5)

    def truth(self, moment: datetime) -> list[str]:
        """Answer what the source held at a moment, by its commits."""
        sql = "SELECT n, text FROM ledger WHERE pg_xact_commit_timestamp(xmin) <= '{}' ORDER BY n"
        return self.ask(SOURCE, sql.format(moment.isoformat())).splitlines()

    def held(self, identifier: str) -> list[str]:
        return self.ask(identifier, "SELECT n, text FROM ledger ORDER BY n").splitlines()

    def restore(self, target: str, moment: datetime | None, **more: Any) -> dict[str, Any]:
        """Ask for a restore as soon as the moment can be had."""
        asked: dict[str, Any] = {"TargetDBInstanceIdentifier": target, **more}
        if "SourceDbiResourceId" not in more:
            asked["SourceDBInstanceIdentifier"] = SOURCE
        asked |= {"RestoreTime": moment} if moment else {"UseLatestRestorableTime": True}
        if moment and "SourceDbiResourceId" not in more:
            wait_for("the restorable time", lambda: self.row(SOURCE)["LatestRestorableTime"] >= moment, 30)
        made: dict[str, Any] = self.rds.restore_db_instance_to_point_in_time(**asked)["DBInstance"]
        return made

    def delete(self, identifier: str, **more: Any) -> None:
        """Delete an instance, and wait until it is gone."""
        more = {"SkipFinalSnapshot": True, **more}
        self.rds.delete_db_instance(DBInstanceIdentifier=identifier, **more)
        wait_for(f"{identifier} to go", lambda: self.refused(lambda: self.row(identifier)) == "DBInstanceNotFound", 30)

    def refused(self, call: Any) -> str:
        """Answer the code of the error that a call ends in; empty if it does not."""
        try:
            call()
        except ClientError as why:
            return str(why.response["Error"]["Code"])
        return ""

    def log(self, machine: Machine) -> str:
        """Answer PostgreSQL's log; nothing while the machine is not up."""
        try:
            return machine.run(["sh", "-c", "cat /srv/rds/log/*.log"]).stdout.decode()
        except (Refused, OSError, subprocess.SubprocessError):
            return ""

    def fault(self, name: str, target: str | None = None) -> None:
        fault.make(self.twin.site, name, target)

    def clear(self, name: str) -> None:
        fault.clear(self.twin.site, name, None)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0 or missing():
        pytest.skip(f"needs root and {missing() or 'nothing else'}: that the twin restores a database is unproven")
    site = Site(name="rds", port_base=7580)
    lower_ground(site)
    twin = Twin(site)
    try:
        twin.up()
        yield Lab(twin)
    finally:
        lower_ground(site)


def test_a_new_instance_is_backed_up_before_it_is_available_and_has_no_endpoint_before(lab: Lab) -> None:
    lab.rds.create_db_instance(
        DBInstanceIdentifier="born",
        DBInstanceClass="db.t3.micro",
        Engine="postgres",
        EngineVersion="17",
        AllocatedStorage=20,
        MasterUsername="rmu_master",
        MasterUserPassword=PASSWORD,
    )
    first = lab.row("born")

    statuses = lab.statuses("born", "available")
    backups = lab.rds.describe_db_snapshots(DBInstanceIdentifier="born", SnapshotType="automated")["DBSnapshots"]
    lab.delete("born")

    assert "Endpoint" not in first and "LatestRestorableTime" not in first
    assert statuses == ["creating", "backing-up", "available"]
    assert [one["Status"] for one in backups] == ["available"]


def test_f35_a_restore_holds_exactly_the_rows_of_its_moment_and_nothing_of_the_sources_settings(lab: Lab) -> None:
    moment = lab.write(9)
    source = lab.row(SOURCE)

    lab.restore("bare", moment, Tags=[{"Key": "rmu:run", "Value": "r-1"}])
    row = lab.reaches("bare", "available")

    truth = lab.truth(moment)
    assert 0 < len(truth) < lab.written and lab.held("bare") == truth
    assert row["DbiResourceId"] != source["DbiResourceId"]
    assert row["LatestRestorableTime"] > row["InstanceCreateTime"], "it has no history before its birth"
    assert row["DBSubnetGroup"]["DBSubnetGroupName"] == "default"
    assert [one["DBParameterGroupName"] for one in row["DBParameterGroups"]] == ["default.postgres17"]
    assert [one["VpcSecurityGroupId"] for one in row["VpcSecurityGroups"]] != [lab.group]
    assert row["EnabledCloudwatchLogsExports"] == [] and "MaxAllocatedStorage" not in row
    assert (row["DeletionProtection"], row["MultiAZ"], row["CopyTagsToSnapshot"]) == (False, False, False)
    assert row["TagList"] == [{"Key": "rmu:run", "Value": "r-1"}]
    assert row["BackupRetentionPeriod"] == 7 and row["DBName"] == "ratemyunit"


@pytest.mark.long
def test_the_default_group_lets_no_host_in_and_a_modified_one_does_until_it_is_cut_again(lab: Lab) -> None:
    default = [one["VpcSecurityGroupId"] for one in lab.row("bare")["VpcSecurityGroups"]]
    before = lab.reached("bare")

    lab.rds.modify_db_instance(
        DBInstanceIdentifier="bare",
        VpcSecurityGroupIds=[lab.group],
        MasterUserPassword="today's",
        ApplyImmediately=True,
    )
    just_after = lab.row("bare")
    statuses = lab.statuses("bare", "modifying", 10)
    lab.reaches("bare", "available")
    there = lab.ask("bare", "SELECT 1", "today's")
    lab.rds.modify_db_instance(DBInstanceIdentifier="bare", MasterUserPassword=PASSWORD, ApplyImmediately=True)
    lab.statuses("bare", "resetting-master-credentials", 10)
    busy = lab.refused(lambda: lab.rds.modify_db_instance(DBInstanceIdentifier="bare", MultiAZ=True))
    lab.reaches("bare", "available")
    opened = wait_for("the opening", lambda: lab.reached("bare"), 20)
    lab.rds.modify_db_instance(DBInstanceIdentifier="bare", VpcSecurityGroupIds=default, ApplyImmediately=True)
    wait_for("the cut", lambda: not lab.reached("bare"), 20)

    assert (before, opened, there) == (False, True, "1") and lab.reached(SOURCE)
    assert just_after["DBInstanceStatus"] == "available"
    assert just_after["PendingModifiedValues"] == {"MasterUserPassword": "****"}
    assert statuses == ["available", "modifying"] and busy in ("InvalidDBInstanceState", "")
    lab.reaches("bare", "available")
    lab.delete("bare")


@pytest.mark.long
def test_what_cannot_be_restored_is_refused_in_awss_own_words(lab: Lab) -> None:
    window = lab.rds.describe_db_instance_automated_backups(DBInstanceIdentifier=SOURCE)["DBInstanceAutomatedBackups"]
    earliest, latest = window[0]["RestoreWindow"]["EarliestTime"], window[0]["RestoreWindow"]["LatestTime"]
    second, restore = timedelta(seconds=1), lab.rds.restore_db_instance_to_point_in_time

    def code(**asked: Any) -> str:
        asked = {"SourceDBInstanceIdentifier": SOURCE, "TargetDBInstanceIdentifier": "never", **asked}
        return lab.refused(lambda: restore(**{key: value for key, value in asked.items() if value is not None}))

    lab.fault("database-quota", "1")
    quota = code(RestoreTime=latest)
    [told] = [one for one in lab.rds.describe_account_attributes()["AccountQuotas"] if one["Used"] == 1]
    lab.clear("database-quota")

    assert quota == "InstanceQuotaExceeded" and (told["AccountQuotaName"], told["Max"]) == ("DBInstances", 1)
    assert code(RestoreTime=earliest - second) == "InvalidParameterValue"
    assert code(RestoreTime=datetime.now(UTC) + second) == "InvalidParameterValue"
    assert code() == code(RestoreTime=latest, UseLatestRestorableTime=True) == "InvalidParameterCombination"
    assert code(RestoreTime=latest, SourceDbiResourceId="db-X") == "InvalidParameterCombination"
    assert code(TargetDBInstanceIdentifier=SOURCE, RestoreTime=latest) == "DBInstanceAlreadyExists"
    assert code(SourceDBInstanceIdentifier="nobody", RestoreTime=latest) == "DBInstanceNotFound"
    unknown = code(SourceDBInstanceIdentifier=None, SourceDbiResourceId="db-X", RestoreTime=latest)
    assert unknown == "DBInstanceAutomatedBackupNotFound"
    assert code(RestoreTime=latest, DBParameterGroupName="nothing") == "DBParameterGroupNotFound"
    assert [one["DBInstanceIdentifier"] for one in lab.rds.describe_db_instances()["DBInstances"]] == [SOURCE]


@pytest.mark.long
def test_a_damaged_backup_is_found_and_named_and_the_next_older_one_serves_the_same_moment(lab: Lab) -> None:
    lab.fault("backup-now", SOURCE)

    def two() -> list[dict[str, Any]]:
        listed = lab.rds.describe_db_snapshots(DBInstanceIdentifier=SOURCE, SnapshotType="automated")["DBSnapshots"]
        return sorted(listed, key=lambda one: one["SnapshotCreateTime"]) if len(listed) == 2 else []

    wait_for("a second backup", two, 30)
    moment = lab.write(6)
    lab.fault("backup-corrupt", SOURCE)

    lab.restore("broken", moment)
    lab.reaches("broken", "incompatible-restore")
    events = lab.rds.describe_events(SourceIdentifier="broken", SourceType="db-instance")["Events"]
    listed = two()
    without = {"DBInstanceIdentifier": "broken", "FinalDBSnapshotIdentifier": "of-nothing"}
    final = lab.refused(lambda: lab.rds.delete_db_instance(**without))
    lab.delete("broken")
    lab.restore("broken", moment)
    lab.reaches("broken", "available")

    assert [one["Status"] for one in listed] == ["available", "failed"]
    name = listed[1]["DBSnapshotIdentifier"].removeprefix(f"rds:{SOURCE}-")
    assert [one for one in events if name in one["Message"] and "cannot be restored" in one["Message"]]
    assert final == "InvalidDBInstanceState"
    assert lab.held("broken") == lab.truth(moment)
    lab.delete("broken")


@pytest.mark.long
def test_a_restore_outlives_a_killed_server_and_killed_keepers(lab: Lab) -> None:
    lab.write(3)
    lab.ask(SOURCE, "INSERT INTO ledger SELECT n, repeat('x', 900) FROM generate_series(100001, 250000) n")
    lab.ask(SOURCE, "DELETE FROM ledger WHERE n > 100000")
    moment = lab.write(3)
    machine = Machine(lab.twin.site, "tough")

    lab.restore("tough", moment)
    wait_for("the replay", lambda: "restored log file" in lab.log(machine))
    lab.fault("postgres-kill", "tough")
    wait_for("another start", lambda: lab.log(machine).count("starting PostgreSQL") > 1)
    keepers = daemons.pid(lab.twin.site, "keepers")
    assert keepers is not None
    os.kill(keepers, signal.SIGKILL)
    wait_for("their end", lambda: daemons.pid(lab.twin.site, "keepers") != keepers)
    lab.twin.up()
    lab.reaches("tough", "available")

    assert lab.held("tough") == lab.truth(moment)
    lab.delete("tough")


@pytest.mark.long
def test_a_restore_without_room_says_so_and_goes_on_when_there_is_some(lab: Lab) -> None:
    moment = lab.write(3)
    lab.fault("restore-disk-full")

    lab.restore("full", moment)
    lab.reaches("full", "storage-full")
    lab.clear("restore-disk-full")
    lab.reaches("full", "available")

    assert lab.held("full") == lab.truth(moment)
    lab.delete("full")


@pytest.mark.long
def test_four_restores_and_a_slow_birth_run_beside_each_other(lab: Lab) -> None:
    moment, names = lab.write(3), [f"beside-{n}" for n in range(4)]
    lab.fault("database-slow", "45")
    began = time.monotonic()

    for name in names:
        lab.restore(name, moment)
    for name in names:
        lab.reaches(name, "available", 300)
    took = time.monotonic() - began
    lab.clear("database-slow")

    assert took > 40
    assert len({lab.port(name) for name in names}) == 4
    assert all(lab.held(name) == lab.truth(moment) for name in names)
    for name in names:
        lab.delete(name)


@pytest.mark.long
def test_a_lost_database_leaves_its_backups_but_not_what_was_never_shipped(lab: Lab) -> None:
    lab.create("doomed", DeletionProtection=True)
    lab.ask("doomed", f"{TABLE}; INSERT INTO ledger VALUES (1, 'shipped')")
    resource = lab.row("doomed")["DbiResourceId"]
    written = datetime.now(UTC)
    wait_for("the shipping", lambda: lab.row("doomed")["LatestRestorableTime"] > written)
    lab.fault("archive-lag", "3600")
    lab.ask("doomed", "INSERT INTO ledger VALUES (2, 'never shipped')")

    lab.fault("database-lost", "doomed")
    wait_for("its end", lambda: lab.refused(lambda: lab.row("doomed")) == "DBInstanceNotFound")
    lab.fault("archive-lag", "3")
    lab.restore("risen", None, SourceDbiResourceId=resource)
    lab.reaches("risen", "available")

    assert lab.held("risen") == ["1|shipped"]
    lab.delete("risen")
    lab.rds.delete_db_instance_automated_backup(DbiResourceId=resource)


@pytest.mark.long
def test_a_deleted_database_comes_back_from_what_was_kept_of_it(lab: Lab) -> None:
    resource = lab.row(SOURCE)["DbiResourceId"]
    moment, protect = lab.write(6), {"DBInstanceIdentifier": SOURCE, "ApplyImmediately": True}
    lab.rds.modify_db_instance(**protect, DeletionProtection=True)
    protected = lab.refused(lambda: lab.delete(SOURCE))
    lab.rds.modify_db_instance(**protect, DeletionProtection=False)
    truth, everything = lab.truth(moment), lab.held(SOURCE)
    unnamed = lab.refused(lambda: lab.rds.delete_db_instance(DBInstanceIdentifier=SOURCE))
    in_use = lab.refused(lambda: lab.rds.delete_db_instance_automated_backup(DbiResourceId=resource))

    final = {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": f"{SOURCE}-final"}
    lab.delete(SOURCE, **final, DeleteAutomatedBackups=False)
    [kept] = lab.rds.describe_db_instance_automated_backups(DbiResourceId=resource)["DBInstanceAutomatedBackups"]
    lab.restore("from-kept", moment, SourceDbiResourceId=resource)
    snapshot = {"DBSnapshotIdentifier": f"{SOURCE}-final"}
    lab.rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier="from-final", **snapshot)
    for one in ("from-kept", "from-final"):
        lab.reaches(one, "available")

    assert (protected, unnamed) == ("InvalidParameterCombination", "InvalidParameterCombination")
    assert in_use == "InvalidDBInstanceAutomatedBackupState"
    assert kept["Status"] == "retained" and kept["RestoreWindow"]["LatestTime"] >= moment
    assert lab.held("from-kept") == truth and lab.held("from-final") == everything
    assert lab.row("from-kept")["TagList"] == [{"Key": "app", "Value": "ratemyunit"}]
    lab.rds.delete_db_instance_automated_backup(DbiResourceId=resource)
    gone = lab.refused(lambda: lab.rds.describe_db_instance_automated_backups(DbiResourceId=resource))
    assert gone == "DBInstanceAutomatedBackupNotFound"
    wait_for("its files to go", lambda: not (lab.twin.site.state_dir / "backups" / resource).exists(), 10)
