"""The record as keepers see it: read once a second for all, written back as it becomes true."""

import threading
import time
from typing import Any

from ratemyunit_ops.twin.inner import call, client
from ratemyunit_ops.twin.site import Site

FRESH_SECONDS = 0.5


class Record:
    """The gate's inner side, and the public API for what keepers ask of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._lock = threading.Lock()
        self._wanted: tuple[float, dict[str, Any]] = (0.0, {})

    def wanted(self) -> dict[str, Any]:
        """Answer what should be; all organs share one reading."""
        with self._lock:
            read, wanted = self._wanted
            if time.monotonic() - read > FRESH_SECONDS:
                wanted = call(self.site, "wanted")
                self._wanted = (time.monotonic(), wanted)
            return wanted

    def seen(self, **report: Any) -> None:
        """Say what is true."""
        call(self.site, "seen", report)

    def measured(self, points: list[dict[str, Any]]) -> None:
        """Put points into CloudWatch, as AWS's services do by themselves."""
        call(self.site, "measured", points)

    def client(self, service: str, region: str) -> Any:
        """Speak the public API."""
        return client(self.site, service, region)
