"""Database instances in RDS: looked at, restored beside what serves, and taken away.

RDS knows no idempotency token, and botocore itself asks again after a lost answer. So each instance has a planned name
and a tag that names its run: one that is there already with our tag is our own earlier try.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from ratemyunit_ops.errors import Absent, Failed, RmuError
from ratemyunit_ops.model import BROKEN, DatabaseSettings, DatabaseView, Facts, RestorePoint, RestoreWindow
from ratemyunit_ops.outside.aws.database_settings import (
    MADE_BY,
    Arguments,
    Described,
    modify_arguments,
    restore_arguments,
    settings_of,
    tag_list,
    tags_of,
)
from ratemyunit_ops.outside.aws.session import Account, Said
from ratemyunit_ops.ports import Clock

NOT_THERE = frozenset({"DBInstanceNotFound", "DBInstanceNotFoundFault"})
NO_BACKUP = frozenset({"DBInstanceAutomatedBackupNotFound", "DBInstanceAutomatedBackupNotFoundFault"})
THERE_ALREADY = frozenset({"DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault"})
WRONG_STATE = frozenset({"InvalidDBInstanceState", "InvalidDBInstanceStateFault"})
RETIRED = "rmu:retired"
"""A tag without which the operator's role may not delete an instance that no run made."""

FREE_ONE = "rmu db salvage RUN --apply, then rmu db forget NAME   (rmu status names both; or have the quota raised)"

POLL_S = 1.0
SETTLES_WITHIN = timedelta(minutes=10)
RESTORES_WITHIN = timedelta(hours=2)
"""How long an instance may take until it can be changed at all: a large restore is still at it."""
STILL = BROKEN | {"available"}
"""States in which RDS has nothing under way: a broken instance is never called available again for a change."""
DELETE = "aws rds delete-db-instance --db-instance-identifier {} --skip-final-snapshot --no-delete-automated-backups"
KEEP_LOGS_DAYS = 30
"""As module database says of the first instance's logs."""
STEADY = 3
"""How often in a row an instance has to look settled: for seconds after a change it still says what it was before."""


