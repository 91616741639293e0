"""The front door over HTTP, as a client meets it. Every look is a new connection: no pool, no cache."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from ratemyunit_ops.errors import Failed, Unreachable
from ratemyunit_ops.model import Facts, FrontDoor

TIMEOUT_S = 5.0
LARGEST = 1_000_000
NOBODY = FrontDoor(version=None, digest=None, host=None)


@dataclass(frozen=True)
class Heard:
    """One answer."""

    status: int
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Read the body; None where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class FrontDoorTraffic:
    """The URL clients use. `smoke` is what the smoke list searches for."""

    def __init__(self, url: str, *, smoke: str, start_hint: str | None = None) -> None:
        self._url = urlsplit(url)
        self._smoke = smoke
        self._next = start_hint or "rmu status"

    def look(self) -> FrontDoor:
        """Ask who serves; every field None where nothing does. Raises Unreachable."""
        heard = self._get("/version")
        if heard.status in {502, 503, 504}:  # the proxy's backend of nothing, or a balancer without a host behind it
            return NOBODY
        said = heard.json()
        if heard.status != 200 or not isinstance(said, dict):
            raise Unreachable(f"{self._url.geturl()}/version answered {heard.status}", next="rmu status")
        told = {name: said.get(name) for name in ("version", "digest", "host", "database")}
        return FrontDoor.model_validate(told)

    def smoke(self) -> Facts:
        """Run the contract's smoke list. Raises Failed with the first answer that is wrong."""
        path = f"/api/units?search={quote(self._smoke)}"
        try:
            heard = self._get(path)
        except Unreachable as why:
            raise _wrong(path, why.what) from why
        said = heard.json()
        if heard.status != 200:
            raise _wrong(path, f"answered {heard.status} {heard.body[:120].decode(errors='replace')}")
        if not isinstance(said, dict) or not isinstance(said.get("units"), list):
            raise _wrong(path, "answered 200 without a list of units")
        return {"smoke": [{"path": path, "units": len(said["units"]), "seconds": round(heard.seconds, 3)}]}

    def _get(self, path: str) -> Heard:
        began = time.monotonic()
        connection = self._connect()
        try:
            headers = {"Cache-Control": "no-store", "User-Agent": "rmu", "Connection": "close"}
            connection.request("GET", f"{self._url.path.rstrip('/')}{path}", headers=headers)
            answer = connection.getresponse()
            return Heard(answer.status, answer.read(LARGEST), time.monotonic() - began)
        except (OSError, http.client.HTTPException) as why:
            said = str(why) or type(why).__name__
            raise Unreachable(f"the front door {self._url.netloc} does not answer: {said}", next=self._next) from why
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host = self._url.hostname or ""
        if self._url.scheme == "https":
            trust = ssl.create_default_context()
            return http.client.HTTPSConnection(host, self._url.port, timeout=TIMEOUT_S, context=trust)
        return http.client.HTTPConnection(host, self._url.port, timeout=TIMEOUT_S)


def _wrong(path: str, what: str) -> Failed:
    return Failed(f"smoke: {path} {what}", state="Read only; nothing was changed by asking.", next="rmu logs")
