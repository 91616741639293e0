"""The fleet as an auto scaling group of hosts: each question is one SSM command to every InService host.

Releases go in and out; which slot holds one is a host's own matter. A change carries a fence and a time after which
the host refuses it, so that a straggler cannot act after our undo.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from ratemyunit_ops.errors import Bug, Failed, NoAnswer, Refused, RmuError, Unreachable
from ratemyunit_ops.model import (
    Database,
    Facts,
    Fence,
    HostView,
    Instance,
    MigrationsView,
    Probe,
    Release,
    ReleaseRef,
    SlotView,
    StaleSecret,
    WorkerView,
    Works,
)
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.aws.ssm import DELIVERY, Commands, Script, was_cut
from ratemyunit_ops.ports import Clock, CommandResult, Guest, Places

Answer = dict[str, Any]
Answers = dict[str, Answer]

LATEST = DELIVERY + timedelta(seconds=10)
"""How long after it was asked a host may still begin; it also waits this long for its lock."""
FRESH = timedelta(seconds=60)
SET_UP = {"version", "digest", "image", "config", "secrets"}
"""What a host needs to know of a release to set it up."""
TOLD = ("head_before", "head", "admits", "ran", "took", "old_works", "new_works")
"""What a migration tells that others decide by."""
SHOWN = 12
"""Lines of probes and of the container's log that an error shows."""

# What the host allows itself for each verb (its own time-outs added up), and some air.
SECONDS = {
    "survey": 30,
    "prepare": 700,
    "migrate": 1630,
    "look": 150,
    "roles": 150,
    "start": 200,
    "ready": 15,
    "serve": 45,
    "worker": 220,
    "probe": 20,
    "retire": 120,
    "stop": 300,
    "hold": 120,
    "queue": 30,
    "prune": 300,
    "unneeded": 60,
    "stale": 30,
    "data_look": 120,
    "data_rows": 15,
    "data_act": 15,
    "data_warm": 3600,
    "data_fence": 120,
    "data_sequences": 90,
    "data_salvage": 3600,
    "data_apply": 1800,
    "data_checksum": 1800,
}

STATES = {
    "prepare": "What serves was not touched.",
    "migrate": "Traffic was not moved; the schema may be part of the way (migrations are safe to repeat).",
    "start": "It was left as it is beside what serves; traffic was not moved.",
    "ready": "It was left as it is beside what serves; traffic was not moved.",
    "prune": "Only images that nothing needs are removed; pruning again is safe.",
    "hold": "A hold ends by itself within half a minute; traffic was not moved.",
    "serve": "A host that cannot prove the flip puts its traffic back by itself.",
    "data_rows": "It was only read; what serves was not touched.",
    "data_act": "The statement is one transaction: what it had done is taken back.",
    "data_warm": "It was only read; what serves was not touched.",
    "data_fence": "Some sessions may have been ended; fencing again, or lifting the fence, is safe.",
    "data_sequences": "Sequences only ever move forward, so moving them again is safe.",
    "data_salvage": "No row was written anywhere; what serves was not touched.",
    "data_apply": "Each file is there whole or not at all, up to the one that failed; applying again is safe.",
}
HOST_LOG = "rmu exec --host {host} -- tail -n 20 /var/log/rmu/host.log"
BY_HAND = "rmu console --host {host}   (docs/break-glass.md, “A statement by hand”)"
IN_THE_WAY = "end or wait for what is in the way, then type the same command again"
NEXT = {
    "broken": HOST_LOG,
    "contract_first": "rmu migrate plan",
    "digest_mismatch": "rmu image list",
    "disk_full": "rmu exec -- podman system df",
    "fence_failed": "rmu runbook run database-connections   (it names the sessions; then the same command again)",
    "fence_unproven": HOST_LOG,
    "file_changed": "rmu db salvage RUN --dir FOLDER   (computes it again)",
    "flip_unproven": "rmu logs --role proxy",
    "hold_unproven": "rmu logs --role proxy",
    "lock_timeout": IN_THE_WAY,
    "locked": IN_THE_WAY,
    "migrate_failed": "rmu logs",
    "no_base": "rmu history",
    "no_hold": "rmu host replace {host}",
    "no_queue": "rmu status",
    "not_a_look": "rmu runbook lint",
    "not_after": "try again",
    "not_fenced": "rmu status",
    "not_found": "rmu status",
    "not_one_statement": "rmu runbook lint",
    "not_ready": "rmu logs",
    "prepared": BY_HAND,
    "pull_failed": "rmu image list",
    "queue_failed": "rmu logs",
    "roles_failed": "rmu runbook run database-connections",
    "serves_here": "rmu status",
    "sql_failed": HOST_LOG,
    "stale_fence": "rmu history",
    "start_failed": "rmu logs",
    "subscribed": BY_HAND,
    "too_slow": "rmu migrate lint",
    "unreachable": "rmu runbook run database-connections",
}
"""What to type next, by the host's code. One that is not here is of a newer host program."""


