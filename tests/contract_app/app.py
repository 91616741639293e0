"""The smallest app that keeps the contract: no database, no Redis, no queue, one file. Settings make it misbehave.

`NEVER_READY=1` · `READY_AFTER=5` and `EXIT_AFTER=3`, seconds · `EAT_MIB=300`, once it is ready · `CHECK_FAILS=1`
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD, BORN, RELEASE = "0001", time.monotonic(), os.environ.get("RELEASE_VERSION", "unknown")
NAMES = {"digest": "RELEASE_DIGEST", "host": "HOST_ID", "database": "DATABASE_ID"}
TOLD = {"version": RELEASE, "schema_head": HEAD, **{key: os.environ.get(name) for key, name in NAMES.items()}}
BAD = ("NEVER_READY", "READY_AFTER", "EAT_MIB", "EXIT_AFTER", "CHECK_FAILS")
ASKED = {name: float(os.environ.get(name, "0")) for name in BAD}
ALWAYS = (("Cache-Control", "no-store"), ("X-Rmu-Release", RELEASE))
COUNTS_FOR = {"/livez": [], "/readyz": [], "/metrics": [], "/api/units": ["errors", "search"]}
NOTHING = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "nothing is here"}
counted = {(how, objective): 0 for how in ("valid", "good") for objective in ("errors", "search")}
running, lock = set[threading.Thread](), threading.Lock()


def answer(path: str) -> tuple[int, str, object]:
    ready = not ASKED["NEVER_READY"] and time.monotonic() - BORN >= ASKED["READY_AFTER"]
    checks = {"database": "ok" if ready else "not yet", "redis": "ok", "schema": "ok"}
    samples = (f'slo_{how}_events_total{{objective="{name}"}} {n}\n' for (how, name), n in counted.items())
    known: dict[str, tuple[int, str, object]] = {
        "/livez": (200, "application/json", {"live": True}),
        "/readyz": (200 if ready else 503, "application/json", {"ready": ready, "schema_head": HEAD, "checks": checks}),
        "/version": (200, "application/json", TOLD),
        "/metrics": (200, "text/plain; version=0.0.4", "".join(samples)),
        "/api/units": (200, "application/json", {"units": []}),
    }
    return known.get(path, (404, "application/problem+json", NOTHING))


class Handler(BaseHTTPRequestHandler):
    protocol_version, timeout = "HTTP/1.1", 80
    wbufsize = -1  # head and body in one packet, or a delayed ACK costs 40 ms

    def do_GET(self) -> None:
        running.add(threading.current_thread())
        path, began = self.path.split("?")[0], time.monotonic()
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, kind, body = answer(path if self.command == "GET" else "")
        payload = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for head in (("Content-Type", kind), ("Content-Length", str(len(payload))), *ALWAYS):
            self.send_header(*head)
        self.end_headers()
        self.wfile.write(payload)
        self.wfile.flush()  # before a stop finds nothing running
        with lock:
            for objective in COUNTS_FOR.get(path, ["errors"]):
                counted["valid", objective] += 1
                counted["good", objective] += objective == "errors" or time.monotonic() - began <= 0.5
        running.discard(threading.current_thread())

    do_POST = do_GET

    def log_message(self, form: str, *values: object) -> None: ...


def eat(kept: list[bytes]) -> None:
    time.sleep(ASKED["READY_AFTER"] + 3)
    while len(kept) < ASKED["EAT_MIB"]:
        kept.append(b"x" * (1 << 20))
        time.sleep(0.005)


def serve(role: str) -> None:
    server = ThreadingHTTPServer((os.environ["HTTP_HOST"], int(os.environ["HTTP_PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    threading.Thread(target=eat, args=[[]], daemon=True).start()
    threading.Timer(ASKED["EXIT_AFTER"] or 1e6, os._exit, [1]).start()
    line = {"event": "started", "at": time.time(), "level": "info", "release": RELEASE, "role": role}
    print(json.dumps(line), flush=True)
    server.serve_forever(poll_interval=0.1)
    server.socket.close()
    for _ in range(500):  # 25 s at most
        time.sleep(0.05 * any(one.is_alive() for one in running.copy()))
    os._exit(0)  # idle kept connections are not waited for


def once(role: str, asked: str) -> dict[str, object]:
    pending = {"current": HEAD, "head": HEAD, "tip": HEAD, "pending": []}
    ran = {"head_before": HEAD, "head": HEAD, "admits": HEAD, "ran": [], "seconds": {}}
    looks = {"--head": {"head": HEAD}, "--current": {"head": HEAD}, "--pending": pending}
    why = {"failed": "a setting", "why": "CHECK_FAILS is set"} if ASKED["CHECK_FAILS"] else {}
    return {"ok": not why, "reads": 0, "writes": 0, **why} if role == "check" else looks.get(asked, ran)


if __name__ == "__main__":
    if sys.argv[1] in ("api", "worker"):
        serve(sys.argv[1])
    print(json.dumps(said := once(sys.argv[1], "".join(sys.argv[2:]))))
    sys.exit(said.get("ok") is False)
