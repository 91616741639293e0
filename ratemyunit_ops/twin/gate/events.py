"""EventBridge's default bus: what AWS's services tell, which rules want it, and where their targets carry it.

Targets: SNS topics, CloudWatch Logs groups, API destinations (an HTTP post with the connection's header), and whatever
moto carries by itself.
"""

import base64
import copy
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.core.utils import unix_time_millis
from moto.events.models import Connection, EventsBackend, Rule, events_backends
from moto.logs.models import LogsBackend, logs_backends

from ratemyunit_ops.twin.gate import outbox, sns
from ratemyunit_ops.twin.gate.deliveries import Delivery, note
from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend

RETRIES = 185

Event = dict[str, Any]

_send_to_targets = Rule.send_to_targets


def emit(region: str, source: str, detail_type: str, detail: Event, resources: list[str]) -> None:
    """Tell the default bus what happened in one of AWS's services."""
    event: Event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": time.time(),
        "region": region,
        "resources": resources,
        "detail": detail,
    }
    for rule in list(events_backends[ACCOUNT][region].event_buses["default"].rules.values()):
        rule.send_to_targets(event)  # type: ignore[arg-type]


@mend(Rule)
def send_to_targets(self: Rule, original_event: Any, transform_input: bool = True) -> None:
    """Carry an event to every target of a rule that wants it; one that cannot be reached keeps no other waiting."""
    # A rule that goes by the clock has no pattern, and moto would let it want everything.
    if self.state != "ENABLED" or not self.event_pattern.get_pattern():
        return
    if self.event_pattern.matches_event(original_event):
        for target in list(self.targets):
            carry(self, target, original_event)


def carry(rule: Rule, target: Event, event: Any) -> None:
    """Bring an event, or what the target makes of it, to one target."""
    service, resource = target["Arn"].split(":")[2], target["Arn"].split(":", 5)[5]
    told = {**event, "time": _stamp(event["time"])}
    told.pop("ingestion-time", None)
    if service == "sns":
        _to_topic(rule, target, told)
    elif service == "logs":
        _to_log_group(rule, resource.split(":")[1], _text(target, told))
    elif service == "events" and resource.startswith("api-destination/"):
        _to_destination(rule, target, resource.split("/")[1], _text(target, told))
    else:
        _by_moto(rule, target, event)


def _by_moto(rule: Rule, target: Event, event: Any) -> None:
    apart = copy.copy(rule)
    apart.targets = [target]
    _send_to_targets(apart, event)


def _text(target: Event, event: Event) -> str:
    """Make of an event what a target wants: all of it, a part, a constant, or a text with parts put in."""
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        return json.dumps(_at(target["InputPath"], event))
    if target.get("InputTransformer"):
        return _transformed(target["InputTransformer"], event)
    return json.dumps(event)


def _transformed(transformer: Event, event: Event) -> str:
    """Put parts of an event into a template; inside quotes a text is put in as it is, and nothing escapes it.

    The guide promises JSON only where a variable stands for a whole value, and says of its own variables that their
    contents are not escaped (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html).
    """
    template: str = transformer["InputTemplate"]
    parts = {name: _at(path, event) for name, path in transformer.get("InputPathsMap", {}).items()}
    parts |= {"aws.events.event.json": event, "aws.events.event.ingestion-time": event["time"]}
    quoted = False
    made: list[str] = []
    at = 0
    while at < len(template):
        name, closed = (
            (template[at + 1 :].partition(">")[0], ">" in template[at:]) if template[at] == "<" else ("", False)
        )
        if closed and name in parts:
            made.append(_put_in(parts[name], quoted))
            at += len(name) + 2
            continue
        if template[at] == '"' and template[at - 1 : at] != "\\":
            quoted = not quoted
        made.append(template[at])
        at += 1
    return "".join(made)


def _put_in(value: Any, quoted: bool) -> str:
    if not quoted:
        return json.dumps(value)
    return value if isinstance(value, str) else json.dumps(value)


