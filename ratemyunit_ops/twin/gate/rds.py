"""RDS instances that are honest about time: an instance is what its keeper saw last, and a change takes its moment.

Backups, snapshots and deletion are in `rds_backups`, restores in `rds_restore`.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import moto.rds.utils
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.moto_api._internal import mock_random
from moto.rds.exceptions import DBParameterGroupNotFoundError
from moto.rds.models import DBInstance, RDSBackend, rds_backends
from moto.rds.responses import RDSResponse

from ratemyunit_ops.twin.gate import rds_events
from ratemyunit_ops.twin.gate.firewall import admitted
from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend, refuse
from ratemyunit_ops.twin.gate.state import KNOBS, SEEN

# Applied as soon as possible; the second kind waits for the maintenance window unless told to apply immediately.
SOON = {
    "backup_retention_period": "BackupRetentionPeriod",
    "cloudwatch_logs_export_configuration": "PendingCloudwatchLogsExports",
    "db_parameter_group_name": None,
    "master_user_password": "MasterUserPassword",
    "vpc_security_group_ids": None,
}
IN_THE_WINDOW = {
    "allocated_storage": "AllocatedStorage",
    "ca_certificate_identifier": "CACertificateIdentifier",
    "db_instance_class": "DBInstanceClass",
    "engine_version": "EngineVersion",
    "iops": "Iops",
    "multi_az": "MultiAZ",
    "storage_throughput": "StorageThroughput",
    "storage_type": "StorageType",
}
MODIFIABLE = ("available", "storage-full", "incompatible-parameters")

# Requests come in threads, and a change must be applied once.
MOVING = threading.RLock()


@dataclass
class Life:
    """What moto does not know of an instance."""

    born: float = field(default_factory=time.time)
    there: bool = False
    """Whether it has been more than `creating`: it never goes back to that."""
    origin: dict[str, Any] | None = None
    """What it is restored from: `resource` and `time`, or `snapshot`."""
    leaving: dict[str, Any] | None = None
    """How it is being deleted: `final` (a snapshot's name or None), `keep` its backups, `lost` in an accident."""
    changes: list[dict[str, Any]] = field(default_factory=list)
    wish: int = 0
    busy_with: str = "modifying"
    reboots: int = 0


LIVES: dict[str, Life] = {}

_create = RDSBackend.create_db_instance
_describe = RDSResponse.describe_db_instances
_modify = RDSBackend.modify_db_instance
_endpoint = DBInstance.endpoint
_overlap = moto.rds.utils.get_overlap_between_two_date_ranges


def overlap_of_more_than_nothing(start_1: datetime, end_1: datetime, start_2: datetime, end_2: datetime) -> int:
    """Count windows that merely touch as apart; moto calls 03:00-04:00 beside 04:00-05:00 an overlap."""
    return _overlap(start_1, end_1, start_2, end_2) - 1


setattr(moto.rds.utils, "get_overlap_between_two_date_ranges", overlap_of_more_than_nothing)  # noqa: B010


@mend(RDSBackend)
def create_db_instance(self: RDSBackend, db_kwargs: dict[str, Any]) -> DBInstance:
    """Create as moto does, but it is only creating, and it has an id of its own.

    Raises: InstanceQuotaExceeded.
    """
    if db_kwargs["db_instance_identifier"] not in self.databases and len(databases()) >= KNOBS.quota:
        raise refuse("InstanceQuotaExceeded", f"DB Instance quota of {KNOBS.quota} exceeded")
    database = _create(self, db_kwargs)
    forget(database)
    database.dbi_resource_id = f"db-{mock_random.get_random_hex(26).upper()}"
    database.status = "creating"
    database.network_type = "IPV4"  # type: ignore[attr-defined]
    return database


def life_of(database: DBInstance) -> Life:
    """Answer what moto does not know of an instance."""
    return LIVES.setdefault(database.dbi_resource_id, Life())


def forget(database: DBInstance) -> None:
    """Forget what was seen of an instance of that name: it is gone, or not born yet."""
    for seen in (SEEN.databases, SEEN.database_addresses, SEEN.restart_pending, SEEN.obeyed):
        seen.pop(database.db_instance_identifier, None)


@mend(RDSBackend)
def modify_db_instance(self: RDSBackend, db_instance_identifier: str, db_kwargs: dict[str, Any]) -> DBInstance:
    """Take a modification: what takes time is pending at first, and true only when the machine obeys.

    Raises: InvalidDBInstanceState while another change runs, and moto's own.
    """
    refresh()
    database = self.describe_db_instances(db_instance_identifier)[0]
    if "new_db_instance_identifier" in db_kwargs:
        # Nothing is ever renamed here: a name that moves between machines would hide it if something were.
        raise refuse("InvalidParameterCombination", "the twin does not rename instances")
    if database.status not in MODIFIABLE:
        raise refuse("InvalidDBInstanceState", f"Database instance {db_instance_identifier} is not in available state.")
    asked = {key: value for key, value in dict(db_kwargs).items() if value is not None}
    group = asked.get("db_parameter_group_name")
    if group and group not in self.db_parameter_groups and not database.is_default_parameter_group(group):
        raise DBParameterGroupNotFoundError(group)
    _have_groups(database, asked.get("vpc_security_group_ids", []))
    later = {key: asked.pop(key) for key in list(asked) if key in SOON or key in IN_THE_WINDOW}
    later = {key: value for key, value in later.items() if value != getattr(database, f"_{key}", None)}
    _modify(self, db_instance_identifier, asked)
    if later:
        at_once = bool(asked.get("apply_immediately"))
        life_of(database).changes.append({"values": later, "at_once": at_once, "asked": time.time()})
    return database


def _have_groups(database: DBInstance, ids: list[str]) -> None:
    for id in ids:
        if ec2_backends[ACCOUNT][database.region].get_security_group_from_id(id) is None:
            raise refuse("InvalidParameterValue", f"Invalid security group , groupId= {id}, groupName=.")


def _pending(self: DBInstance) -> dict[str, Any]:
    pending: dict[str, Any] = {}
    for change in life_of(self).changes:
        for key, value in change["values"].items():
            name = SOON.get(key, IN_THE_WINDOW.get(key))
            if name:
                pending[name] = "****" if key == "master_user_password" else value
    exports = pending.get("PendingCloudwatchLogsExports")
    if exports:
        pending["PendingCloudwatchLogsExports"] = {
            "LogTypesToEnable": exports.get("EnableLogTypes", []),
            "LogTypesToDisable": exports.get("DisableLogTypes", []),
        }
    return pending


DBInstance.pending_modified_values = property(_pending)  # type: ignore[attr-defined]


@mend(RDSBackend)
def reboot_db_instance(self: RDSBackend, db_instance_identifier: str) -> DBInstance:
    """Note one more reboot; the keeper compares the count."""
    database = self.describe_db_instances(db_instance_identifier)[0]
    life = life_of(database)
    life.reboots, life.wish, life.busy_with = life.reboots + 1, life.wish + 1, "rebooting"
    refresh()
    return database


@mend(RDSResponse)
def describe_db_instances(self: Any) -> ActionResult:
    """Describe databases as they are now."""
    refresh()
    return _describe(self)


@mend(RDSResponse)
def describe_account_attributes(self: Any) -> ActionResult:
    """Say how much of RDS the account may have, and has."""
    there = databases()
    used = {"DBInstances": len(there), "AllocatedStorage": sum(int(one.allocated_storage) for one in there)}
    most = {"DBInstances": KNOBS.quota, "AllocatedStorage": 100_000}
    quotas = [{"AccountQuotaName": name, "Used": used[name], "Max": most[name]} for name in most]
    return ActionResult({"AccountQuotas": quotas})


def _endpoint_once_there(self: DBInstance) -> dict[str, Any] | None:
    there: dict[str, Any] = _endpoint.fget(self)  # type: ignore[attr-defined]
    return None if self.status == "creating" else there


DBInstance.endpoint = property(_endpoint_once_there)  # type: ignore[assignment, method-assign]


def window_of(resource: str) -> tuple[float, float] | None:
    """Answer from when until when a resource's backups can be restored to; None while they cannot."""
    whole = [base["ended"] for base in SEEN.bases.get(resource, []) if not base["damaged"]]
    latest = SEEN.archived.get(resource, 0.0)
    return (min(whole), latest) if whole and latest >= min(whole) else None


def _latest_restorable_time(self: DBInstance) -> datetime | None:
    window = window_of(self.dbi_resource_id)
    return datetime.fromtimestamp(window[1], UTC) if window and self.backup_retention_period else None


DBInstance.latest_restorable_time = property(_latest_restorable_time)  # type: ignore[assignment, method-assign]


def _parameter_group_status(self: DBInstance) -> list[dict[str, str]]:
    status = "pending-reboot" if SEEN.restart_pending.get(self.db_instance_identifier) else "in-sync"
    return [
        {"DBParameterGroupName": group.name, "ParameterApplyStatus": status} for group in self.db_parameter_groups()
    ]


DBInstance.db_parameter_group_status_list = property(_parameter_group_status)  # type: ignore[assignment, method-assign]


@mend(DBInstance)
def default_db_parameter_group_details(self: DBInstance) -> tuple[str, str]:
    """Name the default group by the major version; moto makes `default.postgres` of "17"."""
    family = f"{self.engine}{str(self.engine_version).partition('.')[0]}"
    return family, f"default.{family}"


def databases() -> list[DBInstance]:
    """Answer every PostgreSQL instance of the account."""
    return [
        one
        for backend in list(rds_backends[ACCOUNT].values())
        for one in list(backend.databases.values())
        if one.engine == "postgres"
    ]


def refresh() -> None:
    """Let every instance say what the keeper saw last, and apply what was pending long enough."""
    with MOVING:
        for one in databases():
            if one.status not in ("stopped", "stopping"):
                before, one.status = one.status, _status(one)
                rds_events.moved(one, before, restored=life_of(one).origin is not None)


def _status(database: DBInstance) -> str:
    seen, life = SEEN.databases.get(database.db_instance_identifier, "creating"), life_of(database)
    if life.leaving:
        return "deleting"
    if seen in ("backing-up", "available") and not life.there:
        life.there = time.time() - life.born >= KNOBS.creating_seconds
        if not life.there:
            return "creating"
    if seen == "available":
        _apply_due(database, life)
    if seen == "available" and SEEN.obeyed.get(database.db_instance_identifier, 0) < life.wish:
        return life.busy_with
    return seen


def _apply_due(database: DBInstance, life: Life) -> None:
    """Apply the changes whose quiet moment is over; those for the maintenance window wait for ever."""
    for change in list(life.changes):
        values = change["values"]
        due = {key: value for key, value in values.items() if change["at_once"] or key in SOON}
        if not due or time.time() - change["asked"] < KNOBS.quiet_seconds:
            continue
        _modify(database.backend, database.db_instance_identifier, due)
        life.wish += 1
        life.busy_with = "resetting-master-credentials" if [*due] == ["master_user_password"] else "modifying"
        change["values"] = {key: value for key, value in values.items() if key not in due}
        if not change["values"]:
            life.changes.remove(change)


def wanted() -> list[dict[str, Any]]:
    """Write down what should be; the one place where a password is told, to the keeper alone."""
    refresh()
    return [
        {
            "id": one.db_instance_identifier,
            "resource": one.dbi_resource_id,
            "status": one.status,
            "class": one.db_instance_class,
            "region": one.region,
            "storage_gib": int(one.allocated_storage or 20),
            "address": one.address.lower(),
            "port": int(one.port or 5432),
            "database": one.db_name or "",
            "master": one.master_username,
            "password": getattr(one, "_master_user_password", None) or "",
            "parameters": _parameters(one),
            "reboots": life_of(one).reboots,
            "machine_address": SEEN.database_addresses.get(one.db_instance_identifier),
            "groups": list(one.vpc_security_group_ids),
            "admitted": admitted(one.region, one.vpc_security_group_ids, int(one.port or 5432)),
            "retention": int(one.backup_retention_period or 0),
            "origin": life_of(one).origin,
            "leaving": life_of(one).leaving,
            "wish": life_of(one).wish,
            "exports": list(one.enabled_cloudwatch_logs_exports or ()),
        }
        for one in databases()
    ]


def _parameters(database: DBInstance) -> dict[str, str]:
    return {
        name: str(parameter["ParameterValue"])
        for group in database.db_parameter_groups()
        for name, parameter in list(group.parameters.items())
        if parameter.get("ParameterValue") is not None
    }
