"""Students who rate units through the front door, and write down what was acknowledged to them.

    python tests/clients/raters.py http://127.0.0.1:8080 --unit UNIT_ID --ledger acknowledged.jsonl

Each rating has an id of the client's own. A line of the ledger is written once the answer has come: what stands there
was promised to somebody. A request is sent once and never again; one that failed is counted. SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import threading
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

STUDENTS = 4
PAUSE_S = 0.15
PATIENCE_S = 45.0


class Ledger:
    """What was promised, and how many requests failed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a")
        self._lock = threading.Lock()
        self.sent = self.failed = 0
        self.reasons: dict[str, int] = {}
        self.longest = 0.0

    def acknowledged(self, rating: dict[str, Any], seconds: float) -> None:
        """Write a promise down."""
        with self._lock:
            self.sent += 1
            self.longest = max(self.longest, seconds)
            self._file.write(json.dumps({**rating, "at": time.time()}) + "\n")
            self._file.flush()

    def lost(self, reason: str) -> None:
        """Count a request that got no good answer."""
        with self._lock:
            self.sent += 1
            self.failed += 1
            self.reasons[reason] = self.reasons.get(reason, 0) + 1


def rate(front_door: str, unit: str, ledger: Ledger, ended: threading.Event) -> None:
    """Rate until the end, on one kept connection."""
    parts = urlsplit(front_door)
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE_S)
    while not ended.wait(PAUSE_S):
        id = str(uuid.uuid4())
        rating = {"id": id, "stars": int(id[0], 16) % 5 + 1, "comment": f"said by {id[:8]}"}
        began = time.monotonic()
        try:
            body = json.dumps(rating)
            connection.request("POST", f"/api/units/{unit}/ratings", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as why:
            connection.close()
            ledger.lost(type(why).__name__)
            continue
        if answer.status == 201:
            ledger.acknowledged(rating, time.monotonic() - began)
        else:
            ledger.lost(f"status {answer.status}")


def main() -> None:
    """Rate until SIGTERM, then print the counts as JSON."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("front_door")
    asked.add_argument("--unit", required=True)
    asked.add_argument("--ledger", type=Path, required=True)
    words = asked.parse_args()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ledger = Ledger(words.ledger)
    students = [
        threading.Thread(target=rate, args=(words.front_door, words.unit, ledger, ended)) for _ in range(STUDENTS)
    ]
    for student in students:
        student.start()
    for student in students:
        student.join()
    counts = {"sent": ledger.sent, "failed": ledger.failed, "reasons": ledger.reasons, "longest_s": ledger.longest}
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
