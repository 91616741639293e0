"""The smallest app that keeps the contract: no database, no Redis, one file. Its settings make it misbehave.

`NEVER_READY=1` stays at 503 · `READY_AFTER=5` seconds · `EAT_MIB=300` takes that much memory after it became ready ·
`EXIT_AFTER=3` dies after so many seconds · `CHECK_FAILS=1` finds that it cannot read and write.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEAD = "0001"
BORN = time.monotonic()
running = 0
lock = threading.Lock()


def setting(name: str) -> float:
    return float(os.environ.get(name, "0"))


def readiness() -> tuple[int, dict[str, object]]:
    ready = not setting("NEVER_READY") and time.monotonic() - BORN >= setting("READY_AFTER")
    checks = {"database": "ok" if ready else "not yet", "redis": "ok", "schema": "ok"}
    return (200 if ready else 503), {"ready": ready, "schema_head": HEAD, "checks": checks}


def version() -> dict[str, str]:
    names = {"version": "RELEASE_VERSION", "digest": "RELEASE_DIGEST", "host": "HOST_ID", "database": "DATABASE_ID"}
    return {**{key: os.environ[name] for key, name in names.items()}, "schema_head": HEAD}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 80
    wbufsize = -1  # head and body in one packet, or a delayed ACK costs 40 ms

    def do_GET(self) -> None:
        global running
        with lock:
            running += 1
        path = self.path.split("?")[0]
        status, body = readiness() if path == "/readyz" else (200, self.body(path))
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Rmu-Release", os.environ["RELEASE_VERSION"])
        self.end_headers()
        self.wfile.write(payload)
        with lock:
            running -= 1

    def body(self, path: str) -> object:
        if path == "/version":
            return version()
        return {"units": []} if path == "/api/units" else {}

    def log_message(self, form: str, *values: object) -> None:
        pass


def eat() -> None:
    time.sleep(setting("READY_AFTER") + 3)
    kept = []
    for _ in range(int(setting("EAT_MIB"))):
        kept.append(b"x" * (1 << 20))
        time.sleep(0.005)
    time.sleep(3600)


def serve() -> None:
    server = ThreadingHTTPServer((os.environ["HTTP_HOST"], int(os.environ["HTTP_PORT"])), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    if setting("EAT_MIB"):
        threading.Thread(target=eat, daemon=True).start()
    if setting("EXIT_AFTER"):
        threading.Timer(setting("EXIT_AFTER"), lambda: os._exit(1)).start()
    print(json.dumps({"event": "started", "role": sys.argv[1]}), flush=True)
    server.serve_forever(poll_interval=0.1)
    server.socket.close()
    end = time.monotonic() + 30
    while running and time.monotonic() < end:
        time.sleep(0.05)
    os._exit(0)  # idle kept connections are not waited for


def migrate(asked: list[str]) -> None:
    pending = {"current": HEAD, "head": HEAD, "tip": HEAD, "pending": []}
    ran = {"head_before": HEAD, "head": HEAD, "admits": HEAD, "ran": [], "seconds": {}}
    looks = {"--head": {"head": HEAD}, "--current": {"head": HEAD}, "--pending": pending}
    print(json.dumps(looks.get(asked[0], ran) if asked else ran))


def check() -> int:
    failed = bool(setting("CHECK_FAILS"))
    why = {"failed": "a setting", "why": "CHECK_FAILS is set"} if failed else {}
    print(json.dumps({"ok": not failed, "reads": 0, "writes": 0, **why}))
    return int(failed)


if __name__ == "__main__":
    match sys.argv[1]:
        case "migrate":
            migrate(sys.argv[2:])
        case "check":
            sys.exit(check())
        case _:
            serve()