class RdsDatabases:
    """Instances of one environment. None is ever renamed, so an identifier names one for life."""

    def __init__(self, account: Account, environment: str, clock: Clock) -> None:
        self._account = account
        self._environment = environment
        self._clock = clock

    # ---- looking

    def view(self, identifier: str) -> DatabaseView:
        """Describe one instance. Raises Unreachable, and Absent where there is none."""
        try:
            answer = self._account.ask("rds", "DescribeDBInstances", DBInstanceIdentifier=identifier)
        except Said as why:
            if why.code not in NOT_THERE:
                raise
            raise Absent(f"there is no database {identifier}", next="rmu infra apply") from why
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return _view(answer["DBInstances"][0], asked=parsedate_to_datetime(date) if date else None)

    def all(self) -> tuple[DatabaseView, ...]:
        """List the instances of this environment."""
        return tuple(_view(found) for found in self._instances())

    def settings(self, identifier: str) -> DatabaseSettings:
        """Read all that a restored instance must have too. Raises Unreachable, and Absent where there is none."""
        return settings_of(self._described(identifier))

    def made_by(self, identifier: str) -> str | None:
        """Tell which run made an instance; None where there is none, it is being deleted, or no run made it."""
        found = self._find(identifier)
        return None if found is None or _is_going(found) else tags_of(found).get(MADE_BY)

    def window(self, resource_id: str) -> RestoreWindow:
        """Tell from when to when an instance can be restored, by its resource id; it may be gone by now.

        Raises Unreachable, and Absent where neither instance nor backup is there, or its first backup is not made yet.
        """
        found = next(iter(self._pages(resource_id=resource_id)), None)
        backup = next(iter(self._backups(DbiResourceId=resource_id)), None)
        window = _window(found, backup)
        if window is None and found is not None:
            what = f"{found['DBInstanceIdentifier']} has no backup yet: its first one is still being made"
            raise Absent(what, next="try again in some minutes")
        if window is None:
            raise Absent(f"there is no database {resource_id}, nor a backup of one", next="rmu status")
        return window

    def windows(self) -> tuple[RestoreWindow, ...]:
        """Tell the windows of all instances of this environment, and of those that are gone and left backups."""
        instances = {found["DbiResourceId"]: found for found in self._instances()}
        backups = {b["DbiResourceId"]: b for b in self._backups() if b["DbiResourceId"] in instances or self._ours(b)}
        known = [_window(instances.get(r), backups.get(r)) for r in sorted({*instances, *backups})]
        return tuple(window for window in known if window is not None)

    def backups(self, resource_id: str) -> tuple[datetime, ...]:
        """Tell when each automated backup was taken, oldest first, damaged ones included."""
        asked = {"DbiResourceId": resource_id, "SnapshotType": "automated"}
        found = self._account.pages("rds", "DescribeDBSnapshots", "DBSnapshots", **asked)
        made = (s for s in found if s["DbiResourceId"] == resource_id and "SnapshotCreateTime" in s)
        return tuple(sorted(s["SnapshotCreateTime"] for s in made))

    # ---- restoring

    def restore(self, point: RestorePoint, *, identifier: str, like: DatabaseSettings, run: str) -> Facts:
        """Ask for a new instance with the data of a moment and the settings of another; it comes into being later.

        Raises:
            Failed: it cannot be made (quota, no such moment), or one of that name is there that this run did not make.
        """
        arguments = {
            **self._source(point.resource_id),
            "TargetDBInstanceIdentifier": identifier,
            # RDS knows whole seconds. The earlier one: a migration must not slip in.
            "RestoreTime": point.at.astimezone(UTC).replace(microsecond=0),
            "Tags": tag_list({**like.tags, MADE_BY: run}),
            **restore_arguments(like),
        }
        try:
            self._account.act("rds", "RestoreDBInstanceToPointInTime", **arguments)
        except Said as why:
            if why.code in THERE_ALREADY and self.made_by(identifier) == run:
                return {"instance": identifier, "already": True}
            raise self._not_restored(why, point, identifier) from why
        return {"instance": identifier, "already": False}

    def settle(self, identifier: str, like: DatabaseSettings) -> Facts:
        """Set what a restore does not take, and what it silently dropped, by one modification."""
        found = self._described(identifier)
        now = settings_of(found)
        missing = {key: value for key, value in like.tags.items() if now.tags.get(key) != value}
        if missing:
            self._account.act("rds", "AddTagsToResource", ResourceName=found["DBInstanceArn"], Tags=tag_list(missing))
        changes = modify_arguments(like, now)
        if changes:
            self._modify(identifier, SETTLES_WITHIN, **changes)
        for export in like.log_exports:
            # RDS makes the group itself and keeps it for ever. No restore stops at that: lines are kept too long then.
            with suppress(RmuError):
                self._keep_log(f"/aws/rds/instance/{identifier}/{export}")
        return {"changed": sorted(changes), "tags": sorted(missing)}

    def _keep_log(self, group: str) -> None:
        """Let a log group forget as Terraform's groups do, whether RDS has made it yet or not."""
        try:
            self._account.act("logs", "CreateLogGroup", logGroupName=group)
        except Said as why:
            if why.code != "ResourceAlreadyExistsException":
                raise
        self._account.act("logs", "PutRetentionPolicy", logGroupName=group, retentionInDays=KEEP_LOGS_DAYS)

    def admit(self, identifier: str, security_groups: tuple[str, ...]) -> Facts:
        """Put an instance into these security groups and no others; it need not be well for that."""
        groups = tuple(sorted(security_groups))
        if not _in_groups(self._described(identifier), groups):
            self._modify(identifier, SETTLES_WITHIN, VpcSecurityGroupIds=list(groups))
        self._wait(identifier, lambda now: _in_groups(now, groups))
        return {"security_groups": list(groups)}

    def close(self, identifier: str) -> Facts:
        """Let nobody reach an instance any more, from outside of it; it need not be well for that.

        Raises Failed where RDS changes nothing of it in the state it is in.
        """
        found = self._described(identifier)
        try:
            return self.admit(identifier, (self._closed_group(found),))
        except Said as why:
            if why.code not in WRONG_STATE:
                raise
            raise Failed(
                f"RDS changes nothing of {identifier} while it is {found['DBInstanceStatus']}, so it cannot be closed",
                state=f"{identifier} was left as it is.",
                next=f"{DELETE.format(identifier)}   (its backups stay; then the same command again)",
            ) from why

    def closed(self, identifier: str) -> bool:
        """Tell whether nobody can reach an instance. Raises Unreachable, and Absent where there is none."""
        found = self._described(identifier)
        return _in_groups(found, (self._closed_group(found),))

    def renew_master(self, identifier: str) -> Facts:
        """Ask for today's password for the master user: a restored instance has that of its restore point."""
        name = f"/rmu/{self._environment}/db/master_password"
        parameter = self._account.ask("ssm", "GetParameter", Name=name, WithDecryption=True)["Parameter"]
        self._modify(identifier, SETTLES_WITHIN, MasterUserPassword=parameter["Value"])
        return {"password": name, "version": parameter["Version"]}

    # ---- taking away

    def drop(self, identifier: str, *, run: str) -> Facts:
        """Delete what this run made, its backups too; the deletion goes on after this. What is not there is done.

        Raises Failed for an instance that this run did not make.
        """
        found = self._find(identifier)
        if found is None or _is_going(found):
            return {"instance": identifier, "already": True}
        if tags_of(found).get(MADE_BY) != run:
            raise Failed(
                f"{identifier} was not made by run {run}",
                state="It was left as it is.",
                next="rmu status",
            )
        self._unprotect(found, RESTORES_WITHIN)
        self._delete(identifier, RESTORES_WITHIN, SkipFinalSnapshot=True, DeleteAutomatedBackups=True)
        return {"instance": identifier, "already": False}

    def retire(self, identifier: str) -> Facts:
        """Take an instance away for good: unreachable, a last snapshot, deleted; its automated backups stay.

        The deletion goes on after this. What is not there is done.
        """
        snapshot = f"{identifier}-final"
        found = self._find(identifier)
        if found is None or _is_going(found):
            return {"instance": identifier, "snapshot": snapshot, "already": True}
        self._account.act(
            "rds", "AddTagsToResource", ResourceName=found["DBInstanceArn"], Tags=tag_list({RETIRED: "true"})
        )
        self.admit(identifier, (self._closed_group(found),))
        self._unprotect(found, SETTLES_WITHIN)
        self._delete(identifier, SETTLES_WITHIN, FinalDBSnapshotIdentifier=snapshot, DeleteAutomatedBackups=False)
        return {"instance": identifier, "snapshot": snapshot, "already": False}

    # ---- asking RDS

    def _described(self, identifier: str) -> Described:
        found = self._find(identifier)
        if found is None:
            raise Absent(f"there is no database {identifier}", next="rmu status")
        return found

    def _find(self, identifier: str) -> Described | None:
        try:
            answer = self._account.ask("rds", "DescribeDBInstances", DBInstanceIdentifier=identifier)
        except Said as why:
            if why.code not in NOT_THERE:
                raise
            return None
        found: Described = answer["DBInstances"][0]
        return found

    def _instances(self) -> list[Described]:
        return [found for found in self._pages() if self._ours(found)]

    def _pages(self, *, resource_id: str = "") -> list[Described]:
        only = {"Filters": [{"Name": "dbi-resource-id", "Values": [resource_id]}]} if resource_id else {}
        return self._account.pages("rds", "DescribeDBInstances", "DBInstances", **only)

    def _backups(self, **only: str) -> list[Described]:
        try:
            return self._account.pages(
                "rds", "DescribeDBInstanceAutomatedBackups", "DBInstanceAutomatedBackups", **only
            )
        except Said as why:
            if why.code not in NO_BACKUP:
                raise
            return []

    def _ours(self, found: Described) -> bool:
        """Tell whether an instance or a backup is this environment's: by its tag, or by its name where it has none."""
        named = tags_of(found).get("rmu:env")
        if named is not None:
            return named == self._environment
        return str(found.get("DBInstanceIdentifier", "")).startswith(f"rmu-{self._environment}-db-")

    def _source(self, resource_id: str) -> Arguments:
        """Name what is restored. Copies of another region's backups are named by ARN, all others by resource id."""
        backup = next(iter(self._backups(DbiResourceId=resource_id)), {})
        arn, made_of = backup.get("DBInstanceAutomatedBackupsArn"), str(backup.get("DBInstanceArn", ""))
        if arn and made_of and made_of.split(":")[3] != self._account.region:
            return {"SourceDBInstanceAutomatedBackupsArn": arn}
        return {"SourceDbiResourceId": resource_id}

    def _closed_group(self, found: Described) -> str:
        """Find the group that every network is born with; Terraform keeps it empty, so nobody gets through it."""
        network = found["DBSubnetGroup"]["VpcId"]
        filters = [{"Name": "vpc-id", "Values": [network]}, {"Name": "group-name", "Values": ["default"]}]
        group: str = self._account.ask("ec2", "DescribeSecurityGroups", Filters=filters)["SecurityGroups"][0]["GroupId"]
        return group

    # ---- changing an instance

    def _unprotect(self, found: Described, within: timedelta) -> None:
        if found["DeletionProtection"]:
            identifier = found["DBInstanceIdentifier"]
            self._modify(identifier, within, DeletionProtection=False)
            self._wait(identifier, lambda now: not now["DeletionProtection"])

    def _modify(self, identifier: str, within: timedelta, **changes: Any) -> None:
        # Without ApplyImmediately a change waits for the maintenance window, a week perhaps.
        self._when_it_can(
            within,
            lambda: self._account.act(
                "rds", "ModifyDBInstance", DBInstanceIdentifier=identifier, ApplyImmediately=True, **changes
            ),
        )

    def _delete(self, identifier: str, within: timedelta, **how: Any) -> None:
        try:
            self._when_it_can(
                within,
                lambda: self._account.act("rds", "DeleteDBInstance", DBInstanceIdentifier=identifier, **how),
                unless=lambda: self._is_gone(identifier),
            )
        except Said as why:
            if why.code in NOT_THERE:
                return
            if why.code.startswith("DBSnapshotAlreadyExists"):
                raise Failed(
                    f"there is a snapshot {identifier}-final already, of an earlier database of that name",
                    state=f"{identifier} is still there, unreachable and without protection.",
                    next=f"aws rds delete-db-snapshot --db-snapshot-identifier {identifier}-final, then rmu resume",
                ) from why
            raise

    def _is_gone(self, identifier: str) -> bool:
        found = self._find(identifier)
        return found is None or _is_going(found)

    def _when_it_can(
        self, within: timedelta, act: Callable[[], object], *, unless: Callable[[], bool] = lambda: False
    ) -> None:
        """Ask for a change again while the instance is in a state that allows none."""
        until = self._clock.monotonic() + within.total_seconds()
        while True:
            try:
                act()
                return
            except Said as why:
                if why.code not in WRONG_STATE or self._clock.monotonic() > until:
                    raise
            if unless():
                return
            self._clock.sleep(POLL_S)

    def _wait(self, identifier: str, settled: Callable[[Described], bool]) -> None:
        """Wait until a change has come about. Raises Failed when it does not."""
        until = self._clock.monotonic() + SETTLES_WITHIN.total_seconds()
        in_a_row = 0
        while True:
            now = self._described(identifier)
            in_a_row = in_a_row + 1 if now["DBInstanceStatus"] in STILL and settled(now) else 0
            if in_a_row == STEADY:
                return
            if self._clock.monotonic() > until:
                pending = ", ".join(_pending(now)) or "nothing"
                raise Failed(
                    f"{identifier} did not settle: it is {now['DBInstanceStatus']}, pending: {pending}",
                    state="The change was asked for and may still come about.",
                    next="rmu resume",
                )
            self._clock.sleep(POLL_S)

    def _not_restored(self, why: Said, point: RestorePoint, identifier: str) -> RmuError:
        """Say in our words why no instance was made; what we do not know is passed on as it is."""
        said = str(why.response.get("Error", {}).get("Message", ""))
        match why.code.removesuffix("Fault"):
            case "DBInstanceAlreadyExists":
                what, next_line = (
                    f"there is a database {identifier} already, and this run did not make it",
                    "rmu status",
                )
            case "DBInstanceAutomatedBackupNotFound" | "DBInstanceNotFound":
                what, next_line = f"there is no backup of {point.resource_id}", "rmu status"
            case "InsufficientDBInstanceCapacity":
                what, next_line = f"AWS has no room for another instance now: {said}", "try again later"
            case "InstanceQuotaExceeded":
                what, next_line = self._quota(), FREE_ONE
            case "InvalidParameterValue" | "InvalidRestore":
                what, next_line = f"{point.at:%Y-%m-%d %H:%M:%S} UTC cannot be restored: {said}", "rmu status"
            case "KMSKeyNotAccessible":
                what, next_line = f"the key of the backup cannot be used: {said}", "rmu doctor"
            case "PointInTimeRestoreNotEnabled":
                what, next_line = f"{point.resource_id} keeps no backups (its retention is 0 days)", "rmu infra apply"
            case "StorageQuotaExceeded":
                what, next_line = f"the account's quota of database storage is used up: {said}", FREE_ONE
            case _:
                return why
        return Failed(what, state="No instance was made; what serves was not touched.", next=next_line)

    def _quota(self) -> str:
        """Say how many instances the account may have, where that can be read, and which are here."""
        names = ", ".join(sorted(found["DBInstanceIdentifier"] for found in self._instances()))
        try:
            quotas = self._account.ask("rds", "DescribeAccountAttributes")["AccountQuotas"]
        except RmuError:
            quotas = []
        most = next((f"{q['Max']} " for q in quotas if q["AccountQuotaName"] == "DBInstances"), "")
        return f"the account's quota of {most}database instances is used up; here are {names}"


