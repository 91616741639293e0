"""SSM Run Command as AWS does it: slow, without an idempotency token, and honest about the agent.

moto's own SendCommand never runs anything. Here a command waits for the guest agent, which polls, runs and reports
through `agent.py`. Parameter Store and documents stay moto's.
"""

import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import ec2_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from ratemyunit_ops.twin.gate.document import RUN_SHELL_SCRIPT, Script, parse, script_of
from ratemyunit_ops.twin.gate.mend import mend, refuse

INVISIBLE_SECONDS = 0.5
# A poll whose agent died takes a command with it; the agent acknowledges what it got, and ignores what it has.
UNHEARD_SECONDS = 2.0
STDOUT_LIMIT = 24_000
STDERR_LIMIT = 8_000
LIST_OUTPUT_LIMIT = 2_500
ONLINE_SECONDS = 300.0
DEFAULT_DELIVERY_TIMEOUT = 3600
ENDED = {"Success", "Failed", "TimedOut", "Cancelled"}
DETAILS = {"TimedOut": "Execution Timed Out", "InProgress": "In Progress"}


@dataclass
class Invocation:
    """One command on one instance."""

    command: "Command"
    instance: str
    delivered: float | None = None
    handed_out: float = 0.0
    acknowledged: bool = False
    cancel_asked: bool = False
    cancel_sent: bool = False
    ended: float | None = None
    outcome: str = ""
    details: str = ""
    exit_code: int = -1
    stdout: str = ""
    stderr: str = ""

    def status(self, now: float, latency: float) -> str:
        """Answer what the API says at `now`; news takes one latency to arrive."""
        self._expire(now)
        if self.ended is not None and now >= self.ended + latency:
            return self.outcome
        if self.cancel_asked:
            return "Cancelling"
        return "InProgress" if self.delivered is not None else "Pending"

    def _expire(self, now: float) -> None:
        if self.ended is not None:
            return
        # What was handed to an agent that died before it said a word was never delivered.
        if not self.acknowledged and now > self.command.sent + self.command.delivery_timeout:
            self._end(now, "TimedOut", "Delivery Timed Out")
        # A dead agent never reports: the API says InProgress until both time-outs have passed.
        elif now > self.command.sent + self.command.delivery_timeout + self.command.script.execution_timeout:
            self._end(now, "TimedOut", "Execution Timed Out")
        elif self.cancel_asked and self.delivered is None:
            self._end(now, "Cancelled", "Cancelled")

    def _end(self, now: float, outcome: str, details: str) -> None:
        self.ended, self.outcome, self.details = now, outcome, details

    def report(self, update: dict[str, Any]) -> None:
        """Take the agent's word; the first ending counts."""
        self.acknowledged = True
        if self.ended is not None or update["status"] not in ENDED:
            return
        self.exit_code = int(update["exit_code"])
        self.stdout, self.stderr = str(update.get("stdout") or ""), str(update.get("stderr") or "")
        self._end(time.time(), update["status"], DETAILS.get(update["status"], update["status"]))


@dataclass
class Command:
    """One SendCommand."""

    document: str
    comment: str
    parameters: dict[str, list[str]]
    delivery_timeout: int
    script: Script
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    sent: float = field(default_factory=time.time)
    invocations: dict[str, Invocation] = field(default_factory=dict)

    def status(self, now: float, latency: float) -> str:
        """Answer the command's own status, the worst of its invocations."""
        states = {one.status(now, latency) for one in self.invocations.values()}
        for worst in ("InProgress", "Pending", "Cancelling", "Failed", "TimedOut", "Cancelled"):
            if worst in states:
                return worst
        return "Success"


@dataclass
class Agent:
    """One guest agent, known since its first call."""

    first: float
    last: float


