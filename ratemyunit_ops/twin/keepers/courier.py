"""The courier: makes the HTTP posts of API destinations and SNS from outside the twin's network.

A test's server, or a person's, listens on this machine's loopback, which nothing inside can reach.
"""

import urllib.error
import urllib.request
from typing import Any

from ratemyunit_ops.twin.inner import call
from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.keepers.say import say
from ratemyunit_ops.twin.site import Site

# EventBridge waits that long for an API destination, and no longer.
PATIENCE_SECONDS = 5


class Courier:
    """Posts that the gate wants made."""

    name = "courier"

    def __init__(self, site: Site, record: Record) -> None:
        self.site = site

    def step(self, wanted: dict[str, Any]) -> None:
        """Make every post that is due, and tell what came of it."""
        for post in call(self.site, "outbox"):
            status, retry_after = _made(post)
            call(self.site, "posted", {"number": post["number"], "status": status, "retry_after": retry_after})
            say(f"courier: {post['method']} {post['url']}: {status or 'no answer'}")


def _made(post: dict[str, Any]) -> tuple[int, float]:
    """Answer the status, 0 where there was none, and for how many seconds the other side wants to be left alone."""
    if not post["url"].startswith(("http://", "https://")):
        return 400, 0
    request = urllib.request.Request(  # noqa: S310  (its scheme was looked at)
        post["url"], data=post["body"].encode(), headers=post["headers"], method=post["method"]
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            return int(answer.status), 0
    except urllib.error.HTTPError as answer:
        wait = answer.headers.get("Retry-After", "")
        return answer.code, float(wait) if wait.isdigit() else 0
    except OSError:
        return 0, 0
