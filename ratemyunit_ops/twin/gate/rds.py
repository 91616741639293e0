"""RDS that is honest about time: available when PostgreSQL answers, restorable up to what is archived."""

from datetime import UTC, datetime
from typing import Any

import moto.rds.utils
from moto.core.responses import ActionResult
from moto.moto_api._internal import mock_random
from moto.rds.models import DBInstance, RDSBackend, rds_backends
from moto.rds.responses import RDSResponse

from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend
from ratemyunit_ops.twin.gate.state import SEEN

_create = RDSBackend.create_db_instance
_describe = RDSResponse.describe_db_instances
_overlap = moto.rds.utils.get_overlap_between_two_date_ranges


def overlap_of_more_than_nothing(start_1: datetime, end_1: datetime, start_2: datetime, end_2: datetime) -> int:
    """Count windows that merely touch as apart; moto calls 03:00-04:00 beside 04:00-05:00 an overlap."""
    return _overlap(start_1, end_1, start_2, end_2) - 1


setattr(moto.rds.utils, "get_overlap_between_two_date_ranges", overlap_of_more_than_nothing)  # noqa: B010


@mend(RDSBackend)
def create_db_instance(self: RDSBackend, db_kwargs: dict[str, Any]) -> DBInstance:
    """Create as moto does, but it is only creating, and it has an id of its own."""
    database = _create(self, db_kwargs)
    SEEN.databases.pop(database.db_instance_identifier, None)
    SEEN.archived.pop(database.db_instance_identifier, None)
    database.dbi_resource_id = f"db-{mock_random.get_random_hex(26).upper()}"
    database.status = "creating"
    return database


@mend(RDSBackend)
def reboot_db_instance(self: RDSBackend, db_instance_identifier: str) -> DBInstance:
    """Note one more reboot; the keeper compares the count."""
    database = self.describe_db_instances(db_instance_identifier)[0]
    database.reboots = getattr(database, "reboots", 0) + 1  # type: ignore[attr-defined]
    SEEN.databases[database.db_instance_identifier] = "rebooting"
    refresh()
    return database


@mend(RDSResponse)
def describe_db_instances(self: Any) -> ActionResult:
    """Describe databases as they are now."""
    refresh()
    return _describe(self)


def _latest_restorable_time(self: DBInstance) -> datetime | None:
    seconds = SEEN.archived.get(self.db_instance_identifier)
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


DBInstance.latest_restorable_time = property(_latest_restorable_time)  # type: ignore[assignment, method-assign]


def _parameter_group_status(self: DBInstance) -> list[dict[str, str]]:
    status = "pending-reboot" if SEEN.restart_pending.get(self.db_instance_identifier) else "in-sync"
    return [
        {"DBParameterGroupName": group.name, "ParameterApplyStatus": status} for group in self.db_parameter_groups()
    ]


DBInstance.db_parameter_group_status_list = property(_parameter_group_status)  # type: ignore[assignment, method-assign]


def databases() -> list[DBInstance]:
    """Answer every PostgreSQL instance of the account."""
    return [
        one
        for backend in list(rds_backends[ACCOUNT].values())
        for one in list(backend.databases.values())
        if one.engine == "postgres"
    ]


def refresh() -> None:
    """Let every instance say what the keeper saw last."""
    for one in databases():
        if one.status not in ("stopped", "stopping", "deleting"):
            one.status = SEEN.databases.get(one.db_instance_identifier, "creating")


def wanted() -> list[dict[str, Any]]:
    """Write down what should be; the one place where a password is told, to the keeper alone."""
    return [
        {
            "id": one.db_instance_identifier,
            "resource": one.dbi_resource_id,
            "status": one.status,
            "class": one.db_instance_class,
            "address": one.address.lower(),
            "port": int(one.port or 5432),
            "database": one.db_name or "",
            "master": one.master_username,
            "password": getattr(one, "_master_user_password", None) or "",
            "parameters": _parameters(one),
            "reboots": getattr(one, "reboots", 0),
            "machine_address": SEEN.database_addresses.get(one.db_instance_identifier),
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
