"""An AWS endpoint in this process: moto, with an SSM Run Command that really asks somebody, and faults on the wire."""

from __future__ import annotations

import base64
import json
import socket
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Answer = tuple[int, dict[str, Any]]


@dataclass
class Agent:
    """The SSM agent of one instance, played by a function from parameters to (exit code, stdout)."""

    run: Callable[[dict[str, str]], tuple[int, str]]
    online: bool = True
    delivers: bool = True
    hidden_polls: int = 1
    running_polls: int = 1


@dataclass
class Invocation:
    """One command on one instance."""

    agent: Agent
    result: tuple[int, str] | None = None
    polls: int = 0


class RunCommand:
    """SSM Run Command: invisible at first, InProgress for a while, then an end."""

    def __init__(self) -> None:
        self.agents: dict[str, Agent] = {}
        self.sent: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self._invocations: dict[tuple[str, str], Invocation] = {}

    def answer(self, operation: str, body: dict[str, Any]) -> Answer | None:
        act = {
            "SendCommand": self._send,
            "GetCommandInvocation": self._look,
            "CancelCommand": self._cancel,
            "DescribeInstanceInformation": self._information,
        }.get(operation)
        return act(body) if act else None

    def _send(self, body: dict[str, Any]) -> Answer:
        unknown = [i for i in body["InstanceIds"] if i not in self.agents or not self.agents[i].online]
        if unknown:
            return error("InvalidInstanceId", f"Instances {unknown} not in a valid state for account")
        command = str(uuid.uuid4())
        self.sent.append(body)
        parameters = {name: values[0] for name, values in body["Parameters"].items()}
        for instance in body["InstanceIds"]:
            agent = self.agents[instance]
            result = agent.run(parameters) if agent.delivers else None
            self._invocations[(command, instance)] = Invocation(agent, result)
        return 200, {"Command": {"CommandId": command, "Status": "Pending"}}

    def _look(self, body: dict[str, Any]) -> Answer:
        one = self._invocations.get((body["CommandId"], body["InstanceId"]))
        if one is None or one.polls < one.agent.hidden_polls:
            if one is not None:
                one.polls += 1
            return error("InvocationDoesNotExist", "")
        one.polls += 1
        if one.polls <= one.agent.hidden_polls + one.agent.running_polls:
            return 200, told("InProgress", "InProgress", -1, "")
        if one.result is None:
            return 200, told("TimedOut", "DeliveryTimedOut", -1, "")
        code, out = one.result
        ended = "Success" if code == 0 else "Failed"
        return 200, told(ended, ended, code, out[:24_000])

    def _cancel(self, body: dict[str, Any]) -> Answer:
        self.cancelled.append(body["CommandId"])
        return 200, {}

    def _information(self, body: dict[str, Any]) -> Answer:
        wanted = body["Filters"][0]["Values"]
        rows = [
            {"InstanceId": i, "PingStatus": "Online" if a.online else "ConnectionLost"}
            for i, a in self.agents.items()
            if i in wanted
        ]
        return 200, {"InstanceInformationList": rows}


def told(status: str, details: str, code: int, out: str) -> dict[str, Any]:
    return {
        "Status": status,
        "StatusDetails": details,
        "ResponseCode": code,
        "StandardOutputContent": out,
        "StandardErrorContent": "",
    }


def error(code: str, message: str, **more: Any) -> Answer:
    return 400, {"__type": code, "message": message, **more}


def host_program(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, str]], tuple[int, str]]:
    """Play the host program: one request in, its answer as the last line of some output."""

    def run(parameters: dict[str, str]) -> tuple[int, str]:
        request = json.loads(base64.b64decode(parameters["request"]))
        return 0, "a line that is not the answer\n" + json.dumps(answer(request)) + "\n"

    return run


@dataclass
class Faults:
    """What is going to go wrong, by operation: answers lost after the call acted, and answers given in its place."""

    lose: Counter[str] = field(default_factory=Counter)
    instead: dict[str, list[Answer]] = field(default_factory=dict)


class StandIn:
    """The WSGI application: faults first, then Run Command, then moto."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self.ssm = RunCommand()
        self.faults = Faults()
        self.counts: Counter[str] = Counter()
        self.endpoint = ""

    def reset(self) -> None:
        """Forget agents, faults and counts; moto's records stay."""
        self.ssm, self.faults, self.counts = RunCommand(), Faults(), Counter()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rsplit(".", 1)[-1]
        self.counts[operation] += 1
        if self.faults.instead.get(operation):
            return answered(self.faults.instead[operation].pop(0), start_response)
        lost = self.faults.lose[operation] > 0
        chunks = list(self._act(operation, environ, start_response))
        if lost:
            self.faults.lose[operation] -= 1
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("the answer is lost on purpose")
        return chunks

    def _act(self, operation: str, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("AmazonSSM."):
            text = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            answer = self.ssm.answer(operation, json.loads(text or b"{}"))
            if answer is not None:
                return answered(answer, start_response)
            environ["wsgi.input"] = Again(text)
        chunks: Iterable[bytes] = self._moto(environ, start_response)
        return chunks


class Again:
    """A request's body, to be read once more."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def read(self, size: int = -1) -> bytes:
        end = len(self._text) if size < 0 else size
        given, self._text = self._text[:end], self._text[end:]
        return given


def answered(answer: Answer, start_response: StartResponse) -> Iterable[bytes]:
    status, body = answer
    text = json.dumps(body).encode()
    headers = [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(text)))]
    start_response(f"{status} whatever", headers)
    return [text]


@contextmanager
def running() -> Iterator[StandIn]:
    """Serve a stand-in on loopback."""
    app = StandIn()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    app.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield app
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
