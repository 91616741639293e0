"""Backups of RDS: base backups as automated snapshots, what is kept of a deleted instance, snapshots, deletion.

The keeper makes them; here they are named, listed and forgotten.
"""

from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult
from moto.rds.exceptions import DBInstanceNotFoundError, DBSnapshotAlreadyExistsError, InvalidParameterCombination
from moto.rds.models import DBInstance, DBSnapshot, RDSBackend, rds_backends
from moto.rds.responses import RDSResponse

from ratemyunit_ops.twin.gate import rds_events
from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend, refuse
from ratemyunit_ops.twin.gate.rds import MOVING, databases, forget, life_of, refresh, window_of
from ratemyunit_ops.twin.gate.state import SEEN

KEPT = 40
RETAINED: dict[str, DBInstance] = {}
"""Resource id -> the deleted instance whose automated backups are kept."""

COPIES: dict[str, str] = {}
"""Snapshot identifier -> the snapshot that it is a copy of."""

_snapshot = RDSBackend.create_db_snapshot
_copy_snapshot = RDSBackend.copy_db_snapshot


@mend(DBInstance)
def save_automated_backup(self: DBInstance) -> None:
    """Leave it to the keeper: moto claims a backup at the moment of creation."""


@mend(RDSBackend)
def create_db_snapshot(self: RDSBackend, db_instance_identifier: str, *arguments: Any, **named: Any) -> DBSnapshot:
    """Create a snapshot that the keeper has yet to make.

    Raises: InvalidDBInstanceState, DBSnapshotAlreadyExists.
    """
    refresh()
    database = self.databases.get(db_instance_identifier)
    if database and database.status != "available":
        raise refuse("InvalidDBInstanceState", f"Instance {db_instance_identifier} is not in available state.")
    return _being_made(_snapshot(self, db_instance_identifier, *arguments, **named))


@mend(RDSBackend)
def copy_db_snapshot(self: RDSBackend, source_db_snapshot_identifier: str, *arguments: Any, **named: Any) -> DBSnapshot:
    """Copy a snapshot; the keeper has yet to."""
    made = _copy_snapshot(self, source_db_snapshot_identifier, *arguments, **named)
    COPIES[made.db_snapshot_identifier] = source_db_snapshot_identifier.rpartition(":snapshot:")[2]
    return _being_made(made)


def _being_made(snapshot: DBSnapshot) -> DBSnapshot:
    SEEN.snapshots.pop(snapshot.db_snapshot_identifier, None)
    snapshot.status = "creating"
    return snapshot


@mend(RDSBackend)
def delete_db_instance(
    self: RDSBackend,
    db_instance_identifier: str,
    final_db_snapshot_identifier: str | None = None,
    skip_final_snapshot: bool | None = False,
    delete_automated_backups: bool | None = True,
) -> DBInstance:
    """Begin to delete an instance; it is gone when its keeper says so.

    Raises: DBInstanceNotFound, InvalidDBInstanceState, InvalidParameterCombination, DBSnapshotAlreadyExists,
    DBInstanceAutomatedBackupQuotaExceeded.
    """
    refresh()
    self._validate_db_identifier(db_instance_identifier)
    database = self.databases.get(db_instance_identifier)
    if database is None:
        raise DBInstanceNotFoundError(db_instance_identifier)
    if database.status == "deleting":
        raise refuse("InvalidDBInstanceState", f"Instance {db_instance_identifier} is already being deleted.")
    if database.deletion_protection:
        raise InvalidParameterCombination(
            "Cannot delete protected DB Instance, please disable deletion protection and try again."
        )
    _check_final(self, database, final_db_snapshot_identifier, bool(skip_final_snapshot))
    keep = delete_automated_backups is False and int(database.backup_retention_period or 0) > 0
    if keep and len(RETAINED) >= KEPT:
        raise refuse("DBInstanceAutomatedBackupQuotaExceeded", f"no more than {KEPT} retained automated backups")
    leave(database, final=final_db_snapshot_identifier, keep=keep)
    return database


def _check_final(backend: RDSBackend, database: DBInstance, final: str | None, skip: bool) -> None:
    if skip and final:
        raise InvalidParameterCombination("FinalDBSnapshotIdentifier cannot be specified when deleting without one")
    if skip:
        return
    if not final:
        raise InvalidParameterCombination(
            "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
        )
    if final in backend.database_snapshots:
        raise DBSnapshotAlreadyExistsError(final)
    if database.status not in ("available", "storage-full"):
        raise refuse(
            "InvalidDBInstanceState",
            f"Instance {database.db_instance_identifier} is {database.status}: a final snapshot cannot be taken.",
        )


