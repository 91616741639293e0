"""CloudWatch Logs: patterns that find, metric filters that count on arrival, and an end to what is kept.

moto keeps every event for ever, knows no JSON pattern and evaluates no metric filter. Delete this when it does.
"""

import json
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from moto.core.utils import unix_time_millis
from moto.logs.exceptions import InvalidParameterException, ResourceNotFoundException
from moto.logs.models import LogEvent, LogGroup, LogsBackend, LogStream, logs_backends
from moto.logs.responses import LogsResponse

from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend
from ratemyunit_ops.twin.gate.metrics import STORES, Key, key_of
from ratemyunit_ops.twin.gate.patterns import ABSENT, PatternWrong, Test, at, compiled, object_of

# What the twin keeps; AWS keeps what the retention says, and bills it.
STREAM_EVENTS = 5_000
GROUP_EVENTS = 20_000
DAY_MS = 86_400_000
# What one answer holds at most (FilterLogEvents), and one PutLogEvents (both: botocore's models of Logs).
PAGE_EVENTS, PAGE_BYTES = 10_000, 1 << 20
BATCH_EVENTS, BATCH_BYTES, OVERHEAD_BYTES = 10_000, 1_048_576, 26

_put_log_events = LogsBackend.put_log_events
_LOCK = threading.RLock()
_test = lru_cache(maxsize=256)(compiled)


@mend(LogsBackend)
def put_log_events(self: LogsBackend, log_group_name: str, log_stream_name: str, log_events: list[Any]) -> Any:
    """Take events, forget old ones, and count what metric filters find."""
    size = sum(len(event["message"].encode()) + OVERHEAD_BYTES for event in log_events)
    if len(log_events) > BATCH_EVENTS or size > BATCH_BYTES:
        raise InvalidParameterException("Upload too large: 1 MB and 10,000 events are the most at once.")
    with _LOCK:
        answer = _put_log_events(self, log_group_name, log_stream_name, log_events)
        _forget(self.groups[log_group_name])
    _count(self, log_group_name, log_events)
    return answer


@mend(LogsBackend)
def put_metric_filter(
    self: LogsBackend, filter_name: str, filter_pattern: str, log_group_name: str, metric_transformations: Any
) -> None:
    """Put a filter, in place of one of the same name."""
    if log_group_name not in self.groups:
        raise ResourceNotFoundException()
    try:
        _test(filter_pattern)
    except PatternWrong as why:
        raise InvalidParameterException(f"Invalid filter pattern: {why}") from why
    with _LOCK:
        self.filters.delete_filter(filter_name, log_group_name)
        self.filters.add_filter(filter_name, filter_pattern, log_group_name, metric_transformations)


@mend(LogsResponse)
def filter_log_events(self: Any) -> str:
    """Find events by time, stream and pattern: by time, page by page."""
    backend: LogsBackend = self.logs_backend
    group = backend.groups.get(self._get_param("logGroupName"))
    if group is None:
        raise ResourceNotFoundException()
    try:
        wanted = _test(self._get_param("filterPattern") or "")
    except PatternWrong as why:
        raise InvalidParameterException(f"Invalid filter pattern: {why}") from why
    limit = min(int(self._get_param("limit") or PAGE_EVENTS), PAGE_EVENTS)
    with _LOCK:
        _forget(group)
        found = sorted(_found(group, self._get_param, wanted), key=lambda pair: (pair[1].timestamp, pair[1].event_id))
    page, token = _page(found, self._get_param("nextToken"), limit)
    events = [_told(stream, event) for stream, event in page]
    return json.dumps({"events": events, "searchedLogStreams": [], **({"nextToken": token} if token else {})})


def take_database_log(region: str, id: str, events: list[dict[str, Any]]) -> None:
    """Put what an instance's PostgreSQL logged where RDS exports it; it makes group and stream by itself."""
    backend, group = logs_backends[ACCOUNT][region], f"/aws/rds/instance/{id}/postgresql"
    with _LOCK:
        backend.ensure_log_group(group)
        backend.ensure_log_stream(group, f"{id}.0")
    backend.put_log_events(group, f"{id}.0", events)


