"""The gate's side of the SSM agent, small enough to hold still: commands are files one drops, updates are lines."""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Gate(BaseHTTPRequestHandler):
    directory: Path

    def do_GET(self) -> None:
        if self.path.startswith("/twin-agent/poll"):
            self.answer(self.next_command())
        else:
            self.note({"path": self.path.partition("?")[0], "host": self.headers["Host"]})
            self.answer(None)

    def do_POST(self) -> None:
        self.note(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer({})

    def next_command(self) -> object:
        until = time.monotonic() + 2
        while time.monotonic() < until:
            for waiting in sorted((self.directory / "commands").glob("*.json")):
                command: object = json.loads(waiting.read_text())
                waiting.unlink()
                return command
            time.sleep(0.05)
        return None

    def note(self, told: object) -> None:
        with (self.directory / "told").open("a") as out:
            out.write(json.dumps(told) + "\n")

    def answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    Gate.directory = Path(sys.argv[3])
    ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Gate).serve_forever()
