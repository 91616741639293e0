"""Incidents: who is woken and when, two people in one, pages that are refused, and the postmortem's facts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError

from ratemyunit_ops.cli import incidents, postmortem
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.engine.lease import acquire
from ratemyunit_ops.errors import Refused, RmuError, Unreachable
from ratemyunit_ops.model import Deed
from ratemyunit_ops.objectives import Measured, Objective
from ratemyunit_ops.records import deed_entry, header_entry, read_incident_events, read_incidents
from ratemyunit_ops.reports.incident import IncidentReport, report_incident
from ratemyunit_ops.reports.schemas import IncidentDocument, IncidentReportDocument
from ratemyunit_ops.reports.status import report_status, status_lines
from ratemyunit_ops.settings import Environment
from ratemyunit_ops.show.screen import Screen
from ratemyunit_ops.survey import STATUS, survey
from tests.fakes import FakeWorld
from tests.fakes.operator import SETTINGS, Ended, QuietScreen

GOLDEN = Path(__file__).parent / "golden"
REFUSAL = Refused("the caller may not sns:Publish", next="rmu doctor")
BALANCER = "AWS/ApplicationELB"
OBJECTIVES = (
    Objective(
        name="availability",
        title="the front door answers",
        service="ratemyunit",
        target=0.995,
        window=timedelta(days=30),
        bad=(Measured(namespace=BALANCER, metric="HTTPCode_Target_5XX_Count", of="balancer"),),
        total=(Measured(namespace=BALANCER, metric="RequestCount", of="balancer"),),
        runbook="host-unresponsive",
    ),
    Objective(
        name="scrapes",
        title="scrapes succeed",
        service="ratemyunit",
        target=0.8,
        window=timedelta(days=1),
        bad=(Measured(metric="ScrapesFailed"),),
        total=(Measured(metric="Scrapes"),),
        runbook="queue-stalled",
    ),
)
Command = Callable[[Wired], None]


def world() -> FakeWorld:
    made = FakeWorld()
    made.push("v41")
    made.live("v41")
    made.clock.sleep(3 * 3600)
    made.places["alb_arn"] = "arn:aws:elasticloadbalancing:r:1:loadbalancer/app/rmu-test/50dc"
    made.places["target_group_arn"] = "arn:aws:elasticloadbalancing:r:1:targetgroup/rmu-test/77"
    return made


def types(w: FakeWorld, command: Command, who: str = "ann@laptop") -> Ended:
    """Type one command in a process of its own."""
    screen = QuietScreen()
    wired = Wired(outside=w.outside(who), settings=SETTINGS, screen=cast(Screen, screen), who=who)
    try:
        command(wired)
    except RmuError as why:
        screen.failed = why
        return Ended(why.exit_code, screen)
    return Ended(0, screen)


def opens(title: str = "502 for everybody", severity: str = "SEV-1") -> Command:
    return lambda w: incidents.open_it(w, title=title, severity=severity, alarm=None)


def opens_for(alarm: str) -> Command:
    return lambda w: incidents.open_it(w, title=None, severity=None, alarm=alarm)


def acks(w: Wired) -> None:
    incidents.ack_it(w, None)


def notes(text: str) -> Command:
    return lambda w: incidents.note_it(w, None, text)


def escalates(severity: str | None = None, because: str = "") -> Command:
    return lambda w: incidents.escalate_it(w, None, severity, because)


def closes(because: str = "") -> Command:
    return lambda w: incidents.close_it(w, None, because)


def kinds(w: FakeWorld) -> list[str]:
    """Tell the newest incident's events, by kind."""
    ledger = w.outside().ledger
    return [e.kind for e in read_incident_events(ledger, read_incidents(ledger)[-1].id)]


def status(w: FakeWorld) -> list[str]:
    return status_lines(report_status(survey(w.outside(), "test", STATUS), "http://front.example", None))


def report(w: FakeWorld) -> IncidentReport:
    return report_incident(w.outside(), read_incidents(w.outside().ledger)[-1], OBJECTIVES)