def leave(database: DBInstance, *, final: str | None, keep: bool, lost: bool = False) -> None:
    """Let the keeper take an instance away."""
    with MOVING:
        if final:
            _being_made(_snapshot(database.backend, database.db_instance_identifier, final))
        life_of(database).leaving = {"final": final, "keep": keep, "lost": lost}
        database.status = "deleting"


def lose(identifier: str) -> None:
    """Lose an instance in an accident: its machine and the WAL that was not shipped yet; its backups are kept."""
    leave(
        next(one for one in databases() if one.db_instance_identifier == identifier), final=None, keep=True, lost=True
    )


def see(report: dict[str, Any]) -> None:
    """Take what the keeper made, found and took away."""
    for resource, bases in report.get("bases", {}).items():
        known = {base["name"] for base in SEEN.bases.get(resource, [])}
        SEEN.bases[resource] = bases
        for one in databases() if {base["name"] for base in bases} - known else ():
            if one.dbi_resource_id == resource:
                rds_events.backed_up(one)
    SEEN.snapshots.update(report.get("snapshots", {}))
    for identifier, message in report.get("events", {}).items():
        for one in databases():
            if one.db_instance_identifier == identifier:
                rds_events.tell(one, "notification", "", message)
    for identifier in report.get("left", []):
        _gone(identifier)
    _name_snapshots()


def _gone(identifier: str) -> None:
    for database in databases():
        leaving = life_of(database).leaving
        if database.db_instance_identifier != identifier or leaving is None:
            continue
        rds_events.tell(database, "deletion", "RDS-EVENT-0003", "DB instance deleted")
        with MOVING:
            del database.backend.databases[identifier]
            forget(database)
            if leaving["keep"] and SEEN.bases.get(database.dbi_resource_id):
                RETAINED[database.dbi_resource_id] = database
            else:
                _forget_backups(database)


def _forget_backups(database: DBInstance) -> None:
    for seen in (RETAINED, SEEN.bases, SEEN.archived):
        seen.pop(database.dbi_resource_id, None)
    _name_snapshots()


def _name_snapshots() -> None:
    """Let every base backup be an automated snapshot of the record, and every snapshot say how it is."""
    with MOVING:
        for backend in list(rds_backends[ACCOUNT].values()):
            automated: dict[str, DBSnapshot] = {}
            for database in [*backend.databases.values(), *RETAINED.values()]:
                if database.backend is backend:
                    automated |= _automated_of(database)
            listed = backend.database_snapshots
            for name in [name for name, one in listed.items() if one.snapshot_type == "automated"]:
                if name not in automated:
                    del listed[name]
            listed.update({name: one for name, one in automated.items() if name not in listed})
            for name, one in list(listed.items()):
                one.status = automated[name].status if name in automated else SEEN.snapshots.get(name, "creating")


def _automated_of(database: DBInstance) -> dict[str, DBSnapshot]:
    made = {}
    for base in SEEN.bases.get(database.dbi_resource_id, []):
        name = f"rds:{database.db_instance_identifier}-{base['name']}"
        made[name] = DBSnapshot(database.backend, database, name, "automated")
        made[name].created = datetime.fromtimestamp(base["ended"], UTC)
        made[name].status = "failed" if base["damaged"] else "available"
    return made


@mend(RDSResponse)
def describe_db_instance_automated_backups(self: Any) -> ActionResult:
    """List the automated backups of instances that are, and of those that were and kept theirs.

    Raises: DBInstanceAutomatedBackupNotFound.
    """
    refresh()
    resource, identifier = self.params.get("DbiResourceId"), self.params.get("DBInstanceIdentifier")
    arn = self.params.get("DBInstanceAutomatedBackupsArn")
    found = [_described(one) for one in _backed_up(self.backend)]
    found = [one for one in found if resource in (None, one["DbiResourceId"])]
    found = [one for one in found if identifier in (None, one["DBInstanceIdentifier"])]
    found = [one for one in found if arn in (None, one["DBInstanceAutomatedBackupsArn"])]
    for asked in self.params.get("Filters", []):
        key = {"dbi-resource-id": "DbiResourceId", "db-instance-id": "DBInstanceIdentifier"}.get(
            asked["Name"], "Status"
        )
        found = [one for one in found if one[key] in asked["Values"]]
    if not found and (resource or arn):
        raise _not_found(resource or arn)
    return ActionResult({"DBInstanceAutomatedBackups": found})