def _at(path: str, event: Event) -> Any:
    """Read a path such as `$.detail.state.value`; what is not there is null."""
    value: Any = event
    for part in path.removeprefix("$").strip(".").split(".") if path != "$" else ():
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _to_topic(rule: Rule, target: Event, event: Event) -> None:
    try:
        sns.send(target["Arn"], "", _plain(_text(target, event)), service="events.amazonaws.com")
    except Exception as why:  # noqa: BLE001  (whatever SNS says, the other targets go on)
        note(Delivery("sns", rule.name, "sns", target["Arn"], "", "", status=f"failed: {why}"))


def _plain(text: str) -> str:
    """Take a text out of its quotes: a template of one JSON string arrives as that string."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text


def _to_log_group(rule: Rule, group: str, text: str) -> None:
    backend = logs_backends[ACCOUNT][rule.region_name]
    stream = str(uuid.uuid4())
    delivery = note(Delivery("log-group", rule.name, "logs", group, "", text))
    refused = [action for action in ("CreateLogStream", "PutLogEvents") if not _admits(backend, group, action)]
    if refused:
        delivery.status = f"failed: no policy lets events.amazonaws.com {refused[0]} in {group}"
        return
    try:
        backend.create_log_stream(group, stream)
        backend.put_log_events(group, stream, [{"timestamp": int(unix_time_millis()), "message": text}])
    except Exception as why:  # noqa: BLE001  (a group that is not there keeps no other target waiting)
        delivery.status = f"failed: {why}"


def _admits(backend: LogsBackend, group: str, action: str) -> bool:
    """Tell whether a resource policy lets EventBridge do this in a group.

    Nobody is told of an event that is refused. Conditions are believed, but for the making of a stream: that takes
    none (https://github.com/aws-samples/serverless-patterns/pull/618).
    """
    for policy in backend.resource_policies.values():
        for statement in json.loads(policy.policy_document)["Statement"]:
            actions, services = statement["Action"], statement["Principal"].get("Service", [])
            named = (
                f"logs:{action}" in ([actions] if isinstance(actions, str) else actions)
                and "events.amazonaws.com" in ([services] if isinstance(services, str) else services)
                and f":log-group:{group}:" in str(statement["Resource"])
            )
            if named and not (action == "CreateLogStream" and statement.get("Condition")):
                return True
    return False


def _to_destination(rule: Rule, target: Event, name: str, text: str) -> None:
    backend = events_backends[ACCOUNT][rule.region_name]
    destination = backend.destinations[name]
    own = target.get("HttpParameters") or {}
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "Amazon/EventBridge/ApiDestinations",
        **_authorization(_connection(backend, destination.connection_arn)),
        **(own.get("HeaderParameters") or {}),
    }
    query = "&".join(f"{key}={value}" for key, value in (own.get("QueryStringParameters") or {}).items())
    url = destination.invocation_endpoint + (f"?{query}" if query else "")
    retries = int((target.get("RetryPolicy") or {}).get("MaximumRetryAttempts", RETRIES))
    delivery = note(Delivery("api-destination", rule.name, "https", url, "", text))
    outbox.put(outbox.Post(destination.http_method, url, headers, text, retries), delivery)


def _connection(backend: EventsBackend, arn: str) -> Connection:
    return backend.connections[arn.split("/")[1]]


def _authorization(connection: Connection) -> dict[str, str]:
    """Make the headers by which a connection says who it is; OAuth is beyond the twin."""
    given: dict[str, Any] = connection.auth_parameters
    more = (given.get("InvocationHttpParameters") or {}).get("HeaderParameters") or []
    headers = {one["Key"]: one["Value"] for one in more}
    if connection.authorization_type == "API_KEY":
        key = given["ApiKeyAuthParameters"]
        headers[key["ApiKeyName"]] = key["ApiKeyValue"]
    if connection.authorization_type == "BASIC":
        basic = given["BasicAuthParameters"]
        pair = f"{basic['Username']}:{basic['Password']}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    return headers


def _stamp(at: Any) -> str:
    if isinstance(at, int | float):
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(at)
