"""What `rmu doctor` finds: whether anybody would hear of it, and what stops nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ratemyunit_ops.ports import Outside
from ratemyunit_ops.reports.doctor import examine, well
from ratemyunit_ops.reports.finding import Finding
from tests.fakes import FakeWorld
from tests.fakes.places import FakeIdentity

ARN = "arn:aws:sns:us-east-1:123456789012:rmu-test-critical"


def found(o: Outside, name: str, *, strict: bool = True, tools: bool = True) -> Finding:
    """Look at everything and return one finding."""
    findings = examine(
        o,
        account="123456789012",
        which=lambda tool: f"/bin/{tool}" if tools else None,
        machine="Linux x86_64",
        strict=strict,
        tunnel="aws",
    )
    return next(f for f in findings if f.name == name)


def test_the_program_of_the_break_glass_way_is_looked_for_before_it_is_needed() -> None:
    seen = found(FakeWorld().outside("me"), "aws", tools=False)

    assert (seen.verdict, seen.seen) == ("missing", "not on PATH; only `rmu exec --transport ssh` needs it")


def test_an_address_that_nobody_confirmed_is_missing_in_production_with_what_to_click_and_type() -> None:
    world = FakeWorld()
    world.post.unconfirmed.append("critical oncall@example.org")
    world.places["topic_critical"] = ARN

    seen = found(world.outside("me"), "subscription")

    assert seen.verdict == "missing"
    assert seen.seen == "oncall@example.org has not confirmed critical, and gets nothing"
    assert "Confirm subscription" in seen.mend
    assert f"--topic-arn {ARN} --notification-endpoint oncall@example.org" in seen.mend


def test_elsewhere_it_is_a_note_that_leaves_all_well() -> None:
    world = FakeWorld()
    world.post.unconfirmed.append("critical oncall@example.org")

    seen = found(world.outside("me"), "subscription", strict=False)

    assert seen.verdict == "note" and well([seen])


def test_a_critical_topic_that_nobody_listens_to_is_missing_in_production() -> None:
    world = FakeWorld()
    world.post.listeners["critical"] = 0

    seen = found(world.outside("me"), "pages")

    assert (seen.verdict, seen.seen) == ("missing", "nobody listens to critical")
    assert "alarms.emails" in seen.mend and not well([seen])


def test_a_session_that_ends_soon_is_a_note() -> None:
    world = FakeWorld()
    o = world.outside("me")
    soon, later = (FakeIdentity("me", o.clock.now() + timedelta(minutes=m)) for m in (20, 600))

    assert found(o, "session").verdict == "ok"
    assert found(_known(o, later), "session").verdict == "ok"
    seen = found(_known(o, soon), "session")
    assert (seen.verdict, seen.mend[:13]) == ("note", "aws sso login")
    assert "in 20 minutes" in seen.seen


def test_what_slack_refused_is_a_note_and_no_webhook_is_well() -> None:
    world = FakeWorld()
    o = world.outside("me")
    without = found(o, "slack")
    world.places["slack"] = "rmu-test-slack-alarm-fired,rmu-test-slack-incident"
    quiet = found(o, "slack")
    world.meters.measure("AWS/Events", "FailedInvocations", 3, RuleName="rmu-test-slack-alarm-fired")
    world.clock.sleep(60)

    refused = found(o, "slack")

    assert (without.verdict, quiet.verdict, refused.verdict) == ("ok", "ok", "note")
    assert refused.seen.startswith("refused 3 messages")


def _known(o: Outside, identity: FakeIdentity) -> Outside:
    return replace(o, identity=identity)
