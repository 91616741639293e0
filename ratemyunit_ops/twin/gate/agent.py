"""Where guest agents call: a long poll for work, a report of what came of it, a sign of life."""

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from ratemyunit_ops.twin.gate.ssm import RUN

POLL_SECONDS = 20.0


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve one call of a guest agent."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    action = environ["PATH_INFO"].rpartition("/")[2]
    if action == "poll":
        return reply(start_response, RUN.next_for(query["instance"][0], POLL_SECONDS))
    if action == "ping":
        RUN.ping(query["instance"][0])
        return reply(start_response, None)
    if action == "update":
        RUN.update(body_of(environ))
        return reply(start_response, None)
    return reply(start_response, {"error": f"no such call: {action}"}, "404 Not Found")


def body_of(environ: dict[str, Any]) -> Any:
    """Read a request's JSON body; an empty one is None."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    return json.loads(environ["wsgi.input"].read(length)) if length else None


def reply(start_response: Any, value: Any, status: str = "200 OK") -> Iterable[bytes]:
    """Answer with JSON."""
    text = json.dumps(value).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]