@pytest.mark.parametrize(
    ("severity", "topic", "again_after", "in_chat"),
    [("SEV-1", "critical", 15 * 60, True), ("SEV-2", "alerts", 3600, True), ("SEV-3", "alerts", 4 * 3600, False)],
)
def test_each_severity_pages_its_people_and_comes_again_in_the_reviews_time(
    severity: str, topic: str, again_after: int, in_chat: bool
) -> None:
    w = world()

    ended = types(w, opens(severity=severity))
    w.clock.sleep(2 * again_after + 1)

    assert ended.code == 0, ended.failure
    first, *again = [m for m in w.post.sent if m.to != "chat"]
    assert (first.to, first.subject) == (topic, f"{severity} test: 502 for everybody")
    assert "rmu incident ack --env test" in first.text
    assert [((m.at - first.at).total_seconds(), m.to) for m in again] == [
        (again_after, "critical"),
        (2 * again_after, "critical"),
    ]
    assert bool(w.post.of("chat")) == in_chat


def test_a_severity_that_the_settings_do_not_name_keeps_the_reviews_time() -> None:
    env = Environment.model_validate({"region": "r", "front_door": "f", "respond_within": {"SEV-1": "PT5M"}})

    assert [env.respond_within[s] / timedelta(minutes=1) for s in incidents.SEVERITIES] == [5, 60, 240]
    with pytest.raises(ValidationError):
        Environment.model_validate({"region": "r", "front_door": "f", "respond_within": {"SEV-1": 30}})


def test_an_acknowledgement_ends_the_paging() -> None:
    w = world()
    types(w, opens())
    w.clock.sleep(600)

    ended = types(w, acks)
    w.clock.sleep(7200)

    assert ended.code == 0
    assert w.post.schedules == {}
    assert len(w.post.of("critical")) == 1
    assert "ann@laptop has it" in w.post.of("chat")[-1].text


def test_a_page_that_nobody_heeds_ends_after_a_day() -> None:
    w = world()
    types(w, opens())

    w.clock.sleep(3 * 86400)

    assert len(w.post.of("critical")) == 24 * 4
    assert w.post.schedules == {}


def test_an_alarm_gives_its_words_severity_and_runbook() -> None:
    w = world()
    w.meters.alarm(
        "memory-high", "ALARM", says="The hosts' memory is above 85%", severity="SEV-1",
        runbook="host-unresponsive", topic="critical",
    )  # fmt: skip

    ended = types(w, opens_for("rmu-test-memory-high"))

    page = w.post.of("critical")[0]
    assert ended.code == 0
    assert page.subject == "SEV-1 test: The hosts' memory is above 85%"
    assert "2. rmu runbook run host-unresponsive --env test" in page.text


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (opens_for("no-such"), "there is no alarm no-such"),
        (opens(severity="SEV-7"), "there is no severity SEV-7"),
        (lambda w: incidents.open_it(w, title=None, severity="1", alarm=None), "wants a severity and a title"),
        (lambda w: incidents.note_it(w, None, "  "), "nothing in this note"),
    ],
)
def test_what_was_mistyped_opens_nothing(command: Command, says: str) -> None:
    w = world()

    ended = types(w, command)

    assert (ended.code, says in ended.why) == (2, True)
    assert read_incidents(w.outside().ledger) == () and w.post.sent == []


def test_an_alarm_that_cannot_be_read_says_how_to_open_without_it() -> None:
    w = world()
    w.fail("metrics.alarms", Unreachable("cloudwatch does not answer", next="rmu doctor"))

    ended = types(w, opens_for("memory-high"))

    assert ended.code == 3
    assert ended.failure.next.startswith("rmu incident open --severity")


def test_an_incident_is_opened_while_a_deploy_holds_the_lease() -> None:
    w = world()
    acquire(w.outside("ci@runner"), "r-001", "ci@runner")

    assert types(w, opens()).code == 0