@mend(RDSResponse)
def delete_db_instance_automated_backup(self: Any) -> ActionResult:
    """Forget what was kept of a deleted instance.

    Raises: DBInstanceAutomatedBackupNotFound, InvalidDBInstanceAutomatedBackupState while its instance is there.
    """
    resource, arn = self.params.get("DbiResourceId"), self.params.get("DBInstanceAutomatedBackupsArn")
    for database in _backed_up(self.backend):
        described = _described(database)
        if resource != described["DbiResourceId"] and arn != described["DBInstanceAutomatedBackupsArn"]:
            continue
        if database.dbi_resource_id not in RETAINED:
            raise refuse("InvalidDBInstanceAutomatedBackupState", "The automated backup is in use by its DB instance.")
        _forget_backups(database)
        return ActionResult({"DBInstanceAutomatedBackup": {**described, "Status": "deleting"}})
    raise _not_found(resource or arn)


def source_of(backend: RDSBackend, resource: str | None, arn: str | None) -> DBInstance:
    """Find the instance, there or deleted, whose automated backups are meant.

    Raises: DBInstanceAutomatedBackupNotFound.
    """
    for database in _backed_up(backend):
        if database.dbi_resource_id == resource or _arn(database) == arn:
            return database
    raise _not_found(resource or arn)


def _backed_up(backend: RDSBackend) -> list[DBInstance]:
    there = [one for one in list(backend.databases.values()) if int(one.backup_retention_period or 0)]
    return there + [one for one in list(RETAINED.values()) if one.backend is backend]


def _described(database: DBInstance) -> dict[str, Any]:
    window = window_of(database.dbi_resource_id)
    retained = database.dbi_resource_id in RETAINED
    told: dict[str, Any] = {
        "DBInstanceArn": database.arn,
        "DBInstanceAutomatedBackupsArn": _arn(database),
        "DbiResourceId": database.dbi_resource_id,
        "DBInstanceIdentifier": database.db_instance_identifier,
        "Region": database.region,
        "Status": "retained" if retained else ("active" if window else "creating"),
        "Port": database.port,
        "AvailabilityZone": database.availability_zone,
        "InstanceCreateTime": database.instance_create_time,
        "MasterUsername": database.master_username,
        "Engine": database.engine,
        "EngineVersion": database.engine_version,
        "LicenseModel": database.license_model,
        "OptionGroupName": database.option_group_name,
        "AllocatedStorage": database.allocated_storage,
        "StorageType": database.storage_type,
        "Encrypted": database.storage_encrypted,
        "KmsKeyId": database.kms_key_id,
        "BackupRetentionPeriod": database.backup_retention_period,
        "PreferredBackupWindow": database.preferred_backup_window,
        "TagList": database.tags,
    }
    if window:
        earliest, latest = (datetime.fromtimestamp(moment, UTC) for moment in window)
        told["RestoreWindow"] = {"EarliestTime": earliest, "LatestTime": latest}
    return {key: value for key, value in told.items() if value is not None}


def _arn(database: DBInstance) -> str:
    short = database.dbi_resource_id.removeprefix("db-").lower()
    return f"arn:aws:rds:{database.region}:{ACCOUNT}:auto-backup:ab-{short}"


def _not_found(what: str | None) -> Exception:
    return refuse("DBInstanceAutomatedBackupNotFound", f"DBInstanceAutomatedBackup {what} not found.")


def wanted() -> dict[str, Any]:
    """Write down which backups and snapshots should be."""
    _name_snapshots()
    manual = [
        {
            "name": one.db_snapshot_identifier,
            "database": one.db_instance_identifier,
            "resource": one.dbi_resource_id,
            "copy_of": COPIES.get(one.db_snapshot_identifier),
        }
        for backend in list(rds_backends[ACCOUNT].values())
        for one in list(backend.database_snapshots.values())
        if one.snapshot_type != "automated"
    ]
    return {"backups": [*(one.dbi_resource_id for one in databases()), *RETAINED], "snapshots": manual}
