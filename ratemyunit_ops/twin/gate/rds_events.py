"""What RDS tells of its instances: DescribeEvents, and the same on EventBridge's default bus, by AWS's event ids
(https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html)."""

from datetime import UTC, datetime

from moto.rds.models import DBInstance, Event

from ratemyunit_ops.twin.gate import events


def moved(database: DBInstance, before: str, *, restored: bool) -> None:
    """Tell what a change of status means."""
    now = database.status
    if now == before:
        return
    if before == "creating" and now in ("available", "backing-up"):
        if restored:
            tell(database, "restoration", "RDS-EVENT-0019", "Restored from a DB instance or a snapshot")
        else:
            tell(database, "creation", "RDS-EVENT-0005", "DB instance created")
    if now == "storage-full":
        tell(database, "low storage", "RDS-EVENT-0007", "Allocated storage has been exhausted")
    if before == "rebooting":
        tell(database, "availability", "RDS-EVENT-0006", "DB instance restarted")


def backed_up(database: DBInstance) -> None:
    """Tell that an automated backup is done; a snapshot that somebody took is none."""
    tell(database, "backup", "RDS-EVENT-0002", "Finished DB Instance backup")


def tell(database: DBInstance, category: str, id: str, message: str) -> None:
    """Keep an event of an instance, and put it on the bus."""
    event = Event("DB_INSTANCE_CREATE", database)
    event.message, event.event_categories = message, [category]
    database.backend.events.append(event)
    detail = {
        "EventCategories": [category],
        "SourceType": "DB_INSTANCE",
        "SourceArn": database.arn,
        "Date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z}",
        "Message": message,
        "SourceIdentifier": database.db_instance_identifier,
        "EventID": id,
    }
    events.emit(database.region, "aws.rds", "RDS DB Instance Event", detail, [database.arn])