def test_who_comes_second_is_told_of_the_first_and_joins_by_a_note() -> None:
    w = world()
    types(w, opens("502 for everybody"), "ann@laptop")

    ended = types(w, opens("site is down"), "bob@desk")

    assert ended.code == 0
    assert ended.screen.document is not None and ended.screen.document["outcome"] == "joined"
    assert any("ann" not in line and "502 for everybody" in line for line in ended.screen.said)
    assert len(w.post.of("critical")) == 1
    assert [m.says for m in report(w).moments if m.who == "bob@desk"] == ["also opened as SEV-1: site is down"]


def test_two_people_who_open_at_once_open_one() -> None:
    w = world()

    ended = w.clock.together(lambda: types(w, opens("a"), "ann@laptop"), lambda: types(w, opens("b"), "bob@desk"))

    assert [cast(Ended, e).code for e in ended] == [0, 0]
    assert len(read_incidents(w.outside().ledger)) == 1


def test_who_loses_the_race_for_the_number_joins_the_winner() -> None:
    w = world()

    def bob_is_quicker() -> None:
        types(w, opens("quicker"), "bob@desk")
        w.clock.sleep(2)  # so that only the number stands between the two

    w.on_call("ledger.query", bob_is_quicker)

    ended = types(w, opens("slower"), "ann@laptop")

    assert ended.screen.document is not None and ended.screen.document["outcome"] == "joined"
    assert [i.title for i in read_incidents(w.outside().ledger)] == ["quicker"]


def test_a_worse_one_raises_what_is_open_and_pages() -> None:
    w = world()
    types(w, opens("slow search", "SEV-3"), "ann@laptop")
    types(w, acks)

    types(w, opens("502 for everybody", "SEV-1"), "bob@desk")

    incident = read_incidents(w.outside().ledger)[-1]
    assert (incident.severity, incident.acked) == ("SEV-1", None)
    assert len(w.post.of("critical")) == 1


def test_two_who_acknowledge_are_both_in_it_and_the_first_has_it() -> None:
    w = world()
    types(w, opens())
    w.clock.sleep(60)

    types(w, acks, "ann@laptop")
    w.clock.sleep(60)
    second = types(w, acks, "bob@desk")

    assert "ann@laptop has it, and you are in it too" in second.screen.said[0]
    assert (report(w).acked_by, (report(w).acked or w.clock.now()) - report(w).incident.opened) == (
        "ann@laptop",
        timedelta(seconds=60),
    )


def test_notes_at_the_same_moment_are_all_kept() -> None:
    w = world()
    types(w, opens())
    w.on_call("ledger.query", lambda: types(w, notes("from bob"), "bob@desk"), nth=3)

    assert types(w, notes("from ann")).code == 0

    said = {m.says for m in report(w).moments}
    assert {"from ann", "from bob"} <= said


def test_an_escalation_pages_until_somebody_acknowledges_anew() -> None:
    w = world()
    types(w, opens("queue stalled", "SEV-2"))
    types(w, acks)

    ended = types(w, escalates(because="the database is gone too"))
    w.clock.sleep(15 * 60 + 1)

    assert ended.code == 0
    assert [m.to for m in w.post.sent if m.to != "chat"] == ["alerts", "critical", "critical"]
    assert "the database is gone too" in w.post.of("critical")[0].text


def test_the_worst_severity_asks_again_and_none_is_lowered() -> None:
    w = world()
    types(w, opens())

    assert types(w, escalates()).code == 0
    lowered = types(w, escalates("SEV-3"))

    assert len(w.post.of("critical")) == 2
    assert (lowered.code, "worse than SEV-3" in lowered.why) == (3, True)


def test_a_page_that_is_refused_is_tried_again_said_and_in_nobodys_way() -> None:
    w = world()
    for nth in (1, 2, 3):
        w.fail("pager.send", REFUSAL, nth=nth)

    ended = types(w, opens())

    assert ended.code == 0
    assert any("call somebody yourself" in line for line in ended.screen.said)
    assert ended.screen.document is not None and "page" in ended.screen.document["refused"]
    assert kinds(w) == ["opened", "page-refused"]
    assert w.post.schedules, "the escalation still comes"