@dataclass(frozen=True)
class Question:
    """One request for the host program."""

    verb: str
    body: Mapping[str, Any] = field(default_factory=dict)
    extra: timedelta = timedelta(0)
    allowance: str = ""

    @property
    def deadline(self) -> timedelta:
        """Bound the host's work."""
        return timedelta(seconds=SECONDS[self.allowance or self.verb]) + self.extra


@dataclass
class Memory:
    """What this process remembers between two calls."""

    skew: timedelta = timedelta(0)
    run: str = "look"
    ready: dict[tuple[ReleaseRef, str], tuple[float, Facts]] = field(default_factory=dict)
    works: dict[ReleaseRef, tuple[float, Works]] = field(default_factory=dict)
    probe_began: float | None = None
    held_until: float | None = None
    """By the monotonic clock; 0 once requests were let go, None where this process does not know."""


@dataclass(frozen=True)
class Hosts:
    """The hosts of one environment, and how they are asked. `program` is the host program for a verb."""

    account: Account
    clock: Clock
    asg: str
    document: str
    program: Callable[[str], str]
    memory: Memory = field(default_factory=Memory)

    def instances(self) -> tuple[Instance, ...]:
        """List the members of the group. Raises Unreachable."""
        return tuple(Instance(id=m["InstanceId"], state=m["LifecycleState"]) for m in self._members())

    def addresses(self) -> dict[str, str]:
        """Tell each member's private address; the group does not know them, EC2 does. Raises Unreachable."""
        ids = [m["InstanceId"] for m in self._members()]
        if not ids:
            return {}
        # By filter, since naming an instance that EC2 does not know yet, or no more, is an error for all of them.
        here = [{"Name": "instance-id", "Values": ids}]
        listed = self.account.pages("ec2", "DescribeInstances", "Reservations", Filters=here)
        return {i["InstanceId"]: i.get("PrivateIpAddress", "") for r in listed for i in r["Instances"]}

    def in_service(self) -> list[str]:
        """Name the hosts that may be acted on. Raises Unreachable where there is none."""
        members = self._members()
        found = sorted(m["InstanceId"] for m in members if m["LifecycleState"] == "InService")
        if not found:
            states = ", ".join(f"{m['InstanceId']} {m['LifecycleState']}" for m in members) or "it has no member"
            raise Unreachable(f"no host of {self.asg} is InService: {states}", next="rmu host list")
        return found

    def ask(self, question: Question, hosts: Sequence[str], fence: Fence | None = None) -> Answers:
        """Ask hosts, in one command. Raises Refused, Failed or Unreachable where one of them did not do it."""
        request: Answer = {
            "verb": question.verb,
            "run": self.memory.run if fence is None else run_of(fence),
            "not_after": (self._now() + LATEST.total_seconds()),
            **question.body,
        }
        if fence is not None:
            request["fence"] = fence.model_dump()
        script = Script(
            self.document,
            {
                "program": self.program(question.verb),
                "request": base64.b64encode(json.dumps(request).encode()).decode(),
            },
            question.verb,
        )
        results = Commands(self.account, self.clock).run(script, hosts, deadline=question.deadline + LATEST)
        return _judged(question.verb, {r.host: _answer(question.verb, r) for r in results})

    def ask_one(self, question: Question, fence: Fence | None = None) -> Answer:
        """Ask the first host what one host can do for all: a command in an image, SQL. Raises what `ask` raises."""
        host = self.in_service()[0]
        return {"instance": host, **self.ask(question, [host], fence)[host]}

    def _members(self) -> list[dict[str, Any]]:
        page = self.account.ask("autoscaling", "DescribeAutoScalingGroups", AutoScalingGroupNames=[self.asg])
        self._note_skew(page)
        if not page["AutoScalingGroups"]:
            raise Unreachable(f"there is no auto scaling group {self.asg}", next="rmu infra apply")
        members: list[dict[str, Any]] = page["AutoScalingGroups"][0]["Instances"]
        return members

    def _note_skew(self, page: dict[str, Any]) -> None:
        """Learn how far this machine's clock is from AWS's: hosts refuse by their clock what we allow by ours."""
        date = page["ResponseMetadata"]["HTTPHeaders"].get("date")
        if date:
            skew = parsedate_to_datetime(date) - self.clock.now()
            self.memory.skew = skew if abs(skew) > timedelta(seconds=3) else timedelta(0)

    def _now(self) -> float:
        return (self.clock.now() + self.memory.skew).timestamp()


