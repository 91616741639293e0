"""What `rmu doctor` finds: whether anybody would hear of it, and what stops nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.outside.machine import terraform_version
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.reports.doctor import examine, well
from ratemyunit_ops.reports.finding import Finding
from tests.fakes import DATABASE, FakeWorld
from tests.fakes.operator import KILLED, Operator
from tests.fakes.places import FakeIdentity

ARN = "arn:aws:sns:us-east-1:123456789012:rmu-test-critical"


def found(o: Outside, name: str, **known: Any) -> Finding:
    """Look at everything and return the first finding of that name."""
    return all_found(o, name, **known)[0]


def all_found(
    o: Outside,
    name: str,
    *,
    strict: bool = True,
    tools: bool = True,
    terraform: str | None = "Terraform v1.11.4",
    machine: str = "Linux x86_64",
    account: str | None = "123456789012",
) -> list[Finding]:
    """Look at everything and return the findings of that name."""
    findings = examine(
        o,
        environment="test",
        account=account,
        which=lambda tool: f"/bin/{tool}" if tools else None,
        terraform=terraform,
        machine=machine,
        strict=strict,
        tunnel="aws",
    )
    return [f for f in findings if f.name == name]


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


@pytest.mark.parametrize(
    ("said", "verdict", "seen"),
    [
        (None, "missing", "i-1 has said nothing of the front door for 10 minutes"),
        ({"ok": None, "why": "no front door is known yet"}, "missing", "i-1 asks nobody: no front door is known yet"),
        ({"ok": None}, "note", "i-1 asks nobody: it serves nothing yet"),
        ({"ok": True, "status": 200}, "ok", "i-1 looks at the front door"),
        ({"ok": False, "status": 503}, "ok", "i-1 looks at the front door"),
    ],
)
def test_a_host_that_looks_at_no_front_door_is_missing_that(
    said: dict[str, Any] | None, verdict: str, seen: str
) -> None:
    world = FakeWorld()
    looked(world, "i-2", {"ok": True}, {"waiting": 0})
    if said is not None:
        looked(world, "i-1", said, {"waiting": 0})

    probe = found(world.outside("me"), "probe")

    assert (probe.verdict, probe.seen) == (verdict, seen)
    assert (probe.mend != "") == (verdict == "missing")


def test_a_queue_that_a_release_tells_nothing_of_is_missing_two_alarms() -> None:
    world = FakeWorld()
    looked(world, "i-1", {"ok": True}, {"why": "status 401"})
    looked(world, "i-2", {"ok": True}, {"waiting": 0})

    told, silent = found(world.outside("me"), "queue"), all_found(world.outside("me"), "queue")

    assert (told.verdict, len(silent)) == ("missing", 1)
    assert told.seen == "i-1 gives no number (status 401): queue-stalled and worker-idle cannot speak"


def test_what_hosts_said_of_the_front_door_is_unknown_where_nobody_can_read_it() -> None:
    world = FakeWorld()
    world.fail("logs.lines", Unreachable("logs does not answer", next="rmu doctor"))

    assert found(world.outside("me"), "probe").verdict == "unknown"


def looked(world: FakeWorld, host: str, probe: dict[str, Any], queue: dict[str, Any]) -> None:
    """Let a host have looked at the front door and at its queue."""
    for event, told in (("probe", probe), ("queue", queue)):
        world.logbook.say("host", f"{host}/rmu-vitals", json.dumps({"event": event, **told}))


def _known(o: Outside, identity: FakeIdentity) -> Outside:
    return replace(o, identity=identity)


# -- this machine, this account --------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["terraform", "podman", "skopeo", "squawk"])
def test_a_missing_tool_is_named_with_what_alone_needs_it_and_how_to_get_it(tool: str) -> None:
    o = FakeWorld().outside("me")

    assert (found(o, tool).verdict, found(o, tool).seen) == ("ok", f"/bin/{tool}")
    seen = found(o, tool, tools=False)
    assert seen.verdict == "missing"
    assert seen.seen.startswith("not on PATH; only `rmu ") and seen.mend


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("Terraform v1.11.4", "ok"),
        ("Terraform v1.12.0-beta1", "ok"),
        ("Terraform v1.10.5", "missing"),
        ("Terraform v0.15.0", "missing"),
        ("Terraform v2.0.0", "missing"),
        ("", "unknown"),
    ],
)
def test_a_terraform_that_the_modules_do_not_take_is_named_before_an_apply(said: str, verdict: str) -> None:
    assert found(FakeWorld().outside("me"), "terraform version", terraform=said).verdict == verdict


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#!/bin/sh\necho Terraform v1.11.4, silent: $CHECKPOINT_DISABLE\necho more", "Terraform v1.11.4, silent: 1"),
        ("this is no program", ""),
        (None, None),
    ],
)
def test_terraform_is_asked_which_it_is_and_asks_nobody_itself(
    text: str | None, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "terraform"
    if text is not None:
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert terraform_version() == said


def test_where_there_is_no_terraform_its_version_is_not_asked() -> None:
    assert all_found(FakeWorld().outside("me"), "terraform version", terraform=None, tools=False) == []


def test_a_machine_whose_providers_are_not_locked_is_told_what_locks_them() -> None:
    o = FakeWorld().outside("me")

    assert found(o, "provider lock").verdict == "ok"
    seen = found(o, "provider lock", machine="Darwin arm64")
    assert (seen.verdict, seen.seen) == ("missing", "no hashes for Darwin arm64")
    assert "providers lock" in seen.mend


def test_another_account_is_missing_and_an_unnamed_one_unknown() -> None:
    o = FakeWorld().outside("me")

    assert found(o, "account").verdict == "ok"
    other = found(o, "account", account="999999999999")
    assert other.seen == "123456789012 instead of 999999999999"
    assert other.mend.startswith("export AWS_PROFILE=NAME   (one of account 999999999999;")
    assert found(o, "account", account=None).verdict == "unknown"


class OnPlan(FakeIdentity):
    """Somebody whose account is on this plan; None where nobody tells."""

    def __init__(self, plan: Literal["free", "paid"] | None) -> None:
        super().__init__("me")
        self._plan = plan

    def plan(self) -> Literal["free", "paid"]:
        if self._plan is None:
            raise Unreachable("freetier does not answer", next="rmu doctor")
        return self._plan


def test_a_free_plan_is_a_note_before_an_apply_and_so_is_one_that_nobody_tells() -> None:
    o = FakeWorld().outside("me")

    free, paid, untold = (found(replace(o, identity=OnPlan(p)), "plan") for p in ("free", "paid", None))

    assert (free.verdict, paid.verdict, untold.verdict) == ("note", "ok", "note")
    assert "retention of backups is capped" in free.seen and "freetier does not answer" in untold.seen


@pytest.mark.parametrize(("days", "verdict"), [(7, "ok"), (0, "missing")])
def test_a_database_that_keeps_no_backups_is_missing_them(days: int, verdict: str) -> None:
    world = FakeWorld()
    world.push("v41")
    world.live("v41")
    known = world.outside().databases.settings(DATABASE.identifier)
    o = world.outside("me")
    o = replace(o, databases=Keeps(o.databases, known.model_copy(update={"retention_days": days})))

    seen = found(o, "backups")

    assert seen.verdict == verdict
    assert DATABASE.identifier in seen.seen and (seen.mend == "") == (days > 0)


class Keeps:
    """Databases whose settings are these."""

    def __init__(self, databases: Any, settings: Any) -> None:
        self._databases = databases
        self._settings = settings

    def settings(self, identifier: str) -> Any:
        return self._settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._databases, name)


# -- what was left behind --------------------------------------------------------------------------------------------


def test_a_group_that_nobody_left_anything_in_is_well() -> None:
    assert found(FakeWorld().outside("me"), "hosts' group").verdict == "ok"


def test_f28_a_host_left_out_of_service_a_lowered_minimum_and_suspended_processes_have_their_commands() -> None:
    world = FakeWorld()
    world.outside().group.stand_by("i-1")
    world.suspended |= {"Launch", "Terminate"}

    seen = all_found(world.outside("me"), "hosts' group")

    group = "--auto-scaling-group-name rmu-test-hosts"
    assert [f.verdict for f in seen] == ["missing"] * 3
    assert seen[0].mend == f"aws autoscaling exit-standby {group} --instance-ids i-1"
    assert seen[1].mend.startswith(f"aws autoscaling update-auto-scaling-group {group} --min-size 2 && ")
    assert "Key=rmu:minimum-before-standby" in seen[1].mend
    assert seen[2].mend == f"aws autoscaling resume-processes {group} --scaling-processes Launch Terminate"


def test_while_a_run_is_open_its_resume_is_what_mends_it() -> None:
    world = FakeWorld()
    world.push("v41")
    world.live("v41")
    world.kill_after_event(2)
    assert Operator(world).reboot("i-1").code == KILLED

    seen = all_found(world.outside("me"), "hosts' group")

    assert {(f.verdict, f.mend) for f in seen} == {("note", "rmu resume r-001")}


def test_a_group_that_does_not_answer_is_unknown() -> None:
    world = FakeWorld()
    world.fail("group.leftovers", Unreachable("autoscaling does not answer", next="rmu doctor"))

    assert found(world.outside("me"), "hosts' group").verdict == "unknown"