def test_a_page_that_is_refused_twice_goes_out_the_third_time() -> None:
    w = world()
    for nth in (1, 2):
        w.fail("pager.send", REFUSAL, nth=nth)

    types(w, opens())

    assert len(w.post.of("critical")) == 1 and kinds(w) == ["opened", "paged"]


def test_a_page_that_is_still_owed_goes_out_with_the_next_word() -> None:
    w = world()
    for nth in (1, 2, 3):
        w.fail("pager.send", REFUSAL, nth=nth)
    types(w, opens())

    types(w, notes("nobody came"))

    assert len(w.post.of("critical")) == 1 and kinds(w)[-1] == "paged"


def test_chat_or_scheduler_that_is_down_is_said_and_the_page_goes_out() -> None:
    w = world()
    down = Unreachable("it does not answer", next="rmu doctor")
    for call, nth in itertools.product(("pager.chat", "pager.schedule"), (1, 2, 3)):
        w.fail(call, down, nth=nth)

    ended = types(w, opens())

    assert ended.code == 0
    assert len(w.post.of("critical")) == 1
    assert any("chat was not told" in s for s in ended.screen.said)
    assert any("will not come again" in s for s in ended.screen.said)


def test_a_page_that_reaches_nobody_is_said() -> None:
    w = world()
    w.post.listeners["critical"] = 0

    ended = types(w, opens())

    assert any("reached nobody" in s for s in ended.screen.said)


def test_a_schedule_that_cannot_be_called_off_is_said_and_the_next_ack_calls_it_off() -> None:
    w = world()
    types(w, opens())
    for nth in (1, 2, 3):
        w.fail("pager.cancel", REFUSAL, nth=nth)

    first = types(w, acks)
    types(w, acks)

    assert any("will come again" in s for s in first.screen.said)
    assert w.post.schedules == {}


def test_who_acknowledges_before_the_schedule_stands_is_not_paged_again() -> None:
    w = world()
    w.on_call("pager.send", lambda: types(w, acks, "bob@desk"))

    types(w, opens())

    assert w.post.schedules == {}


def test_an_incident_is_not_closed_while_an_alarm_is_red_unless_said_why() -> None:
    w = world()
    types(w, opens())
    w.meters.alarm("disk-full", "ALARM", topic="critical")
    w.clock.sleep(60)

    refused = types(w, closes())
    closed = types(w, closes("the disk is being replaced tomorrow"))

    assert (refused.code, "disk-full has been red for 1 min 0 s" in refused.why) == (3, True)
    assert closed.code == 0
    assert w.post.schedules == {}
    assert "because the disk is being replaced tomorrow (although disk-full has been red" in report(w).moments[-1].says


def test_closing_tells_how_long_it_was_open_and_how_long_nobody_had_it() -> None:
    w = world()
    types(w, opens())
    w.clock.sleep(130)
    types(w, acks)
    w.clock.sleep(600)

    ended = types(w, closes())

    assert [line.strip() for line in ended.screen.said[-3:-1]] == [
        "open       12 min 10 s",
        "acked      after 2 min 10 s",
    ]


def test_a_closed_incident_that_still_pages_is_closed_once_more() -> None:
    w = world()
    types(w, opens())
    for nth in (1, 2, 3):
        w.fail("pager.cancel", REFUSAL, nth=nth)
    said = types(w, closes()).screen.said
    assert any("rmu incident close --incident i-260301-150000" in line for line in said)

    again = types(w, lambda wired: incidents.close_it(wired, "i-260301-150000", ""))

    assert (again.code, w.post.schedules) == (0, {})
    assert kinds(w)[-1] == "closed" and kinds(w).count("closed") == 1


def test_alarms_that_cannot_be_asked_are_not_green() -> None:
    w = world()
    types(w, opens())
    w.fail("metrics.alarms", Unreachable("cloudwatch does not answer", next="rmu doctor"))

    assert types(w, closes()).code == 3


