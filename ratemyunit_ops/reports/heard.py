"""Whether anybody would hear of it: who listens to alarms, what Slack refuses, and when our own session ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import MetricQuery
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.reports.finding import Finding

SOON = timedelta(hours=2)
"""What a restore with all its waiting may take."""
DAY = timedelta(days=1)
NOBODY = "name an address in alarms.emails of the environment's tfvars, then: rmu infra apply"
AGAIN = (
    "; to get the mail again: aws sns subscribe --protocol email --topic-arn {arn} --notification-endpoint {address}"
)


def who_would_hear(o: Outside, *, strict: bool) -> tuple[Finding, ...]:
    """Look at subscriptions, Slack, dashboard and session. Where it is strict, an unheard page is something missing."""
    places = _places(o)
    return (
        _session(o),
        _pages(o, strict=strict),
        *_pending(o, places, strict=strict),
        _slack(o, places.get("slack", "none")),
        Finding(name="dashboard", verdict="ok", seen=places.get("dashboard", "none yet")),
    )


def _places(o: Outside) -> Mapping[str, str]:
    try:
        return o.places.all()
    except RmuError:
        return {}  # which is a finding of its own


def _session(o: Outside) -> Finding:
    ends = o.identity.expires()
    if ends is None:
        return Finding(name="session", verdict="ok", seen="ends at no known time")
    left = ends - o.clock.now()
    seen = f"ends at {ends:%H:%M} UTC, in {max(0, int(left.total_seconds() // 60))} minutes"
    return Finding(name="session", verdict="note" if left < SOON else "ok", seen=seen, mend=_login(left < SOON))


def _login(soon: bool) -> str:
    return "aws sso login, before a restore: one may take longer than is left" if soon else ""


def _pages(o: Outside, *, strict: bool) -> Finding:
    try:
        heard = o.pager.listening("critical")
    except RmuError as why:
        return Finding(name="pages", verdict="unknown", seen=why.what, mend=why.next)
    if heard:
        return Finding(name="pages", verdict="ok", seen=f"{heard} listen to critical")
    return Finding(
        name="pages", verdict="missing" if strict else "note", seen="nobody listens to critical", mend=NOBODY
    )


def _pending(o: Outside, places: Mapping[str, str], *, strict: bool) -> tuple[Finding, ...]:
    """List each address that has not clicked; AWS forgets it after two days, and Terraform does not notice."""
    try:
        waiting = o.pager.pending()
    except RmuError as why:
        return (Finding(name="subscriptions", verdict="unknown", seen=why.what, mend=why.next),)
    if not waiting:
        return (Finding(name="subscriptions", verdict="ok", seen="all are confirmed"),)
    return tuple(
        Finding(
            name="subscription",
            verdict="missing" if strict else "note",
            seen=f"{address} has not confirmed {topic}, and gets nothing",
            mend="click Confirm subscription in the mail from AWS"
            + AGAIN.format(arn=places.get(f"topic_{topic}", topic), address=address),
        )
        for topic, address in (pair.split(" ", 1) for pair in waiting)
    )


def _slack(o: Outside, rules: str) -> Finding:
    """Ask EventBridge what Slack has refused: that is its own road, and needs no secret to be read."""
    if rules == "none":
        return Finding(name="slack", verdict="ok", seen="no webhook is configured")
    asked = [
        MetricQuery(id=f"r{n}", namespace="AWS/Events", name="FailedInvocations", dimensions={"RuleName": rule})
        for n, rule in enumerate(rules.split(","))
    ]
    now = o.clock.now()
    try:
        found = o.metrics.data(asked, start=now - DAY, end=now, period=timedelta(hours=1))
    except RmuError as why:
        return Finding(name="slack", verdict="note", seen=why.what, mend=why.next)
    refused = int(sum(point.value for points in found.values() for point in points))
    if not refused:
        return Finding(name="slack", verdict="ok", seen="refused nothing for a day")
    return Finding(
        name="slack",
        verdict="note",
        seen=f"refused {refused} messages within a day; no alarm waits for it",
        mend="put today's webhook into the parameter that alarms.slack_webhook names, then: rmu infra apply",
    )