class RunCommand:
    """All commands and agents; one lock, one condition the pollers wait on."""

    def __init__(self, latency: float) -> None:
        self.latency = latency
        self.commands: dict[str, Command] = {}
        self.agents: dict[str, Agent] = {}
        self.news = threading.Condition()

    def ping(self, instance: str) -> None:
        """Note that an instance's agent lives."""
        now = time.time()
        with self.news:
            self.agents.setdefault(instance, Agent(now, now)).last = now

    def online(self, instance: str) -> bool:
        """Answer what AWS would say: it believes an agent for minutes after its last word."""
        agent = self.agents.get(instance)
        return agent is not None and time.time() - agent.last < ONLINE_SECONDS

    def send(self, command: Command, instances: list[str]) -> None:
        """Queue a command for its instances."""
        with self.news:
            command.invocations = {one: Invocation(command, one) for one in instances}
            self.commands[command.id] = command
            self.news.notify_all()

    def cancel(self, command: Command, instances: list[str]) -> None:
        """Ask for a stop; whether it stops is the agent's affair."""
        with self.news:
            for instance, invocation in command.invocations.items():
                if not instances or instance in instances:
                    invocation.cancel_asked = True
            self.news.notify_all()

    def next_for(self, instance: str, wait: float) -> dict[str, Any] | None:
        """Wait for something to tell an agent, at most `wait` seconds."""
        deadline = time.time() + wait
        with self.news:
            while True:
                self.agents.setdefault(instance, Agent(time.time(), 0)).last = time.time()
                found, due = self._due(instance)
                if found is not None:
                    return found
                left = min(deadline, due) - time.time()
                if time.time() >= deadline:
                    return None
                self.news.wait(max(left, 0.01))

    def _due(self, instance: str) -> tuple[dict[str, Any] | None, float]:
        now, soonest = time.time(), float("inf")
        for command in self.commands.values():
            one = command.invocations.get(instance)
            if one is None or one.status(now, self.latency) in ENDED or one.ended is not None:
                continue
            if one.cancel_asked and one.delivered is not None and not one.cancel_sent:
                one.cancel_sent = True
                return {"cancel": command.id}, now
            due = command.sent + self.latency if one.delivered is None else one.handed_out + UNHEARD_SECONDS
            if one.acknowledged:
                continue
            if now >= due:
                one.delivered, one.handed_out = one.delivered or now, now
                return {
                    "command_id": command.id,
                    "script": command.script.text,
                    "env": command.script.env,
                    "execution_timeout_s": command.script.execution_timeout,
                }, now
            soonest = min(soonest, due)
        return None, soonest

    def update(self, report: dict[str, Any]) -> None:
        """Record an agent's report."""
        with self.news:
            command = self.commands.get(report["command_id"])
            if command and report["instance"] in command.invocations:
                command.invocations[report["instance"]].report(report)


RUN = RunCommand(latency=float(os.environ.get("RMU_TWIN_SSM_LATENCY", "1.0")))


@mend(SimpleSystemManagerResponse)
def send_command(self: Any) -> ActionResult:
    """Queue a command.

    Raises: InvalidInstanceId, InvalidDocument, InvalidParameters.
    """
    name = self._get_param("DocumentName")
    given = self._get_param("Parameters", {}) or {}
    script = script_of(_document(self, name), given, lambda key: _stored(self, key))
    timeout = int(self._get_param("TimeoutSeconds") or DEFAULT_DELIVERY_TIMEOUT)
    if timeout < 30:
        raise refuse("ValidationException", "Value at 'timeoutSeconds' must be greater than or equal to 30")
    instances = list(self._get_param("InstanceIds", []) or [])
    for instance in instances:
        if not _running(self, instance) or not RUN.online(instance):
            raise refuse("InvalidInstanceId", f"Instances [[{instance}]] not in a valid state for account")
    instances += [one for one in _targeted(self) if one not in instances]
    command = Command(name.split("/")[-1], self._get_param("Comment", ""), given, timeout, script)
    RUN.send(command, instances)
    return ActionResult({"Command": _command_shape(command)})


def _document(self: Any, name: str) -> dict[str, Any]:
    short = name.split("/")[-1]
    if short == "AWS-RunShellScript":
        return RUN_SHELL_SCRIPT
    documents = self.ssm_backend._documents
    if short not in documents:
        raise refuse("InvalidDocument", f"Document {short} does not exist")
    version = self._get_param("DocumentVersion") or "$DEFAULT"
    found = documents[short].find(document_version=None if version.startswith("$") else version)
    return parse(found.content)


def _stored(self: Any, name: str) -> str:
    found = self.ssm_backend.get_parameters([name])
    if name not in found:
        raise refuse("InvalidParameters", f"parameter {name} is not in the parameter store")
    return str(found[name].value)


def _running(self: Any, instance: str) -> bool:
    found = ec2_backends[self.current_account][self.region].get_instance_by_id(instance)
    return found is not None and found.state == "running"


def _targeted(self: Any) -> list[str]:
    backend = ec2_backends[self.current_account][self.region]
    chosen: list[str] = []
    for target in self._get_param("Targets", []) or []:
        if target["Key"] == "InstanceIds":
            chosen += target["Values"]
        else:
            found = backend.all_reservations(filters={target["Key"]: target["Values"]})
            chosen += [one.id for reservation in found for one in reservation.instances]
    return [one for one in dict.fromkeys(chosen) if _running(self, one) and RUN.online(one)]


def _command(self: Any) -> Command:
    command = RUN.commands.get(self._get_param("CommandId"))
    if command is None:
        raise refuse("InvalidCommandId", "Invalid command id.")
    return command