def test_what_is_closed_is_closed_and_another_one_may_be_opened() -> None:
    w = world()
    types(w, opens())
    types(w, closes())

    again = types(w, closes())
    noted = types(
        w, lambda wired: incidents.note_it(wired, read_incidents(w.outside().ledger)[0].id, "it was the disk")
    )
    w.clock.sleep(1)
    types(w, opens("another"))

    assert (again.code, noted.code) == (3, 0)
    assert [i.number for i in read_incidents(w.outside().ledger)] == [1, 2]


def test_status_and_runbooks_name_the_incident_that_is_open() -> None:
    w = world()
    assert not any("incident" in line for line in status(w))
    types(w, opens())
    line = "SEV-1 i-260301-150000, since 15:00 UTC: 502 for everybody (nobody has it yet: rmu incident ack)"

    named: list[str] = []
    types(w, lambda wired: named.extend(incidents.open_incident_lines(wired)))

    assert status(w)[1] == f"  incident   {line}"
    assert named == [f"incident {line}"]


def test_what_people_write_is_shown_as_they_wrote_it(capsys: pytest.CaptureFixture[str]) -> None:
    w = world()
    wired = Wired(outside=w.outside(), settings=SETTINGS, screen=Screen(), who="ann@laptop")

    incidents.open_it(wired, title="[/red] [0/2] hosts answer", severity="SEV-1", alarm=None)

    assert "[/red] [0/2] hosts answer" in capsys.readouterr().out


def test_an_incident_that_cannot_be_read_is_no_reason_to_stop() -> None:
    w = world()
    w.table.down = True

    named: list[str] = ["untouched"]
    types(w, lambda wired: named.extend(incidents.open_incident_lines(wired)))

    assert named == ["untouched"]


def test_what_a_runbook_only_looked_at_stands_in_the_incident_that_is_open() -> None:
    w = world()
    seen = [{"says": "memory", "text": "11 MB left", "answered": True}, {"says": "disk", "text": "", "answered": False}]
    facts = {"runbook": "host-unresponsive", "cause": "out-of-memory", "speaks_for": [], "evidence": seen}
    types(w, lambda wired: incidents.note_evidence(wired, "nobody is there to read it", facts))
    types(w, opens())

    types(w, lambda wired: incidents.note_evidence(wired, "host-unresponsive: out of memory", facts))

    (found,) = report(w).diagnoses
    assert (found.runbook, found.cause, found.run) == ("host-unresponsive", "out-of-memory", "")
    assert [(e.says, e.answered) for e in found.evidence] == [("memory", True), ("disk", False)]
    assert report(w).moments[-1].says == "host-unresponsive: out of memory"


def test_what_was_typed_on_hosts_by_hand_stands_in_the_timeline() -> None:
    w = world()
    deed = Deed(
        id="d-1", verb="exec", transport="ssh", who="bob@desk", because="ssm is dead", hosts=("i-1",),
        argv=("systemctl", "restart", "haproxy.service"), began=w.clock.now(), outcome="done",
    )  # fmt: skip
    w.put(deed_entry(deed))

    types(w, opens())

    (moment,) = [m for m in report(w).moments if m.who == "bob@desk"]
    assert moment.says == "rmu exec on i-1 over ssh: systemctl restart haproxy.service: done, because ssm is dead"


# -- the postmortem ----------------------------------------------------------------------------------------------


def balancer(w: FakeWorld, asked: int, failed: int) -> None:
    """Let a minute of requests have passed."""
    lb = {"LoadBalancer": "app/rmu-test/50dc"}
    w.meters.measure(BALANCER, "RequestCount", asked, **lb)
    if failed:
        w.meters.measure(BALANCER, "HTTPCode_Target_5XX_Count", failed, **lb)
    w.clock.sleep(60)


