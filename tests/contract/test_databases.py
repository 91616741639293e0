"""Databases in RDS as the port promises, on the twin's gate: RDS that gives defaults to whatever was not asked for."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ratemyunit_ops.errors import Absent, Failed
from ratemyunit_ops.model import DatabaseSettings, RestorePoint
from ratemyunit_ops.outside.aws import databases as adapter
from ratemyunit_ops.outside.aws.database_settings import restore_arguments
from ratemyunit_ops.outside.aws.databases import RdsDatabases
from ratemyunit_ops.outside.aws.session import Account
from tests.fakes.clock import FakeClock

ROOT = Path(__file__).parents[2]
RUN = "r-261127-031500-ab12"
NOW = datetime.now(UTC).replace(microsecond=0)
POINT = NOW - timedelta(hours=1)
PASSWORD = "todays-password-0123456789abcdef"


@dataclass
class Gate:
    """The twin's gate alone; the test is the keeper that would have started PostgreSQL."""

    url: str
    account: Account

    def call(self, path: str, body: object) -> Any:
        request = urllib.request.Request(self.url + path, data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def sees(self, **what: Any) -> None:
        self.call("/twin/seen", what)

    def knobs(self, **what: Any) -> None:
        self.call("/twin/rds-knobs", what)

    def obeys(self, identifier: str) -> None:
        """Let a machine do whatever it is told, as its keeper would within a second."""
        self.sees(databases={identifier: "available"}, obeyed={identifier: 10_000})

    def has_backups(self, resource: str, *, hours: tuple[int, ...] = (5, 3), damaged: tuple[int, ...] = ()) -> None:
        bases = [
            {"name": f"base-{h}", "ended": (NOW - timedelta(hours=h)).timestamp(), "damaged": h in damaged}
            for h in sorted(hours, reverse=True)
        ]
        self.sees(bases={resource: bases}, archived={resource: (NOW - timedelta(minutes=5)).timestamp()})

    def password_of(self, identifier: str) -> str:
        wanted = self.call("/twin/wanted", {})["databases"]
        return str(next(d["password"] for d in wanted if d["id"] == identifier))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-m", "ratemyunit_ops.twin.gate.server", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path_factory.mktemp("gate") / "gate.log").open("w") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    gate = Gate(url, Account(region="us-east-1", endpoint=url, access_key="test", secret="test"))
    until = time.monotonic() + 60
    while True:
        try:
            gate.knobs(quiet_seconds=0.0, quota=1000)
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < until, "the gate did not start"
            time.sleep(0.1)
    yield gate
    process.kill()
    process.wait()


@dataclass
class Standing:
    """One environment: its network, its groups, and the database that serves."""

    gate: Gate
    environment: str
    closed: str
    group: str

    @property
    def source(self) -> str:
        return f"rmu-{self.environment}-db-1"

    @property
    def restored(self) -> str:
        return f"rmu-{self.environment}-db-ab12"

    @property
    def databases(self) -> RdsDatabases:
        return RdsDatabases(self.gate.account, self.environment, ObeyingClock(self))

    @property
    def resource(self) -> str:
        return self.databases.view(self.source).resource_id

    def point(self, at: datetime = POINT) -> RestorePoint:
        return RestorePoint(resource_id=self.resource, at=at)

    def restore(self, *, run: str = RUN, like: DatabaseSettings | None = None, at: datetime = POINT) -> dict[str, Any]:
        like = like or self.databases.settings(self.source)
        return self.databases.restore(self.point(at), identifier=self.restored, like=like, run=run)

    def described(self, identifier: str) -> dict[str, Any]:
        answer = self.gate.account.ask("rds", "DescribeDBInstances", DBInstanceIdentifier=identifier)
        found: dict[str, Any] = answer["DBInstances"][0]
        return found


class ObeyingClock(FakeClock):
    """Time that passes at once, in which the machines do what they were told."""

    def __init__(self, standing: Standing) -> None:
        super().__init__()
        self._standing = standing

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        for name in (self._standing.source, self._standing.restored):
            self._standing.gate.obeys(name)


@pytest.fixture
def standing(gate: Gate) -> Standing:
    """Make an environment as Terraform makes it, with backups of the last five hours."""
    environment = f"t{uuid4().hex[:6]}"
    ask, act, name = gate.account.ask, gate.account.act, f"rmu-{environment}"
    vpc = act("ec2", "CreateVpc", CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    zones = [("10.77.128.0/20", "us-east-1a"), ("10.77.144.0/20", "us-east-1b")]
    subnets = [
        act("ec2", "CreateSubnet", VpcId=vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for block, zone in zones
    ]
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    closed = ask("ec2", "DescribeSecurityGroups", Filters=filters)["SecurityGroups"][0]["GroupId"]
    group = act("ec2", "CreateSecurityGroup", GroupName=f"{name}-db", Description="databases", VpcId=vpc)["GroupId"]
    act("rds", "CreateDBSubnetGroup", DBSubnetGroupName=f"{name}-db", DBSubnetGroupDescription="d", SubnetIds=subnets)
    act(
        "rds",
        "CreateDBParameterGroup",
        DBParameterGroupName=f"{name}-postgres17",
        DBParameterGroupFamily="postgres17",
        Description="d",
    )
    act(
        "rds",
        "CreateDBInstance",
        DBInstanceIdentifier=f"{name}-db-1",
        Engine="postgres",
        EngineVersion="17",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MaxAllocatedStorage=100,
        StorageType="gp3",
        StorageEncrypted=True,
        MasterUsername="rmu_master",
        MasterUserPassword="the-password-of-then-0123456789",
        DBName="ratemyunit",
        DBSubnetGroupName=f"{name}-db",
        DBParameterGroupName=f"{name}-postgres17",
        VpcSecurityGroupIds=[group],
        BackupRetentionPeriod=7,
        PreferredBackupWindow="15:00-16:00",
        PreferredMaintenanceWindow="sun:18:00-sun:19:00",
        CopyTagsToSnapshot=True,
        DeletionProtection=True,
        EnableCloudwatchLogsExports=["postgresql", "upgrade"],
        Tags=[{"Key": "rmu:env", "Value": environment}, {"Key": "rmu:managed-by", "Value": "terraform"}],
    )
    act("ssm", "PutParameter", Name=f"/rmu/{environment}/db/master_password", Value=PASSWORD, Type="SecureString")
    made = Standing(gate, environment, closed, group)
    gate.obeys(made.source)
    gate.has_backups(made.resource)
    return made


# -- looking ---------------------------------------------------------------------------------------------------------


def test_the_window_of_an_instance_reaches_from_its_first_backup_to_its_last_shipped_log(standing: Standing) -> None:
    window = standing.databases.window(standing.resource)

    assert (window.identifier, window.source) == (standing.source, "instance")
    assert (window.earliest, window.latest) == (NOW - timedelta(hours=5), NOW - timedelta(minutes=5))


def test_an_instance_without_its_first_backup_has_no_window_yet(standing: Standing) -> None:
    standing.restore()

    with pytest.raises(Absent, match="no backup yet"):
        standing.databases.window(standing.databases.view(standing.restored).resource_id)


def test_the_window_of_a_deleted_instance_is_that_of_the_backups_it_left(standing: Standing) -> None:
    resource = standing.resource
    standing.databases.retire(standing.source)
    standing.gate.sees(left=[standing.source])

    window = standing.databases.window(resource)

    assert (window.identifier, window.source) == (standing.source, "retained")
    assert [w.resource_id for w in standing.databases.windows()] == [resource]


def test_what_nobody_ever_made_has_no_window(standing: Standing) -> None:
    with pytest.raises(Absent, match="there is no database db-NEVER, nor a backup of one"):
        standing.databases.window("db-NEVER")


def test_backups_are_listed_the_oldest_first_and_damaged_ones_too(standing: Standing) -> None:
    standing.gate.has_backups(standing.resource, hours=(5, 3), damaged=(3,))

    assert standing.databases.backups(standing.resource) == (NOW - timedelta(hours=5), NOW - timedelta(hours=3))


def test_only_the_instances_of_this_environment_are_listed(standing: Standing) -> None:
    standing.restore()

    assert {d.identifier for d in standing.databases.all()} == {standing.source, standing.restored}


# -- restoring -------------------------------------------------------------------------------------------------------


def test_f35_a_restored_instance_has_every_setting_of_its_source(standing: Standing) -> None:
    wanted = standing.databases.settings(standing.source)

    standing.restore(like=wanted)
    standing.gate.obeys(standing.restored)

    # From birth: a parameter group that is swapped afterwards waits for a reboot.
    assert standing.databases.settings(standing.restored).difference(wanted) == {}
    assert standing.databases.made_by(standing.restored) == RUN
    assert standing.databases.made_by(standing.source) is None


def test_f35_the_gate_gives_defaults_to_what_is_not_asked_for_or_the_test_above_would_prove_nothing(
    standing: Standing,
) -> None:
    wanted = standing.databases.settings(standing.source)
    standing.gate.account.act(
        "rds",
        "RestoreDBInstanceToPointInTime",
        SourceDbiResourceId=standing.resource,
        TargetDBInstanceIdentifier=standing.restored,
        RestoreTime=POINT,
    )
    standing.gate.obeys(standing.restored)

    lost = standing.databases.settings(standing.restored).difference(wanted)

    assert {"security_groups", "subnet_group", "parameter_group", "log_exports", "deletion_protection"} <= set(lost)


def test_f35_what_a_restore_drops_silently_is_set_afterwards_at_once(standing: Standing) -> None:
    wanted = standing.databases.settings(standing.source)
    dropped = {"copy_tags": False, "log_exports": ("postgresql",), "deletion_protection": False, "tags": {}}
    standing.restore(like=wanted.model_copy(update={**dropped, "maintenance_window": "mon:01:00-mon:02:00"}))
    standing.gate.obeys(standing.restored)

    done = standing.databases.settle(standing.restored, wanted)

    assert {"CopyTagsToSnapshot", "DeletionProtection", "CloudwatchLogsExportConfiguration"} <= set(done["changed"])
    assert done["tags"] == ["rmu:env", "rmu:managed-by"]
    standing.gate.obeys(standing.restored)
    assert standing.databases.settings(standing.restored).difference(wanted) == {}


def test_a_setting_that_is_right_is_not_asked_for_again(standing: Standing) -> None:
    wanted = standing.databases.settings(standing.source)

    assert standing.databases.settle(standing.source, wanted) == {"changed": [], "tags": []}


@pytest.mark.parametrize(("gigabytes", "told"), [(20, False), (399, False), (400, True)])
def test_a_small_disk_is_not_told_the_performance_that_it_has_anyway(gigabytes: int, told: bool) -> None:
    like = DatabaseSettings(instance_class="db.t3.micro", storage_gb=gigabytes, iops=3000, throughput=125)

    assert ({"Iops", "StorageThroughput"} <= set(restore_arguments(like))) is told


def test_a_restore_that_was_asked_for_already_is_enough(standing: Standing) -> None:
    assert standing.restore()["already"] is False

    assert standing.restore()["already"] is True


def test_an_instance_of_that_name_which_another_run_made_is_nobody_elses(standing: Standing) -> None:
    standing.restore(run="r-of-somebody-else")

    with pytest.raises(Failed, match="already, and this run did not make it"):
        standing.restore()


def test_a_moment_is_restored_by_the_whole_second_before_it(standing: Standing) -> None:
    standing.restore(at=POINT + timedelta(milliseconds=900))

    wanted = standing.gate.call("/twin/wanted", {})["databases"]
    assert next(d["origin"]["time"] for d in wanted if d["id"] == standing.restored) == POINT.timestamp()


@pytest.mark.parametrize("hours", [-1, 9], ids=["in the future", "before the first backup"])
def test_a_moment_outside_of_the_window_is_refused_and_nobody_is_sent_to_restore_what_serves(
    standing: Standing, hours: int
) -> None:
    with pytest.raises(Failed, match="cannot be restored") as why:
        standing.restore(at=NOW - timedelta(hours=hours))

    assert why.value.state == "No instance was made; what serves was not touched."
    assert why.value.next == "rmu status"


def test_a_quota_that_is_used_up_names_itself_and_what_frees_one(standing: Standing) -> None:
    standing.gate.knobs(quota=1)
    try:
        with pytest.raises(Failed, match="database instances is used up; here are") as why:
            standing.restore()
    finally:
        standing.gate.knobs(quota=1000)

    assert standing.source in why.value.what
    assert why.value.next.startswith("rmu db salvage RUN --apply, then rmu db forget NAME")


def test_a_source_that_keeps_no_backups_is_named_as_such(standing: Standing) -> None:
    with pytest.raises(Failed, match="there is no backup of db-NEVER"):
        standing.databases.restore(
            RestorePoint(resource_id="db-NEVER", at=POINT),
            identifier=standing.restored,
            like=standing.databases.settings(standing.source),
            run=RUN,
        )


def test_a_deleted_instance_is_restored_from_the_backups_it_left(standing: Standing) -> None:
    point, like = standing.point(), standing.databases.settings(standing.source)
    standing.databases.retire(standing.source)
    standing.gate.sees(left=[standing.source])

    standing.databases.restore(point, identifier=standing.restored, like=like, run=RUN)

    assert standing.databases.made_by(standing.restored) == RUN


def test_the_masters_password_becomes_todays_and_is_told_to_nobody(standing: Standing) -> None:
    standing.restore()
    standing.gate.obeys(standing.restored)

    facts = standing.databases.renew_master(standing.restored)

    standing.gate.obeys(standing.restored)
    assert standing.gate.password_of(standing.restored) == PASSWORD
    assert PASSWORD not in json.dumps(facts)


# -- taking away -----------------------------------------------------------------------------------------------------


def test_what_a_run_made_is_dropped_though_it_is_protected(standing: Standing) -> None:
    standing.restore()
    standing.gate.obeys(standing.restored)

    standing.databases.drop(standing.restored, run=RUN)

    assert standing.described(standing.restored)["DBInstanceStatus"] == "deleting"
    assert standing.databases.made_by(standing.restored) is None
    assert standing.databases.drop(standing.restored, run=RUN)["already"] is True


def test_an_instance_that_is_still_being_made_is_dropped_once_that_is_possible(standing: Standing) -> None:
    standing.restore()
    assert standing.described(standing.restored)["DBInstanceStatus"] == "creating"

    standing.databases.drop(standing.restored, run=RUN)

    assert standing.described(standing.restored)["DBInstanceStatus"] == "deleting"


@pytest.mark.parametrize("which", ["source", "restored"])
def test_a_run_drops_nothing_that_it_did_not_make(standing: Standing, which: str) -> None:
    standing.restore(run="r-of-somebody-else")
    name = getattr(standing, which)
    standing.gate.obeys(name)

    with pytest.raises(Failed, match=f"{name} was not made by run {RUN}"):
        standing.databases.drop(name, run=RUN)

    assert standing.described(name)["DBInstanceStatus"] == "available"


def test_dropping_what_is_not_there_is_done(standing: Standing) -> None:
    assert standing.databases.drop(standing.restored, run=RUN)["already"] is True


def test_a_retired_instance_is_unreachable_then_kept_as_snapshot_and_as_backups(standing: Standing) -> None:
    standing.databases.retire(standing.source)

    found = standing.described(standing.source)
    assert found["DBInstanceStatus"] == "deleting"
    assert [g["VpcSecurityGroupId"] for g in found["VpcSecurityGroups"]] == [standing.closed]
    final = standing.gate.account.ask("rds", "DescribeDBSnapshots", DBSnapshotIdentifier=f"{standing.source}-final")
    assert final["DBSnapshots"][0]["SnapshotType"] == "manual"
    assert standing.databases.retire(standing.source)["already"] is True


def test_an_instance_whose_storage_is_full_is_retired_too(standing: Standing) -> None:
    standing.gate.sees(databases={standing.source: "storage-full"})

    standing.databases.retire(standing.source)

    found = standing.described(standing.source)
    assert found["DBInstanceStatus"] == "deleting" and not found["DeletionProtection"]


def test_a_final_snapshot_of_another_life_is_not_written_over(standing: Standing) -> None:
    standing.gate.account.act(
        "rds",
        "CreateDBSnapshot",
        DBInstanceIdentifier=standing.source,
        DBSnapshotIdentifier=f"{standing.source}-final",
    )

    with pytest.raises(Failed, match=r"is a snapshot \S+ already") as why:
        standing.databases.retire(standing.source)

    assert "delete-db-snapshot" in why.value.next


def test_a_database_is_let_into_other_security_groups(standing: Standing) -> None:
    standing.databases.admit(standing.source, (standing.closed,))

    assert standing.databases.settings(standing.source).security_groups == (standing.closed,)


def test_a_change_that_never_comes_about_ends_in_an_error_that_names_its_state(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "SETTLES_WITHIN", timedelta(seconds=5))  # each of its looks is a request
    databases = RdsDatabases(standing.gate.account, standing.environment, FakeClock())
    # Patched, because moto changes groups at once: RDS may say for ever that it is still at it.
    monkeypatch.setattr(adapter, "_in_groups", lambda found, groups: False)

    with pytest.raises(Failed, match="did not settle: it is available"):
        databases.admit(standing.source, (standing.closed,))


@pytest.mark.parametrize("status", ["available", "storage-full", "incompatible-parameters"])
def test_nobody_reaches_what_was_closed_however_ill_it_is_and_it_admits_again(standing: Standing, status: str) -> None:
    standing.gate.sees(databases={standing.source: status})
    before = standing.databases.settings(standing.source).security_groups
    assert not standing.databases.closed(standing.source)

    standing.databases.close(standing.source)

    assert standing.databases.closed(standing.source)
    assert standing.databases.settings(standing.source).security_groups == (standing.closed,)
    standing.databases.admit(standing.source, before)
    assert standing.databases.settings(standing.source).security_groups == before


def test_what_rds_changes_nothing_of_is_not_closed_and_what_takes_it_away_is_named(
    standing: Standing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "SETTLES_WITHIN", timedelta(seconds=5))  # each of its looks is a request
    standing.gate.sees(databases={standing.source: "failed"})
    databases = RdsDatabases(standing.gate.account, standing.environment, FakeClock())

    with pytest.raises(Failed, match=f"changes nothing of {standing.source} while it is failed") as why:
        databases.close(standing.source)

    assert why.value.next.startswith(f"aws rds delete-db-instance --db-instance-identifier {standing.source}")
    databases.admit(standing.source, databases.settings(standing.source).security_groups)  # as an undo does