@dataclass(frozen=True)
class SsmFleet:
    """The hosts, speaking of releases. `probe_for` is how long the drop probe watches after a flip."""

    hosts: Hosts
    places: Places
    probe_for: timedelta
    fence: Fence | None = None

    def at(self, fence: Fence) -> SsmFleet:
        """Bind the right to act."""
        self.hosts.memory.run = run_of(fence)
        return replace(self, fence=fence)

    def instances(self) -> tuple[Instance, ...]:
        """List the members of the group, whatever their state."""
        return self.hosts.instances()

    def addresses(self) -> dict[str, str]:
        """Tell each member's private address."""
        return self.hosts.addresses()

    def survey(self) -> tuple[HostView, ...]:
        """Ask every InService host what it holds, in one round trip."""
        answers = self.hosts.ask(Question("survey"), self.hosts.in_service())
        return tuple(_view(host, answer) for host, answer in answers.items())

    def prepare(self, release: Release, database: Database) -> Facts:
        """Pull the image and write the slot's record and unit."""
        wanted = release.model_dump(mode="json", include=SET_UP)
        answers = self._change(Question("prepare", {"release": wanted, "database": database.model_dump()}))
        return facts_of(answers, pulled=any(a.get("pulled") for a in answers.values()))

    def start(self, ref: ReleaseRef, *, schema_head: str, deadline: timedelta) -> Facts:
        """Park the worker, start the release and wait until it is ready; remember that it was."""
        body = {"release": ref.model_dump(), "ready": _ready(schema_head, deadline)}
        answers = self._change(Question("start", body, extra=deadline))
        facts = facts_of(answers, ready_s=max(a.get("ready_s", 0) for a in answers.values()))
        self.hosts.memory.ready[(ref, schema_head)] = (self.hosts.clock.monotonic(), facts)
        return facts

    def ready(self, ref: ReleaseRef, *, schema_head: str, deadline: timedelta) -> Facts:
        """Wait until release and digest answer ready three times in a row."""
        # The start command has seen exactly this a moment ago: asking again would cost another SSM round trip and
        # could see no more. After a minute, or in another process, the hosts are asked.
        seen = self.hosts.memory.ready.get((ref, schema_head))
        if seen is not None and self.hosts.clock.monotonic() - seen[0] < FRESH.total_seconds():
            return {**seen[1], "commands": 0, "seen_by": "start"}
        body = {"release": ref.model_dump(), "ready": _ready(schema_head, deadline)}
        answers = self._look(Question("ready", body, extra=deadline))
        return facts_of(answers, ready_s=max(a.get("ready_s", 0) for a in answers.values()))

    def serve(self, ref: ReleaseRef | None, *, backup: ReleaseRef | None, probe: bool, let_go: bool = False) -> Facts:
        """Send traffic to a release (None: to nothing) and prove it on each host, which then may end its hold."""
        body: Answer = {"release": _dump(ref), "backup": _dump(backup), "probe": None, "let_go": let_go}
        if probe:
            body["probe"] = {"url": self.places.all()["front_door"], "seconds": self.probe_for.total_seconds()}
        answers = self._change(Question("serve", body))
        self.hosts.memory.probe_began = self.hosts.clock.monotonic() if probe else None
        if let_go:
            self.hosts.memory.held_until = 0.0
        return facts_of(answers, flip_ms=max(a.get("flip_ms", 0) for a in answers.values()))

    def start_worker(self, ref: ReleaseRef | None) -> Facts:
        """Run the worker of a release; None parks it."""
        return facts_of(self._change(Question("worker", {"release": _dump(ref)})))

    def probe(self, *, wait: timedelta) -> Probe:
        """Read what the drop probe saw; it is waited for only where it ends in time."""
        left = wait
        if self.hosts.memory.probe_began is not None:
            spent = timedelta(seconds=self.hosts.clock.monotonic() - self.hosts.memory.probe_began)
            left = max(self.probe_for - spent, timedelta(0)) + timedelta(seconds=1)
        waited = left if left <= wait else timedelta(0)
        return _probe(self._look(Question("probe", {"wait_s": waited.total_seconds()}, extra=waited)))

    def retire(self, ref: ReleaseRef, *, warm_floor: int) -> Facts:
        """Take a release out of the backup role; stop it when memory is short."""
        answers = self._change(Question("retire", {"release": ref.model_dump(), "warm_floor": warm_floor}))
        states = {a.get("state") for a in answers.values()}
        return facts_of(answers, state="warm" if states == {"warm"} else "retained")

    def stop(self, ref: ReleaseRef, *, resume_worker: ReleaseRef | None) -> Facts:
        """Stop a release that does not serve and run that worker again."""
        self.hosts.memory.ready.clear()
        body = {"release": ref.model_dump(), "resume_worker": _dump(resume_worker)}
        return facts_of(self._change(Question("stop", body)))

    def hold(self, *, at_most: timedelta) -> Facts:
        """Let requests wait at the proxy of every host, once what was on its way has its answer."""
        asked = self.hosts.clock.monotonic()
        answers = self._change(Question("hold", {"on": True, "at_most_s": at_most.total_seconds()}))
        left_s = min(a["left_s"] for a in answers.values())
        self.hosts.memory.held_until = asked + left_s
        return facts_of(answers, left_s=left_s, calm=all(a["calm"] for a in answers.values()))

    def let_go(self) -> Facts:
        """Let waiting requests go on to what serves; the command that served may have done so."""
        if self.hosts.memory.held_until == 0:
            return {"commands": 0, "seen_by": "serve"}
        answers = self._change(Question("hold", {"on": False}))
        self.hosts.memory.held_until = 0.0
        return facts_of(answers)

    def holding(self) -> bool:
        """Tell whether every host holds requests; while a hold of this process lasts, no host need be asked."""
        if self.hosts.clock.monotonic() < (self.hosts.memory.held_until or 0):
            return True
        return all(a["holding"] for a in self._look(Question("survey")).values())

    def unneeded(self) -> dict[str, int]:
        """Tell how many bytes of images that nothing needs lie on each host."""
        answers = self._look(Question("prune", {"look": True}, allowance="unneeded"))
        return {host: int(a["bytes"]) for host, a in answers.items()}

    def prune(self) -> Facts:
        """Remove the images that nothing on their host needs."""
        answers = self._change(Question("prune"))
        return facts_of(answers, freed=sum(int(a["freed"]) for a in answers.values()))

    def stale(self) -> tuple[StaleSecret, ...]:
        """Name the secrets that something was started with and that are no longer today's."""
        views = {host.id: host for host in self.survey()}
        answers = self._look(Question("stale"))
        found = ((views[host], slot, names) for host, a in answers.items() for slot, names in a["stale"].items())
        return tuple(
            StaleSecret(host=view.id, holder=_holder(view, slot), secret=name)
            for view, slot, names in found
            for name in names
        )

    def _change(self, question: Question) -> Answers:
        return self.hosts.ask(question, self.hosts.in_service(), fenced(question, self.fence))

    def _look(self, question: Question) -> Answers:
        return self.hosts.ask(question, self.hosts.in_service())