def runbook_run(w: FakeWorld, seconds: float) -> None:
    """Let a runbook's remedy have run, as the journal keeps it."""
    import json

    from ratemyunit_ops.model import RunHeader
    from ratemyunit_ops.ports import Entry

    run, began = "r-260301-001", w.clock.now()
    w.clock.sleep(seconds)
    told = {"runbook": "host-unresponsive", "cause": "memory is used up by a process", "remedy": "end-process"}
    plan = {
        "run": run, "verb": "runbook host-unresponsive", "steps": [{"kind": "command"}], "expects": {},
        "request": {"told": told},
    }  # fmt: skip
    seen = [{"says": "memory", "text": "MemAvailable: 11 MB | Swap: 0", "answered": True, "check": "memory"}]
    events: list[dict[str, Any]] = [
        {"kind": "planned", "step": None, "at": began, "facts": {"plan": plan, "who": "ann@laptop"}},
        {"kind": "done", "step": 0, "at": w.clock.now(), "facts": {"evidence": seen, "saw": "pid 4711 ended"}},
    ]
    for n, event in enumerate(events):
        body = json.dumps({**event, "at": event["at"].isoformat()})
        w.put(Entry(pk=f"run#{run}", sk=f"event#{n:05d}", attributes={"body": body}))
    header = RunHeader(
        run=run, verb=plan["verb"], who="ann@laptop", because="the page", started=began,
        finished=w.clock.now(), outcome="done",
    )  # fmt: skip
    w.put(header_entry(header))


def looks(wired: Wired) -> None:
    """Note what a runbook saw, as it does before it offers its remedies."""
    seen = [{"says": "the host's memory now", "text": "MemAvailable: 11 MB | Swap: 0", "answered": True}]
    facts = {
        "runbook": "host-unresponsive",
        "cause": "memory is used up by a process",
        "speaks_for": ["memory_last >= 92"],
        "evidence": [*seen, {"says": "who takes the memory", "text": "", "answered": False}],
    }
    incidents.note_evidence(wired, "host-unresponsive: memory is used up by a process", facts)


def a_night(w: FakeWorld) -> None:
    """Play one: memory runs out, requests fail, an alarm, a page, a runbook, mended."""
    for _ in range(5):
        balancer(w, 600, 0)
    balancer(w, 600, 12)
    balancer(w, 500, 90)
    w.meters.alarm(
        "memory-high", "ALARM", says="The hosts' memory is above 85%", severity="SEV-1",
        runbook="host-unresponsive", topic="critical",
    )  # fmt: skip
    w.clock.sleep(20)
    types(w, opens_for("memory-high"))
    w.clock.sleep(40)
    types(w, acks)
    types(w, lambda wired: incidents.note_it(wired, None, "students report 502 <b>everywhere</b> | also login"))
    balancer(w, 400, 70)
    types(w, looks)
    runbook_run(w, 25)
    w.clock.sleep(35)
    w.meters.alarm("memory-high", "OK")
    w.clock.sleep(120)
    types(w, closes("it is over"))


def test_the_report_knows_when_it_began_was_noticed_taken_mended_and_what_it_cost() -> None:
    w = world()
    a_night(w)

    r = report(w)

    told = {n: getattr(r, n).strftime("%H:%M:%S") for n in ("began", "detected", "paged", "acked", "mended", "until")}
    assert told == {
        "began": "15:05:00", "detected": "15:07:00", "paged": "15:07:00", "acked": "15:08:00",
        "mended": "15:10:00", "until": "15:12:00",
    }  # fmt: skip
    assert [(len(d.evidence), len(d.after), d.speaks_for) for d in r.diagnoses] == [(2, 1, ("memory_last >= 92",))]
    assert r.requests is not None
    assert (r.requests.failed, r.requests.asked) == (172, 1500)
    assert [(d.runbook, d.cause, d.remedy) for d in r.diagnoses] == [
        ("host-unresponsive", "memory is used up by a process", "end-process")
    ]
    assert r.unknown == ()


