"""SNS that brings its messages: to who has confirmed, and only from whom the topic's policy admits.

An email subscription is pending until the person clicks, which is the gate's call `confirm`; before that it gets
nothing. What arrives is noted in `deliveries`.
"""

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.sns.models import SNSBackend, Subscription, Topic, sns_backends
from moto.sns.responses import SNSResponse

from ratemyunit_ops.twin.gate import outbox
from ratemyunit_ops.twin.gate.deliveries import Delivery, note
from ratemyunit_ops.twin.gate.mend import ACCOUNT, mend, refuse

# Amazon's own queues and functions need nobody's consent.
CONFIRMED_AT_ONCE = ("sqs", "lambda", "firehose", "application")
# Of HTTP subscriptions: three at once, then backed off; in all 50 (the default delivery policy has three).
RETRIES = 50
ALARMS = "cloudwatch.amazonaws.com"

_subscribe = SNSBackend.subscribe
_publish = SNSBackend.publish
_publish_to = Subscription.publish
_list = SNSResponse.list_subscriptions
_list_by_topic = SNSResponse.list_subscriptions_by_topic
_answer_subscribe = SNSResponse.subscribe

_refusing = False


class NotSent(Exception):
    """A topic that a service may not publish to, or that is not there; its text says why."""


def refuse_all(refusing: bool) -> None:
    """Let every Publish fail from now on, or no longer."""
    global _refusing
    _refusing = refusing


def confirm(endpoint: str | None) -> list[str]:
    """Be the person who clicks the link: confirm what is pending for an endpoint, or for everybody."""
    confirmed = []
    for backend in list(sns_backends[ACCOUNT].values()):
        for one in list(backend.subscriptions.values()):
            if _pending(one) and endpoint in (None, one.endpoint):
                one.attributes["PendingConfirmation"] = "false"
                confirmed.append(one.arn)
    return confirmed


def send(arn: str, subject: str, message: str, *, service: str | None = None) -> None:
    """Publish as a service does; one that is trusted by a role of its own names none.

    Raises NotSent.
    """
    region = arn.split(":")[3]
    topic = sns_backends[ACCOUNT][region].topics.get(arn)
    if topic is None:
        raise NotSent(f"{arn} does not exist")
    if service and not _admits(topic, service):
        raise NotSent(f"the policy of {arn} does not let {service} publish")
    # The AWS-managed key admits no service, and cannot be told to (repost.aws/knowledge-center/
    # cloudwatch-configure-alarm-sns).
    if service and topic.kms_master_key_id == "alias/aws/sns":
        raise NotSent(f"{arn} is encrypted with alias/aws/sns, which {service} may not use")
    sns_backends[ACCOUNT][region].publish(message, arn=arn, subject=subject[:100])


def _admits(topic: Topic, service: str) -> bool:
    return any(_statement_admits(one, service) for one in json.loads(topic.policy).get("Statement", []))


def _statement_admits(statement: dict[str, Any], service: str) -> bool:
    principal = statement.get("Principal")
    named = principal.get("Service", []) if isinstance(principal, dict) else []
    services = [named] if isinstance(named, str) else named
    # The policy that a topic is born with says `everybody, for this account`: alarms act for it, EventBridge does not.
    everybody = principal in ("*", {"AWS": "*"})
    meant = service in services or (everybody and (service == ALARMS or not statement.get("Condition")))
    actions = statement.get("Action", [])
    actions = [actions] if isinstance(actions, str) else actions
    allowed = statement.get("Effect") == "Allow"
    return allowed and meant and any(one.lower() in ("sns:publish", "sns:*", "*") for one in actions)


def _pending(subscription: Subscription) -> bool:
    return str(subscription.attributes.get("PendingConfirmation")).lower() == "true"


@mend(SNSBackend)
def subscribe(self: SNSBackend, topic_arn: str, endpoint: str, protocol: str) -> Subscription:
    """Subscribe; people must confirm."""
    known = set(self.subscriptions)
    subscription = _subscribe(self, topic_arn, endpoint, protocol)
    if subscription.arn not in known:
        pending = "false" if protocol in CONFIRMED_AT_ONCE else "true"
        subscription.attributes["PendingConfirmation"] = pending
    return subscription


@mend(SNSBackend)
def publish(self: SNSBackend, message: str, arn: str | None, **more: Any) -> str:
    """Publish, unless SNS refuses everything."""
    if _refusing:
        raise refuse("InternalError", "SNS refuses in this twin: rmu twin fault sns-refuses --clear")
    return _publish(self, message, arn, **more)


def _bring(self: Subscription, message: str, message_id: str, **more: Any) -> None:
    """Bring a message to one subscriber, if it has confirmed."""
    if self.protocol in CONFIRMED_AT_ONCE:
        _publish_to(self, message, message_id, **more)
        return
    if _pending(self) or not _wants(self, message, more.get("message_attributes")):
        return
    if more.get("message_structure") == "json":
        message = self._parse_message_structure(message, self.protocol)
    subject = more.get("subject") or "AWS Notification Message"
    delivery = note(Delivery("sns", self.topic.name, self.protocol, self.endpoint, subject, message))
    if self.protocol in ("http", "https"):
        envelope = self.get_post_data(message, message_id, more.get("subject"))
        headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
        outbox.put(outbox.Post("POST", self.endpoint, headers, json.dumps(envelope), RETRIES), delivery)


Subscription.publish = _bring  # type: ignore[method-assign, assignment]


def _wants(subscription: Subscription, message: str, attributes: dict[str, Any] | None) -> bool:
    matcher = subscription._filter_policy_matcher
    return matcher is None or matcher.matches(attributes, message)


def _subscribed(self: Any) -> ActionResult:
    """Answer the ARN only where it is asked for, or nobody has to confirm."""
    answer = _answer_subscribe(self)
    result: Any = answer.result
    arn = result["SubscriptionArn"]
    if _pending(self.backend.subscriptions[arn]) and not self._get_bool_param("ReturnSubscriptionArn", False):
        return ActionResult({"SubscriptionArn": "pending confirmation"})
    return answer


SNSResponse.subscribe = _subscribed  # type: ignore[method-assign]


@mend(SNSResponse)
def list_subscriptions(self: Any) -> ActionResult:
    """List subscriptions; who has not confirmed has no ARN to show."""
    return _told(_list(self))


@mend(SNSResponse)
def list_subscriptions_by_topic(self: Any) -> ActionResult:
    """List a topic's subscriptions; who has not confirmed has no ARN to show."""
    return _told(_list_by_topic(self))


def _told(answer: ActionResult) -> ActionResult:
    result: Any = answer.result
    rows = [
        {
            "SubscriptionArn": "PendingConfirmation" if _pending(one) else one.arn,
            "Owner": one.owner,
            "Protocol": one.protocol,
            "Endpoint": one.endpoint,
            "TopicArn": one.topic_arn,
        }
        for one in result["Subscriptions"]
    ]
    return ActionResult({"Subscriptions": rows, "NextToken": result["NextToken"]})