def _view(found: Described, *, asked: datetime | None = None) -> DatabaseView:
    endpoint = found.get("Endpoint", {})  # absent while the instance is being created
    return DatabaseView(
        identifier=found["DBInstanceIdentifier"],
        resource_id=found["DbiResourceId"],
        address=endpoint.get("Address", ""),
        port=endpoint.get("Port", 5432),
        status=found["DBInstanceStatus"],
        latest_restorable=found.get("LatestRestorableTime"),
        protected=found["DeletionProtection"],
        pending=_pending(found),
        created=found.get("InstanceCreateTime"),
        made_by=tags_of(found).get(MADE_BY),
        asked=asked,
    )


def _is_going(found: Described) -> bool:
    return bool(found["DBInstanceStatus"] == "deleting")


def _in_groups(found: Described, groups: tuple[str, ...]) -> bool:
    """Tell whether an instance is in these groups and no others, and no change of that is on its way."""
    told = found.get("VpcSecurityGroups", ())
    return settings_of(found).security_groups == groups and all(g.get("Status", "active") == "active" for g in told)


def _pending(found: Described) -> tuple[str, ...]:
    return tuple(sorted(name for name, value in found.get("PendingModifiedValues", {}).items() if value))


def _window(found: Described | None, backup: Described | None) -> RestoreWindow | None:
    """Read a window from an instance, its automated backups, or both; None where nothing can be restored yet."""
    told = (backup or {}).get("RestoreWindow", {})
    known = found or backup or {}
    earliest = told.get("EarliestTime") or known.get("InstanceCreateTime")
    latest = (found or {}).get("LatestRestorableTime") or told.get("LatestTime")
    if earliest is None or latest is None:
        return None
    return RestoreWindow(
        resource_id=known["DbiResourceId"],
        identifier=known["DBInstanceIdentifier"],
        earliest=min(earliest, latest),
        latest=latest,
        source="retained" if found is None else "instance",
    )