def _found(group: LogGroup, asked: Any, wanted: Test) -> Iterator[tuple[str, LogEvent]]:
    names, prefix = asked("logStreamNames") or (), asked("logStreamNamePrefix") or ""
    start, end = asked("startTime") or 0, asked("endTime") or float("inf")
    for name, stream in group.streams.items():
        if (names and name not in names) or not name.startswith(prefix):
            continue
        for event in stream.events:
            if start <= event.timestamp <= end and wanted(event.message):
                yield name, event


def _page(found: list[tuple[str, LogEvent]], token: str | None, limit: int) -> tuple[list[Any], str | None]:
    """Cut one page; the token names the last event told, so that what comes meanwhile moves nothing."""
    if token:
        timestamp, _, id = token.partition("/")
        found = [pair for pair in found if (pair[1].timestamp, pair[1].event_id) > (int(timestamp), int(id))]
    page, size = list[Any](), 0
    for stream, event in found[:limit]:
        size += len(event.message.encode())
        if page and size > PAGE_BYTES:
            break
        page.append((stream, event))
    last = page[-1][1] if len(page) < len(found) else None
    return page, f"{last.timestamp}/{last.event_id}" if last else None


def _told(stream: str, event: LogEvent) -> dict[str, Any]:
    return {
        "eventId": f"{event.event_id:056d}",
        "ingestionTime": event.ingestion_time,
        "logStreamName": stream,
        "message": event.message,
        "timestamp": event.timestamp,
    }


def _forget(group: LogGroup) -> None:
    """Drop what the retention no longer holds, and what the twin has no room for: the oldest first."""
    if group.retention_in_days:
        oldest = int(unix_time_millis()) - int(group.retention_in_days) * DAY_MS
        for stream in group.streams.values():
            if stream.events and stream.events[0].timestamp < oldest:
                stream.events = [event for event in stream.events if event.timestamp >= oldest]
    for stream in group.streams.values():
        del stream.events[: max(0, len(stream.events) - STREAM_EVENTS)]
    over = sum(len(stream.events) for stream in group.streams.values()) - GROUP_EVENTS
    for stream in sorted(group.streams.values(), key=_newest) if over > 0 else ():
        gone = min(over, len(stream.events))
        del stream.events[:gone]
        over -= gone


def _newest(stream: LogStream) -> int:
    return int(stream.events[-1].timestamp) if stream.events else 0


def _count(backend: LogsBackend, group: str, events: list[dict[str, Any]]) -> None:
    """Put what each filter of the group makes of these events; where none matched, its default, if it has one."""
    store = STORES[backend.region_name]
    for one in backend.filters.get_matching_filters(log_group_name=group):
        wanted = _test(one["filterPattern"])
        matching = [event for event in events if wanted(event["message"])]
        for made in one["metricTransformations"]:
            for event in matching:
                value = _value(made["metricValue"], event["message"])
                if value is not None:
                    store.put(_key(made, event["message"]), value, at=event["timestamp"] / 1000)
            if events and not matching and made.get("defaultValue") is not None:
                store.put(_key(made, ""), float(made["defaultValue"]), at=events[-1]["timestamp"] / 1000)


def _key(made: dict[str, Any], message: str) -> Key:
    named = {name: at(object_of(message), selector) for name, selector in (made.get("dimensions") or {}).items()}
    dimensions = {name: str(value) for name, value in named.items() if value is not ABSENT}
    return key_of(made["metricNamespace"], made["metricName"], dimensions)


def _value(wanted: str, message: str) -> float | None:
    """Read the number that a transformation names: itself, or a field of the line. What is no number is not put."""
    found = at(object_of(message), wanted) if wanted.startswith("$") else wanted
    try:
        return None if found is ABSENT or isinstance(found, bool) else float(found)
    except (TypeError, ValueError):
        return None