@mend(SimpleSystemManagerResponse)
def get_command_invocation(self: Any) -> ActionResult:
    """Answer one invocation.

    Raises: InvocationDoesNotExist, for a moment even straight after SendCommand.
    """
    now = time.time()
    command = RUN.commands.get(self._get_param("CommandId"))
    one = command.invocations.get(self._get_param("InstanceId")) if command else None
    if command is None or one is None or now < command.sent + INVISIBLE_SECONDS:
        raise refuse("InvocationDoesNotExist", "An error occurred (InvocationDoesNotExist)")
    status = one.status(now, RUN.latency)
    told = status in ENDED
    return ActionResult(
        {
            "CommandId": command.id,
            "InstanceId": one.instance,
            "Comment": command.comment,
            "DocumentName": command.document,
            "PluginName": "aws:runShellScript",
            "ResponseCode": one.exit_code if told else -1,
            "ExecutionStartDateTime": _iso(one.delivered) if one.delivered else "",
            "ExecutionElapsedTime": f"PT{one.ended - one.delivered:.3f}S"
            if told and one.delivered and one.ended
            else "",
            "ExecutionEndDateTime": _iso(one.ended) if told and one.ended else "",
            "Status": status,
            "StatusDetails": one.details if told else DETAILS.get(status, status),
            # The API shows nothing until the end, and cuts what it shows.
            "StandardOutputContent": one.stdout[:STDOUT_LIMIT] if told else "",
            "StandardOutputUrl": "",
            "StandardErrorContent": one.stderr[:STDERR_LIMIT] if told else "",
            "StandardErrorUrl": "",
        }
    )


@mend(SimpleSystemManagerResponse)
def list_command_invocations(self: Any) -> ActionResult:
    """List invocations, with 2,500 characters of output when details are asked for."""
    now, details = time.time(), bool(self._get_param("Details", False))
    instance, wanted = self._get_param("InstanceId"), self._get_param("CommandId")
    rows = []
    for command in list(RUN.commands.values()):
        for one in command.invocations.values():
            if (wanted and command.id != wanted) or (instance and one.instance != instance):
                continue
            rows.append(_invocation_row(one, now, details))
    return ActionResult({"CommandInvocations": rows})


def _invocation_row(one: Invocation, now: float, details: bool) -> dict[str, Any]:
    status = one.status(now, RUN.latency)
    plugin = {
        "Name": "aws:runShellScript",
        "Status": status,
        "ResponseCode": one.exit_code,
        "Output": one.stdout[:LIST_OUTPUT_LIMIT] if status in ENDED else "",
    }
    return {
        "CommandId": one.command.id,
        "InstanceId": one.instance,
        "Comment": one.command.comment,
        "DocumentName": one.command.document,
        "RequestedDateTime": _when(one.command.sent),
        "Status": status,
        "StatusDetails": one.details if status in ENDED else DETAILS.get(status, status),
        "CommandPlugins": [plugin] if details else [],
    }


@mend(SimpleSystemManagerResponse)
def list_commands(self: Any) -> ActionResult:
    """List commands, newest first."""
    instance = self._get_param("InstanceId")
    commands = [_command(self)] if self._get_param("CommandId") else list(RUN.commands.values())
    shown = [one for one in commands if not instance or instance in one.invocations]
    return ActionResult({"Commands": [_command_shape(one) for one in reversed(shown)]})


@mend(SimpleSystemManagerResponse)
def cancel_command(self: Any) -> ActionResult:
    """Ask a command to stop; nothing is promised."""
    RUN.cancel(_command(self), self._get_param("InstanceIds", []) or [])
    return EmptyResult()


@mend(SimpleSystemManagerResponse)
def describe_instance_information(self: Any) -> ActionResult:
    """List the instances whose agent has ever called and that still run."""
    rows = [_information(one) for one in RUN.agents if _running(self, one)]
    for wanted in self._get_param("Filters", []) or self._get_param("InstanceInformationFilterList", []) or []:
        key, values = wanted.get("Key", wanted.get("key")), wanted.get("Values", wanted.get("valueSet"))
        if key == "InstanceIds":
            rows = [row for row in rows if row["InstanceId"] in values]
        elif key == "PingStatus":
            rows = [row for row in rows if row["PingStatus"] in values]
    return ActionResult({"InstanceInformationList": rows})


def _information(instance: str) -> dict[str, Any]:
    agent = RUN.agents[instance]
    return {
        "InstanceId": instance,
        "PingStatus": "Online" if RUN.online(instance) else "ConnectionLost",
        "LastPingDateTime": _when(agent.last),
        "RegistrationDate": _when(agent.first),
        "AgentVersion": "3.3.2746.0",
        "IsLatestVersion": True,
        "PlatformType": "Linux",
        "PlatformName": "Debian GNU/Linux",
        "PlatformVersion": "13",
        "ResourceType": "EC2Instance",
    }


def _command_shape(command: Command) -> dict[str, Any]:
    now = time.time()
    statuses = [one.status(now, RUN.latency) for one in command.invocations.values()]
    status = command.status(now, RUN.latency)
    return {
        "CommandId": command.id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "Parameters": command.parameters,
        "InstanceIds": list(command.invocations),
        "RequestedDateTime": _when(command.sent),
        "ExpiresAfter": _when(command.sent + command.delivery_timeout),
        "Status": status,
        "StatusDetails": DETAILS.get(status, status),
        "TargetCount": len(statuses),
        "CompletedCount": sum(one in ENDED for one in statuses),
        "ErrorCount": sum(one in {"Failed", "TimedOut"} for one in statuses),
        "TimeoutSeconds": command.delivery_timeout,
    }


def _when(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _iso(seconds: float) -> str:
    return _when(seconds).isoformat()
