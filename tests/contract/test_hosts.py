"""The fleet over SSM: what travels to the hosts, and what comes of their answers. Hosts are played by functions."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.errors import Failed, Refused, RmuError, Unreachable
from ratemyunit_ops.model import Database, Fence, GroupLeftovers, Release, ReleaseRef
from ratemyunit_ops.outside.aws.group import AutoScalingGroup
from ratemyunit_ops.outside.aws.hosts import Hosts, Question, SsmFleet, SsmOneOff
from ratemyunit_ops.outside.aws.queue import SsmQueue
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.aws.shell import SsmShell
from ratemyunit_ops.outside.aws.ssm import Commands, Script
from ratemyunit_ops.ports import Guest
from tests.contract.stand_in import Agent, StandIn, error, host_program
from tests.fakes.clock import FakeClock

Request = dict[str, Any]
V1 = ReleaseRef(version="v1", digest="sha256:11")
V2 = ReleaseRef(version="v2", digest="sha256:22")
FENCE = Fence(generation=5, sequence=12)
DATABASE = Database(identifier="db-1", address="db.example")
RELEASE = Release(
    version="v2",
    digest="sha256:22",
    image="registry/app",
    schema_head="0002",
    schema_oldest="0001",
    created=datetime(2026, 1, 1, tzinfo=UTC),
    run="r-1",
)


class Played:
    """The hosts: what they were asked, and what they say."""

    def __init__(self, ids: list[str], aws: StandIn) -> None:
        self.ids = ids
        self.requests: dict[str, list[Request]] = {i: [] for i in ids}
        self.says: dict[str, Request] = {i: {"outcome": "changed"} for i in ids}
        for i in ids:
            aws.ssm.agents[i] = Agent(host_program(self._answer(i)))

    def _answer(self, host: str) -> Callable[[Request], Request]:
        def answer(request: Request) -> Request:
            self.requests[host].append(request)
            return self.says[host]

        return answer

    def all_say(self, **answer: Any) -> None:
        self.says = {i: {"outcome": "changed", **answer} for i in self.ids}


class Places:
    """Only what `serve` needs."""

    def all(self) -> dict[str, str]:
        return {"front_door": "http://door.example"}


@pytest.fixture
def asg(account: Account, environment: str) -> Iterator[str]:
    """Make a group of two hosts."""
    name = f"rmu-{environment}-hosts"
    account.act(
        "autoscaling",
        "CreateLaunchConfiguration",
        LaunchConfigurationName=name,
        ImageId="ami-12c6146b",
        InstanceType="t3.micro",
    )
    account.act(
        "autoscaling",
        "CreateAutoScalingGroup",
        AutoScalingGroupName=name,
        LaunchConfigurationName=name,
        MinSize=0,
        MaxSize=3,
        DesiredCapacity=2,
        AvailabilityZones=["us-east-1a"],
    )
    yield name
    account.act("autoscaling", "DeleteAutoScalingGroup", AutoScalingGroupName=name, ForceDelete=True)


@pytest.fixture
def played(account: Account, asg: str, aws: StandIn) -> Played:
    group = account.ask("autoscaling", "DescribeAutoScalingGroups", AutoScalingGroupNames=[asg])
    return Played(sorted(i["InstanceId"] for i in group["AutoScalingGroups"][0]["Instances"]), aws)


@pytest.fixture
def hosts(account: Account, asg: str, clock: FakeClock, played: Played) -> Hosts:
    return Hosts(account, clock, asg, document="rmu-test-host", program=lambda verb: "UFJPR1JBTQ==")


@pytest.fixture
def fleet(hosts: Hosts) -> SsmFleet:
    return SsmFleet(hosts, Places(), probe_for=timedelta(seconds=30)).at(FENCE)


def probe_answer(**more: Any) -> Request:
    return {
        "sent": 100,
        "failed": 0,
        "p99_ms": 9.0,
        "baseline_p99_ms": 6.0,
        "verdict": "pass",
        "fell_back": False,
    } | more


def test_one_command_asks_every_host(fleet: SsmFleet, played: Played, aws: StandIn) -> None:
    facts = fleet.start_worker(V2)

    assert facts["commands"] == aws.counts["SendCommand"] == 1
    assert set(facts["hosts"]) == set(played.ids)
    assert all(len(asked) == 1 for asked in played.requests.values())


def test_a_change_carries_its_fence_and_the_time_after_which_it_is_refused(
    fleet: SsmFleet, played: Played, clock: FakeClock
) -> None:
    clock.move_to((datetime.now(UTC) - clock.now()).total_seconds())

    fleet.start_worker(V2)

    request = played.requests[played.ids[0]][0]
    assert request["fence"] == {"generation": 5, "sequence": 12}
    assert 30 <= request["not_after"] - datetime.now(UTC).timestamp() <= 60


def test_a_clock_that_is_wrong_here_does_not_make_hosts_refuse(fleet: SsmFleet, played: Played) -> None:
    fleet.start_worker(V2)  # the fake clock stands months away from the server's

    allowed = played.requests[played.ids[0]][0]["not_after"] - datetime.now(UTC).timestamp()
    assert 30 <= allowed <= 60


def test_a_command_carries_the_program_and_both_time_outs(fleet: SsmFleet, aws: StandIn) -> None:
    fleet.start_worker(V2)

    sent = aws.ssm.sent[0]
    assert sent["Parameters"]["program"] == ["UFJPR1JBTQ=="]
    assert sent["TimeoutSeconds"] == 30
    assert int(sent["Parameters"]["executionTimeout"][0]) < 600


@pytest.mark.parametrize("document", ["host", "exec"])
def test_terraforms_documents_take_exactly_the_parameters_that_are_sent(
    hosts: Hosts, account: Account, clock: FakeClock, played: Played, aws: StandIn, document: str
) -> None:
    if document == "host":
        hosts.ask(Question("survey"), played.ids)
    else:
        aws.ssm.agents["i-1"] = Agent(lambda parameters: (0, ""))
        SsmShell(Commands(account, clock), "d").run(["true"], hosts=["i-1"], deadline=timedelta(seconds=5))

    text = (Path(__file__).parents[2] / "terraform/modules/access/documents.tf").read_text()
    (block,) = re.findall(rf'"aws_ssm_document" "{document}".*?mainSteps', text, re.DOTALL)
    assert set(re.findall(r"^      (\w+) = {", block, re.MULTILINE)) == set(aws.ssm.sent[0]["Parameters"])


def test_the_survey_tells_what_each_host_holds(fleet: SsmFleet, played: Played) -> None:
    played.all_say(
        outcome="ok",
        live_slot="blue",
        backup_on=True,
        holding=True,
        slots={
            "blue": {"release": "v2", "digest": "sha256:22", "database": "db-1", "state": "serving"},
            "green": {"release": None, "digest": None, "state": "empty"},
        },
        worker={"release": "v2", "state": "running"},
        memory={"total": 10, "available": 7},
        disk_free=3,
        redis=True,
    )

    seen = fleet.survey()

    assert [h.id for h in seen] == played.ids
    assert {h.serves() for h in seen} == {"v2"}
    assert (seen[0].memory_available, seen[0].disk_free, seen[0].backup_on) == (7, 3, True)
    assert (seen[0].holding_requests, seen[0].slots["blue"].database) == (True, "db-1")
    assert set(fleet.addresses()) >= set(played.ids)
    assert all(fleet.addresses().values())


def test_a_hold_is_one_command_its_end_another_and_both_are_changes(
    fleet: SsmFleet, played: Played, aws: StandIn
) -> None:
    played.all_say(held=True, left_s=24.0, calm=True)
    played.says[played.ids[0]] = {**played.says[played.ids[0]], "calm": False, "left_s": 23.5}

    held, gone = fleet.hold(at_most=timedelta(seconds=25)), fleet.let_go()

    first, second = played.requests[played.ids[0]]
    assert (first["on"], first["at_most_s"], second["on"]) == (True, 25.0, False)
    assert first["fence"] == second["fence"] == FENCE.model_dump()
    assert aws.counts["SendCommand"] == held["commands"] + gone["commands"] == 2
    assert (held["calm"], held["left_s"]) == (False, 23.5)  # of one host, but that is enough


def test_who_held_requests_asks_no_host_while_they_are_held(
    fleet: SsmFleet, played: Played, aws: StandIn, clock: FakeClock
) -> None:
    played.all_say(held=True, holding=False, left_s=20.0, calm=True)
    fleet.hold(at_most=timedelta(seconds=20))
    asked = aws.counts["SendCommand"]

    assert fleet.holding()

    assert aws.counts["SendCommand"] == asked
    clock.sleep(21)
    assert not fleet.holding()
    assert aws.counts["SendCommand"] == asked + 1


def test_who_serves_may_let_go_in_the_same_command(fleet: SsmFleet, played: Played, aws: StandIn) -> None:
    played.all_say(held=True, holding=False, left_s=20.0, calm=True)
    fleet.hold(at_most=timedelta(seconds=20))

    fleet.serve(V2, backup=None, probe=False, let_go=True)
    asked = aws.counts["SendCommand"]

    assert played.requests[played.ids[0]][-1]["let_go"] is True
    assert fleet.let_go()["commands"] == 0
    assert aws.counts["SendCommand"] == asked
    assert not fleet.holding()


def test_requests_are_held_only_where_every_host_holds_them(fleet: SsmFleet, played: Played) -> None:
    played.all_say(outcome="ok", holding=True)
    assert fleet.holding()

    played.says[played.ids[1]] = {"outcome": "ok", "holding": False}

    assert not fleet.holding()


def test_a_host_that_cannot_hold_says_what_to_type(fleet: SsmFleet, played: Played) -> None:
    played.says = {i: {"outcome": "refused", "why": "no_hold", "detail": "too old"} for i in played.ids}

    with pytest.raises(Refused) as told:
        fleet.hold(at_most=timedelta(seconds=25))

    assert told.value.next == f"rmu host replace {played.ids[0]}"


def test_f28_only_members_in_service_are_acted_on(fleet: SsmFleet, played: Played, account: Account, asg: str) -> None:
    account.act(
        "autoscaling",
        "EnterStandby",
        AutoScalingGroupName=asg,
        InstanceIds=[played.ids[0]],
        ShouldDecrementDesiredCapacity=True,
    )

    facts = fleet.start_worker(V2)

    assert list(facts["hosts"]) == [played.ids[1]]
    assert {i.state for i in fleet.instances()} == {"InService", "Standby"}


def test_a_group_without_a_host_in_service_is_unreachable(fleet: SsmFleet, account: Account, asg: str) -> None:
    account.act("autoscaling", "SetDesiredCapacity", AutoScalingGroupName=asg, DesiredCapacity=0)

    with pytest.raises(Unreachable, match="no host"):
        fleet.start_worker(V2)


def test_a_group_that_is_not_there_says_how_to_make_it(account: Account, clock: FakeClock) -> None:
    with pytest.raises(Unreachable) as why:
        Hosts(account, clock, "rmu-nowhere-hosts", "d", str).in_service()

    assert why.value.next == "rmu infra apply"


def test_prepare_sends_names_of_secrets_and_the_database(fleet: SsmFleet, played: Played) -> None:
    played.all_say(slot="green", pulled=True)

    facts = fleet.prepare(RELEASE.model_copy(update={"secrets": ("secret_key",)}), DATABASE)

    request = played.requests[played.ids[0]][0]
    assert request["release"] == {
        "version": "v2", "digest": "sha256:22", "image": "registry/app", "config": {}, "secrets": ["secret_key"],
    }  # fmt: skip
    assert request["database"] == {"identifier": "db-1", "address": "db.example", "port": 5432}
    assert facts["pulled"] is True


def test_what_start_saw_ready_is_not_asked_again(fleet: SsmFleet, played: Played, aws: StandIn) -> None:
    played.all_say(ready_s=4.5)
    fleet.start(V2, schema_head="0002", deadline=timedelta(seconds=60))

    facts = fleet.ready(V2, schema_head="0002", deadline=timedelta(seconds=60))

    assert (facts["commands"], facts["ready_s"]) == (0, 4.5)
    assert aws.counts["SendCommand"] == 1


def test_readiness_is_asked_anew_after_a_minute_and_for_another_schema(
    fleet: SsmFleet, aws: StandIn, clock: FakeClock
) -> None:
    fleet.start(V2, schema_head="0002", deadline=timedelta(seconds=60))

    fleet.ready(V2, schema_head="0003", deadline=timedelta(seconds=60))
    clock.sleep(61)
    fleet.ready(V2, schema_head="0002", deadline=timedelta(seconds=60))

    assert aws.counts["SendCommand"] == 3


def test_readiness_is_asked_anew_after_a_stop(fleet: SsmFleet, aws: StandIn) -> None:
    fleet.start(V2, schema_head="0002", deadline=timedelta(seconds=60))
    fleet.stop(V2, resume_worker=None)

    fleet.ready(V2, schema_head="0002", deadline=timedelta(seconds=60))

    assert aws.counts["SendCommand"] == 3


def test_f15_a_release_that_is_never_ready_shows_every_probe_and_the_containers_last_lines(
    fleet: SsmFleet, played: Played
) -> None:
    played.all_say(
        outcome="failed",
        why="not_ready",
        detail="v2 never became ready within 60 s",
        probes=[{"at_s": 0, "until_s": 59.5, "times": 120, "said": "/readyz answered 503 (database: no)"}],
        log=["could not translate host name"],
    )

    with pytest.raises(Failed) as why:
        fleet.start(V2, schema_head="0002", deadline=timedelta(seconds=60))

    assert "120x: /readyz answered 503" in why.value.what
    assert "could not translate host name" in why.value.what
    assert "traffic was not moved" in why.value.state


def test_a_refusal_of_all_hosts_changed_nothing(fleet: SsmFleet, played: Played) -> None:
    played.all_say(outcome="refused", why="stale_fence", detail="run lease-6 has acted here since")

    with pytest.raises(Refused, match="lease-6") as why:
        fleet.start_worker(V2)

    assert why.value.next == "rmu history"


def test_a_refusal_of_one_host_names_those_that_did_it(fleet: SsmFleet, played: Played) -> None:
    played.says[played.ids[0]] = {"outcome": "refused", "why": "disk_full", "detail": "80 MiB are free"}

    with pytest.raises(Failed, match="80 MiB") as why:
        fleet.prepare(RELEASE, DATABASE)

    assert played.ids[1] in why.value.state


def test_serve_tells_the_slowest_flip_and_starts_the_probe(fleet: SsmFleet, played: Played) -> None:
    played.all_say(live_slot="green")
    played.says[played.ids[0]]["flip_ms"], played.says[played.ids[1]]["flip_ms"] = 4.0, 7.5

    facts = fleet.serve(V2, backup=None, probe=True)

    assert facts["flip_ms"] == 7.5
    assert played.requests[played.ids[0]][0]["probe"] == {"url": "http://door.example", "seconds": 30.0}


def test_the_probes_of_the_hosts_add_up_to_the_worst(fleet: SsmFleet, played: Played) -> None:
    played.all_say(**probe_answer())
    played.says[played.ids[1]] |= probe_answer(failed=2, p99_ms=20.0, verdict="fail", fell_back=True)

    seen = fleet.probe(wait=timedelta(seconds=10))

    assert (seen.sent, seen.failed, seen.p99_ms, seen.added_p99_ms) == (200, 2, 20.0, 14.0)
    assert (seen.verdict, seen.fell_back) == ("fail", True)


def test_the_probe_is_asked_for_in_the_run_that_began_it(hosts: Hosts, played: Played) -> None:
    unbound = SsmFleet(hosts, Places(), probe_for=timedelta(seconds=30))
    played.all_say(**probe_answer())
    unbound.at(FENCE).serve(V2, backup=None, probe=True)

    unbound.probe(wait=timedelta(seconds=10))

    began, asked = played.requests[played.ids[0]]
    assert began["run"] == asked["run"]


def test_a_probe_that_will_not_end_in_time_is_read_at_once(fleet: SsmFleet, played: Played, clock: FakeClock) -> None:
    played.all_say(**probe_answer())
    fleet.serve(V2, backup=None, probe=True)
    clock.sleep(5)
    fleet.probe(wait=timedelta(seconds=10))
    clock.sleep(20)
    fleet.probe(wait=timedelta(seconds=10))

    waits = [r["wait_s"] for r in played.requests[played.ids[0]] if r["verb"] == "probe"]
    assert waits[0] == 0
    assert 0 < waits[1] <= 6


def test_migrations_run_on_one_host(hosts: Hosts, played: Played) -> None:
    played.all_say(head_before="0001", head="0002", log=[])

    facts = SsmOneOff(hosts).at(FENCE).migrate(V2)

    assert (facts["head_before"], facts["head"]) == ("0001", "0002")
    assert sum(len(asked) for asked in played.requests.values()) == 1


def test_the_old_release_is_tried_in_the_migrations_own_command_and_remembered_for_a_minute(
    hosts: Hosts, played: Played, clock: FakeClock
) -> None:
    works = {"ok": False, "reads": 1, "writes": 0, "failed": "units.store", "why": "no column"}
    played.all_say(head_before="0001", head="0002", ran=["0002"], took={"0002": 0.4}, old_works=works)
    oneoff = SsmOneOff(hosts).at(FENCE)

    facts = oneoff.migrate(V2, old=V1)
    seen = oneoff.works(V1)
    clock.sleep(61)
    played.all_say(outcome="ok", works={"ok": True, "reads": 8, "writes": 11})
    again = oneoff.works(V1)

    asked = played.requests[played.ids[0]]
    assert (facts["ran"], facts["took"], facts["old_works"]) == (["0002"], {"0002": 0.4}, works)
    assert (seen.ok, seen.failed, again.ok) == (False, "units.store", True)
    assert [(r["look"], r.get("old", {}).get("version")) for r in asked] == [(False, "v1"), ("check", None)]


def test_a_guest_travels_whole_and_brings_its_database(hosts: Hosts, played: Played) -> None:
    played.all_say(head_before="0001", head="0002", new_works={"ok": True})

    SsmOneOff(hosts).at(FENCE).migrate(V2, old=V1, guest=Guest(release=RELEASE, database=DATABASE))

    request = played.requests[played.ids[0]][0]
    assert (request["guest"]["image"], request["guest"]["version"]) == ("registry/app", "v2")
    assert request["database"]["address"] == "db.example"


def test_pending_revisions_are_a_look(hosts: Hosts, played: Played) -> None:
    todo = {"revision": "0003", "phase": "contract", "oldest_code": "0002", "title": "Drop it"}
    played.all_say(outcome="ok", current="0002", head="0002", tip="0003", pending=[todo])

    seen = SsmOneOff(hosts).pending(V2)

    assert (seen.current, seen.tip, [p.phase for p in seen.pending]) == ("0002", "0003", ["contract"])
    assert "fence" not in played.requests[played.ids[0]][0]


def test_who_is_in_the_way_of_a_migration_is_named(hosts: Hosts, played: Played) -> None:
    played.all_say(
        outcome="failed",
        why="lock_timeout",
        detail="migrations of v2: 0002 could not get its lock in 3 tries of 2s",
        blockers=[{"pid": 4711, "state": "idle in transaction", "seconds": 83, "query": "update units set title = ?"}],
    )

    with pytest.raises(Failed) as why:
        SsmOneOff(hosts).at(FENCE).migrate(V2)

    assert "pid 4711, idle in transaction, its transaction is 83 s old: update units set title = ?" in why.value.what
    assert why.value.next.startswith("end or wait for what is in the way")


def test_reading_the_schemas_head_needs_no_fence(hosts: Hosts, played: Played) -> None:
    played.all_say(outcome="ok", head="0002")

    assert SsmOneOff(hosts).schema_head(V2) == "0002"
    assert "fence" not in played.requests[played.ids[0]][0]


def test_a_change_without_a_fence_is_a_bug(hosts: Hosts) -> None:
    with pytest.raises(RmuError, match="without a fence") as why:
        SsmOneOff(hosts).migrate(V2)

    assert why.value.exit_code == 70


def test_f27_an_answer_that_was_cut_is_no_answer(fleet: SsmFleet, played: Played, aws: StandIn) -> None:
    long = json.dumps({"outcome": "changed", "log": "x" * 30_000})
    for i in played.ids:
        aws.ssm.agents[i] = Agent(lambda parameters: (0, long))

    with pytest.raises(Failed, match="cut at 24,000"):
        fleet.start_worker(V2)


def test_a_host_program_that_crashed_shows_its_last_line(fleet: SsmFleet, played: Played, aws: StandIn) -> None:
    for i in played.ids:
        aws.ssm.agents[i] = Agent(lambda parameters: (1, "Traceback\nValueError: no\n"))

    with pytest.raises(Failed, match=r"exit 1\): ValueError: no"):
        fleet.start_worker(V2)


def test_f27_an_invocation_that_is_not_there_yet_is_waited_for(fleet: SsmFleet, played: Played, aws: StandIn) -> None:
    aws.ssm.agents[played.ids[0]].hidden_polls = 20

    assert fleet.start_worker(V2)["commands"] == 1


def test_f27_an_agent_that_registers_late_is_waited_for(
    fleet: SsmFleet, played: Played, aws: StandIn, clock: FakeClock
) -> None:
    agent = aws.ssm.agents[played.ids[0]]
    agent.online = False
    clock.later(10, lambda: setattr(agent, "online", True))

    assert fleet.start_worker(V2)["commands"] == 1
    assert len(aws.ssm.sent) == 1


def test_f27_an_agent_that_is_down_is_named_and_nothing_ran(
    fleet: SsmFleet, played: Played, aws: StandIn, clock: FakeClock
) -> None:
    aws.ssm.agents[played.ids[0]].online = False

    with pytest.raises(Unreachable, match=f"SSM agent of {played.ids[0]} does not answer"):
        fleet.start_worker(V2)

    assert played.requests == {i: [] for i in played.ids}
    assert clock.seconds < 60


def test_f27_a_command_no_agent_took_is_an_agent_that_is_down(fleet: SsmFleet, played: Played, aws: StandIn) -> None:
    for i in played.ids:
        aws.ssm.agents[i].delivers = False

    with pytest.raises(Unreachable, match="SSM agent"):
        fleet.start_worker(V2)


def test_f27_a_command_only_some_agents_took_may_have_changed_something(
    fleet: SsmFleet, played: Played, aws: StandIn
) -> None:
    aws.ssm.agents[played.ids[0]].delivers = False

    with pytest.raises(Failed, match=f"never reached {played.ids[0]}") as why:
        fleet.start_worker(V2)

    assert played.ids[1] in why.value.state


def test_a_command_that_never_ends_is_cancelled_and_not_called_done(
    fleet: SsmFleet, played: Played, aws: StandIn
) -> None:
    aws.ssm.agents[played.ids[0]].running_polls = 10_000

    with pytest.raises(Failed, match="did not end in time"):
        fleet.start_worker(V2)

    assert len(aws.ssm.cancelled) == 1


def test_f26_a_network_that_is_gone_for_a_while_does_not_fail_a_running_command(fleet: SsmFleet, aws: StandIn) -> None:
    aws.faults.instead["GetCommandInvocation"] = [error("ThrottlingException", "slow down")] * 7

    assert fleet.start_worker(V2)["commands"] == 1


def test_f37_a_command_whose_answer_is_lost_is_never_sent_again(fleet: SsmFleet, played: Played, aws: StandIn) -> None:
    aws.faults.lose["SendCommand"] = 1

    with pytest.raises(Failed, match="was not sent again"):
        fleet.start_worker(V2)

    assert aws.counts["SendCommand"] == 1
    assert all(len(asked) == 1 for asked in played.requests.values())


def test_a_shell_command_travels_as_a_list(account: Account, clock: FakeClock, aws: StandIn) -> None:
    aws.ssm.agents["i-1"] = Agent(lambda p: (3, " ".join(json.loads(base64.b64decode(p["argv"])))))

    result = SsmShell(Commands(account, clock), "rmu-test-exec").run(
        ["echo", "two words", "{{ssm:x}}"], hosts=["i-1"], deadline=timedelta(seconds=5)
    )[0]

    assert (result.exit_code, result.stdout) == (3, "echo two words {{ssm:x}}")


def test_a_shell_commands_cut_output_says_so(account: Account, clock: FakeClock, aws: StandIn) -> None:
    aws.ssm.agents["i-1"] = Agent(lambda p: (0, "x" * 30_000))

    result = Commands(account, clock).run(Script("d", {}, "t"), ["i-1"], deadline=timedelta(seconds=5))
    shown = SsmShell(Commands(account, clock), "d").run(["x"], hosts=["i-1"], deadline=timedelta(seconds=5))

    assert len(result[0].stdout) == 24_000
    assert "24,000" in shown[0].stderr


def test_an_older_secret_is_told_by_who_holds_it(fleet: SsmFleet, played: Played) -> None:
    held = {"release": "v2", "digest": "sha256:22", "state": "serving"}
    slots = {"blue": held, "green": {**held, "release": "v1", "state": "warm"}}
    survey = {"live_slot": "blue", "slots": slots, "worker": {"release": "v2", "state": "running"}, "backup_on": False}
    survey |= {"holding": False, "memory": {"available": 1, "total": 2}, "disk_free": 1}
    played.all_say(**survey, stale={"green": ["app/secret_key"], "worker": ["db/app_password"], "blue": []})

    found = fleet.stale()

    assert {(s.holder, s.secret) for s in found} == {("v1", "app/secret_key"), ("v2's worker", "db/app_password")}
    assert {s.host for s in found} == set(played.ids)


def test_images_are_looked_at_without_a_fence_and_removed_with_one(fleet: SsmFleet, played: Played) -> None:
    played.all_say(bytes=300, freed=300)

    assert fleet.unneeded() == dict.fromkeys(played.ids, 300)
    assert fleet.prune()["freed"] == 600

    looked, removed = played.requests[played.ids[0]]
    assert (looked["look"], "fence" in looked, removed["fence"]["sequence"]) == (True, False, 12)


STANDS = {"waiting": 3, "running": 1, "later": 0, "failed": 2, "oldest_s": 12.5, "paused": False}


def test_the_queue_is_looked_at_without_a_fence_on_one_host(hosts: Hosts, played: Played) -> None:
    played.all_say(outcome="ok", paused_by=None, **STANDS)

    seen = SsmQueue(hosts).status()

    assert (seen.waiting, seen.failed, seen.oldest_s, seen.paused) == (3, 2, 12.5, False)
    asked = [request for requests in played.requests.values() for request in requests]
    assert [(r["verb"], r["look"], "fence" in r) for r in asked] == [("queue", True, False)]


def test_a_pause_goes_out_fenced_in_somebodys_name_and_tells_how_it_stands(hosts: Hosts, played: Played) -> None:
    played.all_say(**{**STANDS, "paused": True, "paused_by": "ann@laptop"})

    facts = SsmQueue(hosts).at(FENCE).pause(by="ann@laptop", because="it burns")

    (request,) = played.requests[played.ids[0]]
    assert (request["action"], request["by"], request["because"]) == ("pause", "ann@laptop", "it burns")
    assert request["fence"] == FENCE.model_dump()
    assert facts["told"]["queue"]["paused_by"] == "ann@laptop"


def test_a_release_without_a_queue_is_a_refusal(hosts: Hosts, played: Played) -> None:
    played.all_say(outcome="refused", why="no_queue", detail="v1 has no queue to ask about")

    with pytest.raises(Refused, match="v1 has no queue to ask about"):
        SsmQueue(hosts).status()


def test_what_a_host_taken_out_of_service_leaves_in_its_group_is_told_until_it_is_put_back(
    account: Account, asg: str, clock: FakeClock
) -> None:
    group = AutoScalingGroup(account, asg, SsmShell(Commands(account, clock), "rmu-test-exec"))
    host = sorted(group.states())[0]
    assert group.leftovers() == GroupLeftovers()

    group.stand_by(host)
    account.act("autoscaling", "SuspendProcesses", AutoScalingGroupName=asg, ScalingProcesses=["AZRebalance"])

    assert group.leftovers() == GroupLeftovers(standing_by=(host,), minimum=0, suspended=("AZRebalance",))
    group.rejoin(host)
    account.act("autoscaling", "ResumeProcesses", AutoScalingGroupName=asg, ScalingProcesses=["AZRebalance"])
    assert group.leftovers() == GroupLeftovers()
