"""Restores of RDS: a new instance from backups, with AWS's defaults for whatever the caller did not pass.

moto copies the source's settings instead; a caller that forgot one would learn it in an account only.
"""

from datetime import UTC, datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.rds.exceptions import DBInstanceAlreadyExists, DBInstanceNotFoundError, DBParameterGroupNotFoundError
from moto.rds.models import DBInstance, DBSubnetGroup, RDSBackend

from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend, refuse
from ratemyunit_ops.twin.gate.rds import life_of, refresh, window_of
from ratemyunit_ops.twin.gate.rds_backups import source_of

# What the data brings along, and what AWS takes from the source unless told otherwise.
INHERITED = (
    "allocated_storage",
    "backup_retention_period",
    "db_instance_class",
    "db_name",
    "engine",
    "engine_version",
    "kms_key_id",
    "license_model",
    "master_username",
    "port",
    "preferred_backup_window",
    "preferred_maintenance_window",
    "storage_encrypted",
    "storage_type",
)
PASSED = (
    "allocated_storage",
    "auto_minor_version_upgrade",
    "availability_zone",
    "backup_retention_period",
    "ca_certificate_identifier",
    "copy_tags_to_snapshot",
    "db_instance_class",
    "db_parameter_group_name",
    "db_subnet_group_name",
    "deletion_protection",
    "enable_cloudwatch_logs_exports",
    "enable_iam_database_authentication",
    "iops",
    "max_allocated_storage",
    "multi_az",
    "option_group_name",
    "port",
    "preferred_backup_window",
    "publicly_accessible",
    "storage_throughput",
    "storage_type",
    "tags",
    "vpc_security_group_ids",
)


@mend(RDSBackend)
def restore_db_instance_to_point_in_time(
    self: RDSBackend, source_db_identifier: str | None, target_db_identifier: str, overrides: dict[str, Any]
) -> DBInstance:
    """Make an instance that is as a source was at a moment.

    Raises: DBInstanceAlreadyExists, DBInstanceNotFound, DBInstanceAutomatedBackupNotFound, InvalidDBInstanceState,
    PointInTimeRestoreNotEnabled, InvalidRestoreFault, InvalidParameterValue, InvalidParameterCombination,
    InstanceQuotaExceeded.
    """
    refresh()
    asked = dict(overrides)
    source = _source(self, source_db_identifier, asked)
    if target_db_identifier in self.databases:
        raise DBInstanceAlreadyExists()
    moment = _moment(source, asked)
    restored = _make(self, target_db_identifier, source, source.tags, asked)
    life_of(restored).origin = {"resource": source.dbi_resource_id, "time": moment}
    return restored


@mend(RDSBackend)
def restore_db_instance_from_db_snapshot(
    self: RDSBackend, from_snapshot_id: str, overrides: dict[str, Any]
) -> DBInstance:
    """Make an instance that is as a snapshot.

    Raises: DBSnapshotNotFound, InvalidDBSnapshotState, DBInstanceAlreadyExists, InstanceQuotaExceeded.
    """
    refresh()
    asked = dict(overrides)
    name = from_snapshot_id.rpartition(":snapshot:")[2]
    snapshot = self.describe_db_snapshots(db_instance_identifier=None, db_snapshot_identifier=name)[0]
    if snapshot.status != "available":
        raise refuse("InvalidDBSnapshotState", f"The snapshot {name} is {snapshot.status}.")
    if asked["db_instance_identifier"] in self.databases:
        raise DBInstanceAlreadyExists()
    restored = _make(self, asked["db_instance_identifier"], snapshot.database, snapshot.tags, asked)
    life_of(restored).origin = {"snapshot": name, "resource": snapshot.dbi_resource_id}
    return restored


def _source(backend: RDSBackend, identifier: str | None, asked: dict[str, Any]) -> DBInstance:
    resource, arn = asked.get("source_dbi_resource_id"), asked.get("source_db_instance_automated_backups_arn")
    if sum(1 for one in (identifier, resource, arn) if one) != 1:
        raise refuse("InvalidParameterCombination", "name one source: its identifier, resource id or backup's ARN")
    if not identifier:
        return source_of(backend, resource, arn)
    source = backend.databases.get(identifier)
    if source is None:
        raise DBInstanceNotFoundError(identifier)
    if source.status in ("creating", "deleting"):
        raise refuse("InvalidDBInstanceState", f"Instance {identifier} is not in available state.")
    return source


def _moment(source: DBInstance, asked: dict[str, Any]) -> float:
    """Find the unix time that is meant, and refuse one that cannot be had."""
    time, latest = asked.get("restore_time"), asked.get("use_latest_restorable_time")
    if bool(time) == bool(latest):
        raise refuse("InvalidParameterCombination", "give RestoreTime or UseLatestRestorableTime, and not both")
    if not int(source.backup_retention_period or 0):
        raise refuse(
            "PointInTimeRestoreNotEnabled",
            f"Point in time restore is not enabled for {source.db_instance_identifier}: its retention period is 0.",
        )
    window = window_of(source.dbi_resource_id)
    if window is None:
        raise refuse("InvalidRestoreFault", f"{source.db_instance_identifier} has no backup to restore from yet.")
    if latest:
        return window[1]
    assert isinstance(time, datetime)
    moment = (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if not window[0] <= moment <= window[1]:
        first, last = (datetime.fromtimestamp(one, UTC).isoformat() for one in window)
        raise refuse(
            "InvalidParameterValue",
            f"The RestoreTime {time.isoformat()} is not valid: {source.db_instance_identifier} "
            f"can be restored to a time from {first} to {last}.",
        )
    return moment


def _make(
    backend: RDSBackend, identifier: str, source: DBInstance, tags: list[dict[str, str]], asked: dict[str, Any]
) -> DBInstance:
    wanted: dict[str, Any] = {name: getattr(source, name, None) for name in INHERITED}
    wanted |= {name: asked[name] for name in PASSED if asked.get(name) is not None}
    if int(wanted["allocated_storage"]) < int(source.allocated_storage):
        raise refuse("InvalidParameterValue", "Allocated storage size can't be less than the source's.")
    group = wanted.get("db_parameter_group_name")
    if group and not source.is_default_parameter_group(group) and group not in backend.db_parameter_groups:
        raise DBParameterGroupNotFoundError(group)
    subnets = _subnet_group(backend, wanted.setdefault("db_subnet_group_name", "default"))
    if not wanted.get("vpc_security_group_ids"):
        wanted["vpc_security_group_ids"] = [_default_group(backend, subnets.vpc_id)]
    # Tags that are passed replace the source's; without any the source's are copied.
    wanted.setdefault("tags", list(tags))
    made = {name: value for name, value in wanted.items() if value is not None}
    return backend.create_db_instance({**made, "db_instance_identifier": identifier})


def _subnet_group(backend: RDSBackend, name: str) -> DBSubnetGroup:
    """Answer a subnet group; the `default` one is the default VPC's, and there from the first day."""
    if name == "default" and name not in backend.subnet_groups:
        ec2 = ec2_backends[ACCOUNT][backend.region_name]
        subnets = list(ec2.get_default_subnets().values())
        backend.create_subnet_group("default", "default", subnets, [])
    return backend.describe_db_subnet_groups(name)[0]


def _default_group(backend: RDSBackend, vpc: str) -> str:
    ec2 = ec2_backends[ACCOUNT][backend.region_name]
    group = ec2.get_default_security_group(vpc)
    if group is None:
        raise refuse("InvalidVPCNetworkStateFault", f"the VPC {vpc} has no default security group")
    return str(group.id)
