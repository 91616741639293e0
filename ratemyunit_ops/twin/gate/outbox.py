"""HTTP posts that AWS makes on its own account: kept here until the courier, a keeper outside, has made them.

The gate sits in the twin's network, from where a server on this machine's loopback cannot be reached. What is refused
is tried again as API destinations are: 401, 407, 409, 429 and 5xx, or no answer at all, each time after twice as long
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html).
"""

import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ratemyunit_ops.twin.gate.deliveries import Delivery

AGAIN = (401, 407, 409, 429)
LONGEST_WAIT_SECONDS = 60.0
# A courier that died with a post in hand does not keep it: somebody else is given it after that long.
HANDED_SECONDS = 15.0


@dataclass
class Post:
    """One request that has to be made."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    retries: int
    number: int = field(default_factory=itertools.count(1).__next__)
    tries: int = 0
    due: float = 0.0


_LOCK = threading.Lock()
_POSTS: dict[int, tuple[Post, Delivery]] = {}


def put(post: Post, delivery: Delivery) -> None:
    """Let a request be made; what comes of it is noted in the delivery."""
    delivery.status = "on its way"
    with _LOCK:
        _POSTS[post.number] = (post, delivery)


def due() -> list[dict[str, Any]]:
    """Hand out what should be posted now."""
    now = time.time()
    with _LOCK:
        handed = [post for post, _ in _POSTS.values() if post.due <= now]
        for post in handed:
            post.due = now + HANDED_SECONDS
        return [asdict(post) for post in handed]


def posted(report: Mapping[str, Any]) -> None:
    """Take what came of a post: its `number`, and the `status` that was answered, 0 for none."""
    with _LOCK:
        post, delivery = _POSTS.get(int(report["number"]), (None, None))
        if post is None or delivery is None:
            return
        status = int(report["status"])
        post.tries += 1
        delivery.tries = post.tries
        again = status == 0 or status >= 500 or status in AGAIN
        if again and post.tries <= post.retries:
            wait = min(2.0 ** (post.tries - 1), LONGEST_WAIT_SECONDS)
            post.due = time.time() + max(wait, float(report.get("retry_after") or 0))
            delivery.status = f"refused with {status}, tried again" if status else "unreachable, tried again"
            return
        del _POSTS[post.number]
        delivery.status = "delivered" if 200 <= status < 300 else f"given up after {post.tries}: {status}"
