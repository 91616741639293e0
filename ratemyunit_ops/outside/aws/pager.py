"""SNS, EventBridge and its scheduler: messages to people now, and later unless they are called off.

Topics, the schedules' group and the role that sends for them are Terraform's; their names are places.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from ratemyunit_ops.errors import Failed, Refused
from ratemyunit_ops.model import Topic
from ratemyunit_ops.outside.aws.session import Account, Said
from ratemyunit_ops.ports import Places

LONGEST_SUBJECT = 99  # "less than 100 characters", no line breaks (SNS's Publish)
TOPICS: tuple[Topic, ...] = ("critical", "alerts")
UNCONFIRMED = ("PendingConfirmation", "Deleted")


class SnsPager:
    """The two topics of an environment, its rule for chat, and the schedules in its group."""

    def __init__(self, account: Account, places: Places, environment: str) -> None:
        self._account = account
        self._places = places
        self._env = environment

    def send(self, topic: Topic, subject: str, text: str) -> None:
        """Publish to a topic. SNS has no token: a message whose answer got lost may come twice, better than never."""
        line = " ".join(subject.split())[:LONGEST_SUBJECT]
        self._account.act("sns", "Publish", TopicArn=self._topic(topic), Subject=line, Message=text)

    def chat(self, subject: str, text: str) -> None:
        """Put an event on the bus. Raises Failed where the bus took the call and refused the event in it."""
        detail = {"environment": self._env, "subject": subject, "text": text}
        entry = {"Source": "rmu", "DetailType": "incident", "Detail": json.dumps(detail)}
        answer = self._account.act("events", "PutEvents", Entries=[entry])
        if answer.get("FailedEntryCount"):
            refused = answer["Entries"][0]
            raise Failed(
                f"EventBridge refused the event: {refused.get('ErrorCode')} {refused.get('ErrorMessage', '')}".strip(),
                state="Chat was not told.",
                next="rmu doctor",
            )

    def schedule(self, name: str, at: datetime, topic: Topic, text: str, *, every: timedelta, until: datetime) -> None:
        """Make the schedule, or make it anew where it is there."""
        minutes = max(round(every / timedelta(minutes=1)), 1)
        wanted: dict[str, Any] = {
            "Name": name,
            "GroupName": self._place("escalation_group"),
            "ScheduleExpression": f"rate({minutes} minutes)",
            "StartDate": at.astimezone(UTC),
            "EndDate": until.astimezone(UTC),
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": self._topic(topic), "RoleArn": self._place("escalation_role"), "Input": text},
        }
        try:
            self._account.act("scheduler", "CreateSchedule", **wanted)
        except Said as why:
            if why.code != "ConflictException":
                raise
            self._account.act("scheduler", "UpdateSchedule", **wanted)

    def cancel(self, name: str) -> None:
        """Delete the schedule; one that is gone, or was never made, is enough."""
        try:
            self._account.act("scheduler", "DeleteSchedule", Name=name, GroupName=self._place("escalation_group"))
        except Said as why:
            if why.code != "ResourceNotFoundException":
                raise

    def listening(self, topic: Topic) -> int:
        """Count the confirmed subscriptions of a topic."""
        return sum(1 for s in self._subscriptions(topic) if s["SubscriptionArn"] not in UNCONFIRMED)

    def pending(self) -> tuple[str, ...]:
        """List the subscriptions that wait to be confirmed. SNS drops them after two days."""
        return tuple(
            f"{topic} {s['Endpoint']}"
            for topic in TOPICS
            for s in self._subscriptions(topic)
            if s["SubscriptionArn"] == "PendingConfirmation"
        )

    def _subscriptions(self, topic: Topic) -> list[dict[str, Any]]:
        return self._account.pages("sns", "ListSubscriptionsByTopic", "Subscriptions", TopicArn=self._topic(topic))

    def _topic(self, topic: Topic) -> str:
        return self._place(f"topic_{topic}")

    def _place(self, name: str) -> str:
        found = self._places.all().get(name)
        if not found:
            raise Refused(f"there is no place {name}: the stack is older than incidents are", next="rmu infra apply")
        return found
