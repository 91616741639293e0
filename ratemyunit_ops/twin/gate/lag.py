"""Reads that lag behind writes, as AWS's do now and then: a Describe call is answered as the same call was before.

Only the query protocol (EC2, Auto Scaling, load balancing, RDS): there rmu writes, and then waits for what it reads.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs

Serve = Callable[[dict[str, Any], Any], Iterable[bytes]]
Question = tuple[str, bytes]


@dataclass(frozen=True)
class Answer:
    """What was answered, and when."""

    at: float
    status: str
    headers: list[tuple[str, str]]
    body: bytes


class Lag:
    """What was answered less than `seconds` ago is answered again; 0 answers everything anew."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._answers: dict[Question, Answer] = {}
        self._lock = threading.Lock()

    def answer(self, environ: dict[str, Any], start_response: Any, serve: Serve) -> Iterable[bytes]:
        """Serve a call, or answer it as it was answered."""
        question = _question(environ) if self.seconds else None
        if question is None:
            return serve(environ, start_response)
        answer = self._known(question) or self._kept(question, _asked(environ, serve))
        start_response(answer.status, answer.headers)
        return [answer.body]

    def _known(self, question: Question) -> Answer | None:
        with self._lock:
            oldest = time.monotonic() - self.seconds
            self._answers = {one: answer for one, answer in self._answers.items() if answer.at >= oldest}
            return self._answers.get(question)

    def _kept(self, question: Question, answer: Answer) -> Answer:
        with self._lock:
            self._answers[question] = answer
        return answer


LAG = Lag()


def _question(environ: dict[str, Any]) -> Question | None:
    """Tell calls apart that only read, by whom they are signed for and what they ask; None for all others."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    action = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    scope = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition("/aws4_request")[0]
    return (scope, body) if action.startswith("Describe") else None


def _asked(environ: dict[str, Any], serve: Serve) -> Answer:
    told: list[Any] = []
    at = time.monotonic()
    body = b"".join(serve(environ, lambda status, headers, *_: told.extend((status, headers))))
    status, headers = told
    return Answer(at, status, headers, body)
