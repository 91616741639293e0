"""CloudWatch Logs: what hosts, proxy, app and databases said, those that are gone included. Reads only."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ratemyunit_ops.errors import Absent
from ratemyunit_ops.model import LogGroup, LogLine
from ratemyunit_ops.outside.aws.session import Account, Said


class CloudWatchLogs:
    """The log groups `/rmu/ENV/...`, and those of the databases called `rmu-ENV-...`."""

    def __init__(self, account: Account, environment: str) -> None:
        self._account = account
        self._ours = f"/rmu/{environment}/"
        self._databases = f"/aws/rds/instance/rmu-{environment}-"

    def lines(
        self, groups: Sequence[LogGroup], *, start: datetime, end: datetime, pattern: str = "", host: str = ""
    ) -> Iterator[LogLine]:
        """Read lines by the time they came, oldest first; the first page of each group is read at once.

        Raises Absent where none of the groups is there, Refused where one may not be read.
        """
        found = [self._begin(group, name, start, end, pattern, host) for group in groups for name in self._names(group)]
        if not found:
            raise Absent(f"there is no log group of {', '.join(groups)} ({self._ours}...)", next="rmu infra apply")
        return heapq.merge(*found, key=lambda line: line.at)

    def _names(self, group: LogGroup) -> list[str]:
        """Name the groups that are there: each instance of a database has one, and keeps it after its end."""
        prefix = self._databases if group == "database" else f"{self._ours}{group}"
        there = self._account.pages("logs", "DescribeLogGroups", "logGroups", logGroupNamePrefix=prefix)
        names = [str(one["logGroupName"]) for one in there]
        return (
            [n for n in names if n.endswith("/postgresql")]
            if group == "database"
            else [n for n in names if n == prefix]
        )

    def _begin(
        self, group: LogGroup, name: str, start: datetime, end: datetime, pattern: str, host: str
    ) -> Iterable[LogLine]:
        asked: dict[str, Any] = {"logGroupName": name, "startTime": _millis(start), "endTime": _millis(end)}
        if pattern:
            asked["filterPattern"] = pattern
        if host:
            asked["logStreamNamePrefix"] = host
        return self._pages(group, name, asked, self._page(asked))

    def _pages(self, group: LogGroup, name: str, asked: dict[str, Any], page: dict[str, Any]) -> Iterator[LogLine]:
        # A page may be empty and not be the last: a busy group is searched piece by piece.
        while True:
            for event in page.get("events", ()):
                yield LogLine(
                    id=str(event["eventId"]),
                    at=datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
                    group=group,
                    place=name,
                    stream=event["logStreamName"],
                    text=event["message"].rstrip("\n"),
                )
            token = page.get("nextToken")
            if not token:
                return
            page = self._page({**asked, "nextToken": token})

    def _page(self, asked: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._account.ask("logs", "FilterLogEvents", **asked)
        except Said as why:
            if why.code != "ResourceNotFoundException":
                raise
            raise Absent(f"the log group {asked['logGroupName']} is gone", next="rmu infra apply") from why


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
