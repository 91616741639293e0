"""Run `rmu` as a person would, and show what it says; run the client that keeps connections alive beside it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

CHECKOUT = Path(__file__).resolve().parents[2]
RMU = CHECKOUT / ".venv" / "bin" / "rmu"
CLIENT = CHECKOUT / "tests" / "clients" / "keepalive.py"
KILLED = -signal.SIGKILL
MARKS = {"done": "[green]✓[/]", "found": "[green]=[/]", "failed": "[red]✗[/]", "undone": "[yellow]↶[/]"}


class DemoFailed(Exception):
    """Something went another way than the demo promises; the message says what."""


@dataclass(frozen=True)
class Answer:
    """How one command ended."""

    code: int
    document: dict[str, Any]
    seconds: float
    said: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.document.get(key)


@dataclass
class Rmu:
    """The command, with what it says shown as it says it."""

    screen: Console
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def __call__(
        self,
        *words: str,
        expect: int = 0,
        config: Path | None = None,
        kill_at: Callable[[dict[str, Any]], bool] | None = None,
        quiet: bool = False,
    ) -> Answer:
        """Run one command to its end, or kill -9 it at the first progress line that `kill_at` picks.

        Raises:
            DemoFailed: it ended with another code than expected.
        """
        if not quiet:
            self.screen.print(f"[bold]$ rmu {escape(' '.join(words))}[/]")
        environ = {**self.environ, **({"RMU_CONFIG": str(config)} if config else {})}
        began = time.monotonic()
        with tempfile.TemporaryFile("w+") as stdout:
            process = subprocess.Popen(
                [RMU, *words, "--json"], cwd=CHECKOUT, env=environ, stdout=stdout, stderr=subprocess.PIPE, text=True
            )
            said = self._follow(process, kill_at, quiet)
            code = process.wait()
            stdout.seek(0)
            answer = Answer(code, _document(stdout.read()), time.monotonic() - began, said)
        if not quiet:
            self.screen.print(f"  [dim]{answer.seconds:.1f} s[/]")
        if code != expect:
            raise DemoFailed(f"`rmu {' '.join(words)}` ended with {code}, not {expect}:\n{_reason(answer)}")
        return answer

    def _follow(
        self, process: "subprocess.Popen[str]", kill_at: Callable[[dict[str, Any]], bool] | None, quiet: bool
    ) -> str:
        last: list[str] = []
        assert process.stderr
        for line in process.stderr:
            event = _event(line)
            if event is None:
                last = [*last[-20:], line.rstrip()]
            elif kill_at and kill_at(event):
                process.kill()
                self.screen.print(f"  [red]kill -9[/] as it was about to: {escape(str(event.get('title', 'work')))}")
            elif not quiet:
                self._show(event)
        return "\n".join(last)

    def _show(self, event: dict[str, Any]) -> None:
        if event.get("note"):
            self.screen.print(f"  [dim]{escape(str(event['note']))}[/]")
        elif event.get("event") in MARKS and event.get("step"):
            self.screen.print(f"  {MARKS[event['event']]} {event['step']:>2}  {escape(str(event.get('title', '')))}")


@dataclass
class Client:
    """What the client that keeps its connections alive saw; filled when it ends."""

    sent: int | None = None
    failed: int | None = None
    reasons: str = ""


@contextmanager
def client(url: str, connections: int = 30) -> Iterator[Client]:
    """Let a client that never retries ask while the block runs.

    Raises:
        DemoFailed: the client itself broke.
    """
    seen = Client()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "client.json"
        process = subprocess.Popen(
            [sys.executable, CLIENT, url, "--seconds", "3600", "--connections", str(connections), "--json", report],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            time.sleep(2)  # so that connections are open and idle before anything moves
            yield seen
            time.sleep(2)  # and are used again after it
        finally:
            process.terminate()
            _, complaint = process.communicate(timeout=30)
        if not report.is_file():
            raise DemoFailed(f"the client broke: {complaint.strip()[-300:]}")
        counted = json.loads(report.read_text())
        seen.sent, seen.failed = counted["sent"], counted["failed"]
        seen.reasons = json.dumps(counted.get("reasons", {}))


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _document(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _reason(answer: Answer) -> str:
    said = [str(answer[key]) for key in ("what", "state") if answer[key]]
    said += [f"next: {answer['next']}"] if answer["next"] else []
    return "\n".join(said) or answer.said or "it said nothing"
