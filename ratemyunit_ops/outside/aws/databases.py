"""Database instances in RDS."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from ratemyunit_ops.errors import Absent
from ratemyunit_ops.model import DatabaseView
from ratemyunit_ops.outside.aws.session import Account, Said


class RdsDatabases:
    """Instances by identifier; it is never renamed, so it names one for life."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def view(self, identifier: str) -> DatabaseView:
        """Describe one instance. Raises Unreachable, and Absent where there is none."""
        try:
            answer = self._account.ask("rds", "DescribeDBInstances", DBInstanceIdentifier=identifier)
        except Said as why:
            if why.code not in {"DBInstanceNotFound", "DBInstanceNotFoundFault"}:
                raise
            raise Absent(f"there is no database {identifier}", next="rmu infra apply") from why
        found = answer["DBInstances"][0]
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        endpoint = found.get("Endpoint", {})  # absent while the instance is being created
        return DatabaseView(
            identifier=found["DBInstanceIdentifier"],
            resource_id=found["DbiResourceId"],
            address=endpoint.get("Address", ""),
            port=endpoint.get("Port", 5432),
            status=found["DBInstanceStatus"],
            latest_restorable=found.get("LatestRestorableTime"),
            protected=found["DeletionProtection"],
            asked=parsedate_to_datetime(date) if date else None,
        )
