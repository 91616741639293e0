"""The record as keepers see it: read once a second for all, written back as it becomes true."""

import json
import threading
import time
import urllib.request
from typing import Any

import boto3
from botocore.config import Config

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
                wanted = self._call("wanted")
                self._wanted = (time.monotonic(), wanted)
            return wanted

    def seen(self, **report: Any) -> None:
        """Say what is true."""
        self._call("seen", report)

    def client(self, service: str, region: str) -> Any:
        """Speak the public API, as anyone does."""
        return boto3.client(
            service,
            endpoint_url=self.site.endpoint,
            region_name=region,
            aws_access_key_id="twin",
            aws_secret_access_key="twin",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def _call(self, action: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.site.endpoint}/twin/{action}", data=data)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())
