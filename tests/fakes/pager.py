"""What people were told: topics that may refuse, and schedules that send by themselves until they are called off."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ratemyunit_ops.model import Topic
from tests.fakes.clock import FakeClock
from tests.fakes.line import Line


@dataclass(frozen=True)
class Message:
    """One message as it came out."""

    at: datetime
    to: str
    subject: str
    text: str


@dataclass
class Post:
    """All that was sent and is still to be sent in one world."""

    clock: FakeClock
    sent: list[Message] = field(default_factory=list)
    schedules: dict[str, tuple[datetime, Topic, str]] = field(default_factory=dict)
    listeners: dict[Topic, int] = field(default_factory=lambda: {"critical": 1, "alerts": 1})
    unconfirmed: list[str] = field(default_factory=list)

    def of(self, to: str) -> list[Message]:
        return [m for m in self.sent if m.to == to]

    def put(self, to: str, subject: str, text: str) -> None:
        self.sent.append(Message(self.clock.now(), to, subject, text))

    def keep(self, name: str, at: datetime, topic: Topic, text: str, every: timedelta, until: datetime) -> None:
        """Send at a moment and from then on again and again, as long as this very schedule stands."""
        mine = (at, topic, text)
        self.schedules[name] = mine

        def ring() -> None:
            if self.schedules.get(name) is not mine:
                return
            if self.clock.now() >= until:
                del self.schedules[name]
                return
            self.put(topic, "", text)
            self.clock.later(every.total_seconds(), ring)

        self.clock.later((at - self.clock.now()).total_seconds(), ring)


class FakePager:
    """SNS and the scheduler, as one process meets them."""

    def __init__(self, post: Post, line: Line) -> None:
        self._post = post
        self._line = line

    def send(self, topic: Topic, subject: str, text: str) -> None:
        self._line.call("pager.send", lambda: self._post.put(topic, subject, text), changes=True)

    def chat(self, subject: str, text: str) -> None:
        self._line.call("pager.chat", lambda: self._post.put("chat", subject, text), changes=True)

    def schedule(self, name: str, at: datetime, topic: Topic, text: str, *, every: timedelta, until: datetime) -> None:
        self._line.call("pager.schedule", lambda: self._post.keep(name, at, topic, text, every, until), changes=True)

    def cancel(self, name: str) -> None:
        self._line.call("pager.cancel", lambda: self._post.schedules.pop(name, None), changes=True)

    def listening(self, topic: Topic) -> int:
        return self._line.call("pager.listening", lambda: self._post.listeners[topic])

    def pending(self) -> tuple[str, ...]:
        return self._line.call("pager.pending", lambda: tuple(self._post.unconfirmed))