@dataclass(frozen=True)
class SsmOneOff:
    """A single command in a release's image, on the first host."""

    hosts: Hosts
    fence: Fence | None = None

    def at(self, fence: Fence) -> SsmOneOff:
        """Bind the right to act."""
        return replace(self, fence=fence)

    def schema_head(self, ref: ReleaseRef, *, database: Database | None = None) -> str:
        """Read a database's schema head through the release's image; empty where there is no schema."""
        on = {"database": database.model_dump()} if database else {}
        return str(self._look(ref, "head", **on)["head"] or "")

    def migrate(
        self,
        ref: ReleaseRef,
        *,
        old: ReleaseRef | None = None,
        phase: Literal["expand", "contract"] = "expand",
        guest: Guest | None = None,
    ) -> Facts:
        """Run the release's migrations of a phase and try the old release on what they made, in one command."""
        body: Answer = {"release": ref.model_dump(), "old": _dump(old), "phase": phase, "look": False}
        if guest is not None:
            wanted = guest.release.model_dump(mode="json", include=SET_UP)
            body |= {"guest": wanted, "database": guest.database.model_dump()}
        question = Question("migrate", body)
        answer = self._one(question, fenced(question, self.fence))
        if old is not None and guest is None and answer.get("old_works"):
            seen = Works.model_validate(answer["old_works"])
            self.hosts.memory.works[old] = (self.hosts.clock.monotonic(), seen)
        told = {name: answer.get(name) for name in TOLD}
        return facts_of({answer["instance"]: {k: v for k, v in answer.items() if k not in TOLD}}, **told)

    def pending(self, ref: ReleaseRef) -> MigrationsView:
        """Tell what the release's image would bring to its database."""
        answer = self._look(ref, "pending")
        return MigrationsView.model_validate({k: v for k, v in answer.items() if k in MigrationsView.model_fields})

    def works(self, ref: ReleaseRef) -> Works:
        """Let a release do every read and write it knows; a migration of a moment ago has seen it already."""
        seen = self.hosts.memory.works.get(ref)
        if seen is not None and self.hosts.clock.monotonic() - seen[0] < FRESH.total_seconds():
            return seen[1]
        return Works.model_validate(self._look(ref, "check")["works"])

    def has_roles(self, database: Database) -> bool:
        """Tell whether the database's roles are there and take today's passwords."""
        return bool(self._one(Question("roles", {"database": database.model_dump(), "look": True}), None)["there"])

    def make_roles(self, database: Database) -> Facts:
        """Make the database roles of ops, migrations and application; safe to repeat."""
        question = Question("roles", {"database": database.model_dump(), "look": False})
        answer = self._one(question, fenced(question, self.fence))
        return facts_of({answer["instance"]: answer})

    def _look(self, ref: ReleaseRef, kind: str, **more: Answer) -> Answer:
        body = {"release": ref.model_dump(), "look": kind, **more}
        return self._one(Question("migrate", body, allowance="look"), None)

    def _one(self, question: Question, fence: Fence | None) -> Answer:
        return self.hosts.ask_one(question, fence)


