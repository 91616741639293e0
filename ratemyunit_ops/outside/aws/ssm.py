"""One command on several hosts over SSM: sent once, polled to its end, and never called done before it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ratemyunit_ops.errors import Failed, Unreachable
from ratemyunit_ops.outside.aws.session import Account, LostAnswer, Said
from ratemyunit_ops.ports import Clock, CommandResult

ENDED = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})
NEVER_RAN = frozenset({"DeliveryTimedOut", "Undeliverable", "InvalidPlatform", "AccessDenied"})

DELIVERY = timedelta(seconds=30)
"""How long SSM may try to hand a command over: the least it accepts."""
AGENT_PATIENCE = timedelta(seconds=30)
INVISIBLE = timedelta(seconds=20)
"""How long a command that was just sent may still be unknown."""
NEWS = timedelta(seconds=15)
"""How long after its own end a command may take to be told as ended."""
STDOUT_LIMIT = 24_000


@dataclass(frozen=True)
class Script:
    """A document and the values of its parameters."""

    document: str
    parameters: Mapping[str, str]
    title: str


class Commands:
    """SSM Run Command."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self._account = account
        self._clock = clock

    def run(self, script: Script, hosts: Sequence[str], *, deadline: timedelta) -> tuple[CommandResult, ...]:
        """Run a script on each host and wait for its end; `deadline` bounds the script itself.

        Raises:
            Unreachable: an agent does not answer, and nothing ran on any host.
            Failed: some host ran it and another did not, or how it ended is not known.
        """
        command = self._send(script, hosts, deadline)
        until = self._clock.monotonic() + (DELIVERY + deadline + NEWS).total_seconds()
        seen = {host: self._wait(command, host, until) for host in hosts}
        _all_ran(script.title, seen)
        return tuple(_result(host, answer) for host, answer in seen.items())

    def _send(self, script: Script, hosts: Sequence[str], deadline: timedelta) -> str:
        until = self._clock.monotonic() + AGENT_PATIENCE.total_seconds()
        while True:
            try:
                return self._send_once(script, hosts, deadline)
            except Said as why:
                # The whole command is refused where one agent is not registered, so sending again is safe.
                if why.code != "InvalidInstanceId":
                    raise
                silent = self._silent(hosts)
                if self._clock.monotonic() >= until:
                    raise _agent_down(silent or list(hosts)) from why
                self._clock.sleep(2)

    def _send_once(self, script: Script, hosts: Sequence[str], deadline: timedelta) -> str:
        try:
            # SendCommand has no idempotency token and botocore itself repeats one whose answer was lost: the script
            # would run twice. So it is sent once, and TimeoutSeconds bounds its delivery alone: the script's own
            # end is executionTimeout, or a late straggler could act after our undo.
            answer = self._account.act(
                "ssm",
                "SendCommand",
                once=True,
                DocumentName=script.document,
                InstanceIds=list(hosts),
                Parameters={
                    **{name: [value] for name, value in script.parameters.items()},
                    "executionTimeout": [str(_seconds(deadline))],
                },
                TimeoutSeconds=_seconds(DELIVERY),
                MaxConcurrency="100%",
                MaxErrors="100%",  # the default, 0, leaves hosts out once one has failed
                Comment=f"rmu {script.title}"[:100],
            )
        except LostAnswer as why:
            raise Failed(
                f"sending “{script.title}” to {', '.join(hosts)} got no answer; it was not sent again",
                state="The hosts may be doing it; each does it once and ends by itself.",
                next="rmu status",
            ) from why
        return str(answer["Command"]["CommandId"])

    def _silent(self, hosts: Sequence[str]) -> list[str]:
        listed = self._account.pages(
            "ssm",
            "DescribeInstanceInformation",
            "InstanceInformationList",
            Filters=[{"Key": "InstanceIds", "Values": list(hosts)}],
        )
        online = {row["InstanceId"] for row in listed if row["PingStatus"] == "Online"}
        return [host for host in hosts if host not in online]

    def _wait(self, command: str, host: str, until: float) -> dict[str, Any]:
        """Poll one invocation to its end. The waiter of boto3 would give up after 100 s."""
        sent = self._clock.monotonic()
        while True:
            answer = self._look(command, host)
            if answer is not None and answer["Status"] in ENDED:
                return answer
            now = self._clock.monotonic()
            if answer is None and now - sent > INVISIBLE.total_seconds():
                raise self._gave_up(command, host, "SSM took the command and does not know it")
            if now >= until:
                raise self._gave_up(command, host, "the command did not end in time")
            self._clock.sleep(0.25 if now - sent < 10 else 1)

    def _look(self, command: str, host: str) -> dict[str, Any] | None:
        try:
            return self._account.ask("ssm", "GetCommandInvocation", CommandId=command, InstanceId=host)
        except Said as why:
            if why.code != "InvocationDoesNotExist":  # usual for a moment after SendCommand
                raise
            return None
        except Unreachable as why:  # the command runs on without us; a network that comes back in time is no failure
            return {"Status": why.what}

    def _gave_up(self, command: str, host: str, why: str) -> Failed:
        try:
            self._account.act("ssm", "CancelCommand", CommandId=command)
            asked = "SSM was asked to cancel it, which promises nothing"
        except (Said, Unreachable, LostAnswer):
            asked = "it could not be cancelled"
        return Failed(
            f"{host}: {why}; {asked}",
            state="The host may still be doing it; it does it once and ends by itself.",
            next="rmu status",
        )


def _all_ran(title: str, seen: Mapping[str, dict[str, Any]]) -> None:
    silent = [host for host, answer in seen.items() if _details(answer) in NEVER_RAN]
    if silent and len(silent) == len(seen):
        raise _agent_down(silent)
    if silent:
        raise Failed(
            f"“{title}” never reached {', '.join(silent)}: the SSM agent does not answer",
            state=f"It ran on {', '.join(h for h in seen if h not in silent)}.",
            next="rmu host list",
        )
    late = [host for host, answer in seen.items() if answer["Status"] in {"TimedOut", "Cancelled"}]
    if late:
        raise Failed(
            f"“{title}” was cut off on {', '.join(late)}: {seen[late[0]].get('StatusDetails')}",
            state="What it had done until then is done.",
            next="rmu status",
        )


def _agent_down(hosts: Sequence[str]) -> Unreachable:
    return Unreachable(
        f"the SSM agent of {', '.join(hosts)} does not answer (down, not registered yet, or another account)",
        next="rmu host list   (then: rmu host replace ID)",
    )


def _details(answer: dict[str, Any]) -> str:
    return str(answer.get("StatusDetails", "")).replace(" ", "")


def _result(host: str, answer: dict[str, Any]) -> CommandResult:
    stdout, stderr = str(answer["StandardOutputContent"]), str(answer["StandardErrorContent"])
    return CommandResult(host=host, exit_code=int(answer["ResponseCode"]), stdout=stdout, stderr=stderr)


def was_cut(result: CommandResult) -> bool:
    """Tell whether SSM cut the output: it keeps 24,000 characters and says so only in the text."""
    return len(result.stdout) >= STDOUT_LIMIT or result.stdout.rstrip().endswith("--output truncated--")


def _seconds(length: timedelta) -> int:
    return max(1, round(length.total_seconds()))
