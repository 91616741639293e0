"""What SNS and EventBridge brought to somebody, kept where a test, or a person with `less`, reads it."""

import itertools
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

MOST = 5000

_LOCK = threading.Lock()


@dataclass
class Delivery:
    """One message at one endpoint. `number` counts up; `at` is when it was sent, in unix seconds."""

    via: str
    """`sns`, `api-destination` or `log-group`."""
    source: str
    """The topic's name, or the rule's."""
    protocol: str
    endpoint: str
    subject: str
    message: str
    status: str = "delivered"
    tries: int = 1
    at: float = field(default_factory=time.time)
    number: int = field(default_factory=itertools.count(1).__next__)


_KEPT: list[Delivery] = []


def note(delivery: Delivery) -> Delivery:
    """Keep a delivery; the oldest are forgotten."""
    with _LOCK:
        _KEPT.append(delivery)
        del _KEPT[:-MOST]
    return delivery


def deliveries(after: int = 0) -> list[dict[str, Any]]:
    """Answer the deliveries numbered higher than `after`, the oldest first."""
    with _LOCK:
        return [asdict(one) for one in _KEPT if one.number > after]