def run_of(fence: Fence) -> str:
    """Name the run for hosts: a lease's generation has one run, and the fence holds no other name."""
    return f"lease-{fence.generation}"


def fenced(question: Question, fence: Fence | None) -> Fence:
    """Demand the right to act before a host is asked to change something."""
    if fence is None:
        raise Bug(f"“{question.verb}” was asked of the hosts without a fence", next="rmu history")
    return fence


def _answer(verb: str, result: CommandResult) -> Answer:
    """Read a host's answer: the last line of its output."""
    lines = result.stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
    except (IndexError, ValueError) as why:
        said = "its answer was cut at 24,000 characters" if was_cut(result) else _last(result.stderr or result.stdout)
        raise Failed(
            f"{result.host} gave no answer to “{verb}” (exit {result.exit_code}): {said}",
            state="What it had done until then is done; asking again is safe.",
            next=f"rmu exec --host {result.host} -- tail -n 20 /var/log/rmu/host.log",
        ) from why
    if not isinstance(answer, dict):
        raise Failed(f"{result.host} answered “{verb}” with {lines[-1][:80]}", state="", next="rmu status")
    return answer


def _judged(verb: str, answers: Answers) -> Answers:
    """Pass on what was done; else raise what the first host that did not do it says."""
    no = {host: a for host, a in answers.items() if a["outcome"] in {"refused", "failed"}}
    if no:
        host, answer = next(iter(no.items()))
        raise _no(verb, host, answer, [h for h in answers if h not in no])
    return answers