def test_an_alarm_that_looks_back_neither_detects_nor_delays_the_mending() -> None:
    w = world()
    w.meters.alarm("slo-availability-slow", "ALARM", topic="alerts")
    w.clock.sleep(600)
    a_night(w)

    r = report(w)

    assert (r.detected.strftime("%H:%M"), r.mended is not None) == ("15:17", True)
    assert [(s.name, s.ours) for s in r.alarms] == [("slo-availability-slow", False), ("memory-high", True)]


def test_what_failed_and_was_over_before_it_was_noticed_is_another_story() -> None:
    w = world()
    balancer(w, 600, 50)
    w.clock.sleep(150)
    w.meters.alarm("memory-high", "ALARM", topic="critical")
    types(w, opens_for("memory-high"))

    r = report(w)

    assert (r.began, r.requests and r.requests.failed) == (r.detected, 0)


def test_an_alarm_that_was_over_before_anybody_opened_did_not_detect_it() -> None:
    w = world()
    w.meters.alarm("cpu-high", "ALARM", topic="alerts")
    w.clock.sleep(300)
    w.meters.alarm("cpu-high", "OK")
    w.clock.sleep(1800)

    types(w, opens())

    r = report(w)
    assert r.detected == r.incident.opened
    assert [m.says for m in r.moments[:2]] == ["cpu-high red: it crossed", "cpu-high green"]


def test_an_alarm_that_was_red_all_the_while_and_is_green_by_now_stands_in_the_report() -> None:
    w = world()
    w.meters.alarm("disk-full", "ALARM", topic="alerts")
    w.clock.sleep(7200)
    types(w, opens())
    w.clock.sleep(60)
    types(w, closes("the disk is known"))
    w.clock.sleep(60)
    w.meters.alarm("disk-full", "OK")

    (span,) = report(w).alarms

    assert (span.name, span.ended, report(w).mended) == ("disk-full", None, None)


def test_a_report_that_comes_too_late_says_what_cloudwatch_has_forgotten() -> None:
    w = world()
    types(w, opens())
    types(w, closes())
    w.clock.sleep(31 * 86400)

    assert report(w).unknown == ("what alarms did: CloudWatch keeps it for 30 days",)


def test_what_cloudwatch_does_not_tell_is_named_in_the_report() -> None:
    w = world()
    types(w, opens())
    down = Unreachable("cloudwatch does not answer", next="rmu doctor")
    w.fail("metrics.alarms", down)
    w.fail("metrics.data", down)

    r = report(w)

    assert r.unknown == ("alarms: cloudwatch does not answer", "requests: cloudwatch does not answer")
    assert (r.requests, r.mended) == (None, None)


def test_the_postmortem_reads_as_it_should(tmp_path: Path) -> None:
    w = world()
    a_night(w)

    html, markdown = (p.read_text() for p in postmortem.write_report(report(w), tmp_path))

    assert markdown == (GOLDEN / "incident.md").read_text()
    assert "&lt;b&gt;everywhere" in html and "<b>everywhere" not in html
    assert html.count('class="blank"') == 3 == markdown.count("**BLANK:**")
    assert html.count("<svg") == 2


def test_a_report_wants_an_incident() -> None:
    ended = types(world(), lambda wired: postmortem.report_it(wired, None, Path("nowhere")))

    assert (ended.code, ended.why) == (3, "there was no incident here yet")


def test_a_postmortem_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    w = world()
    types(w, opens())
    (tmp_path / "taken").write_text("a file")

    ended = types(w, lambda wired: postmortem.report_it(wired, None, tmp_path / "taken" / "incidents"))

    assert ended.code == 2 and "cannot be written" in ended.why


def test_what_programs_read_is_what_the_schemas_promise(tmp_path: Path) -> None:
    w = world()
    typed: list[Command] = [opens(), opens("again"), acks, notes("x"), escalates(), closes("over")]

    for command in typed:
        IncidentDocument.model_validate(types(w, command).screen.document)
    told = types(w, lambda wired: postmortem.report_it(wired, None, tmp_path)).screen.document
    assert told is not None and Path(told["report"]).is_file()

    assert IncidentReportDocument.model_validate(told).incident == "i-260301-150000"