def _no(verb: str, host: str, answer: Answer, others: Sequence[str]) -> RmuError:
    why = str(answer.get("why", ""))
    what = "\n".join([f"{host}: {answer.get('detail') or why}", *_evidence(answer)])
    next_line = NEXT.get(why, "rmu status").format(host=host)
    if answer["outcome"] == "refused" and not others:
        return Refused(what, next=next_line)
    state = STATES.get(verb, "The host says what it had done; asking again is safe.")
    done = f" {', '.join(others)} did it." if others else ""
    kind = NoAnswer if why == "unreachable" else Failed
    return kind(what, state=f"{state}{done}", next=next_line)


def _evidence(answer: Answer) -> list[str]:
    """Show every probe with its reason, who is in the way, and the container's last lines: why it did not work."""
    probes = [
        f"  probe {p.get('at_s', '?')}-{p.get('until_s', p.get('at_s', '?'))} s, {p.get('times', 1)}x: {p.get('said')}"
        for p in answer.get("probes") or ()
    ]
    blocked = [
        f"  in the way: pid {b.get('pid')}, {b.get('state')}, its transaction is {b.get('seconds')} s old: "
        f"{b.get('query') or 'no query shown'}"
        for b in answer.get("blockers") or ()
    ]
    log = [f"  log: {line}" for line in answer.get("log") or () if line.strip()]
    return probes[-SHOWN:] + blocked[:SHOWN] + log[-SHOWN:]


def facts_of(answers: Answers, **more: Any) -> Facts:
    """Sum up one command for the journal."""
    return {"commands": 1, "hosts": answers, **more}


def _ready(schema_head: str, deadline: timedelta) -> Answer:
    return {"deadline_s": deadline.total_seconds(), "in_a_row": 3, "schema_head": schema_head}


def _dump(ref: ReleaseRef | None) -> Answer | None:
    return ref.model_dump() if ref else None


def _view(host: str, answer: Answer) -> HostView:
    return HostView(
        id=host,
        live_slot=answer["live_slot"],
        slots={name: SlotView.model_validate(slot) for name, slot in answer["slots"].items()},
        worker=WorkerView.model_validate(answer["worker"]),
        backup_on=answer["backup_on"],
        holding_requests=answer["holding"],
        memory_available=answer["memory"]["available"],
        memory_total=answer["memory"].get("total", 0),
        disk_free=answer["disk_free"],
        fell_back=bool(answer.get("fell_back")),
        redis=answer.get("redis"),
        booted=answer.get("booted", 0),
    )


def _holder(view: HostView, slot: str) -> str:
    """Name who holds a secret as people do: a release, or its worker."""
    return f"{view.worker.release}'s worker" if slot == "worker" else str(view.slots[slot].release)


def _probe(answers: Answers) -> Probe:
    """Add the hosts' probes up: the worst verdict, the slowest times."""
    seen = list(answers.values())
    verdicts = {a["verdict"] for a in seen}
    return Probe(
        sent=sum(a["sent"] for a in seen),
        failed=sum(a["failed"] for a in seen),
        p99_ms=max(a["p99_ms"] or 0 for a in seen),
        added_p99_ms=max(round((a["p99_ms"] or 0) - (a["baseline_p99_ms"] or 0), 1) for a in seen),
        verdict="fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass",
        fell_back=any(a["fell_back"] for a in seen),
    )


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1][:200]
