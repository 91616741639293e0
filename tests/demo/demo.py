"""The whole road, on the local AWS: from nothing to a zero-drop deploy, and five bad days.

It types the same commands a person would. Run by `make demo`; a second run goes on from the first one's state.
"""

import json
import os
import re
import signal
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.demo.rmu import CHECKOUT, KILLED, Client, DemoFailed, Rmu, client

HOST_DEADLINE = 300.0


@dataclass
class Row:
    """One line of the table at the end."""

    what: str
    seconds: float
    sent: int | None = None
    failed: int | None = None


@dataclass
class Demo:
    """The scenes in their order, and what each one showed."""

    rmu: Rmu
    screen: Console
    rows: list[Row] = field(default_factory=list)
    front_door: str = ""

    def run(self) -> None:
        """Play every scene. Raises DemoFailed at the first that goes another way than promised."""
        self.a_place_to_live()
        one, two, three, four = self.images()
        self.first_deploy(one)
        self.deploy_under_traffic(two)
        self.broken_release(three, stays=two)
        self.rollback(one)
        self.killed_half_way(four)
        self.host_dies(four)

    def a_place_to_live(self) -> None:
        self.scene("A local AWS: network, load balancer, database, hosts that boot")
        began = time.monotonic()
        self.rmu("twin", "up")
        self.rmu("infra", "bootstrap", "--yes")
        self.rmu("infra", "apply", "--yes", "--because", "demo")
        self.front_door = str(self.rmu("status", quiet=True)["front_door"])
        self.rows.append(Row("local AWS up, stack applied, first host booted", time.monotonic() - began))

    def images(self) -> list[str]:
        self.scene("The product image, built and pushed under the versions of this demo")
        began = time.monotonic()
        names = self.next_versions(4)
        self.rmu("image", "build", names[0])
        for name in names:
            self.rmu("image", "push", name)
        self.rows.append(Row(f"image built, {names[0]} to {names[-1]} pushed", time.monotonic() - began))
        return names

    def first_deploy(self, version: str) -> None:
        self.scene(f"Deploy {version}")
        answer = self.deploy(version)
        self.serves(version)
        self.rows.append(Row(f"{version} deployed", answer["seconds"]))

    def deploy_under_traffic(self, version: str) -> None:
        self.scene(f"Deploy {version} while 30 connections are kept alive and nobody retries")
        with client(self.url) as seen:
            answer = self.deploy(version)
        self.serves(version)
        self.no_drop(seen)
        self.rows.append(Row(f"{version} deployed under traffic", answer["seconds"], seen.sent, seen.failed))

    def broken_release(self, version: str, *, stays: str) -> None:
        self.scene(f"Deploy {version}, broken on purpose: it looks for Redis where there is none")
        with tempfile.TemporaryDirectory() as folder, client(self.url) as seen:
            config = broken_settings(Path(folder))
            answer = self.deploy(version, expect=5, config=config)
            self.screen.print(f"  it said: {str(answer['what']).splitlines()[0]}", markup=False)
            self.screen.print(f"  {answer['state']}", markup=False)
        self.serves(stays)
        self.no_drop(seen)
        self.rows.append(
            Row(f"{version} never got ready: nothing moved, {stays} serves", answer.seconds, seen.sent, seen.failed)
        )

    def rollback(self, version: str) -> None:
        self.scene("Roll back")
        with client(self.url) as seen:
            answer = self.rmu("rollback", "--yes", "--because", "demo")
        self.serves(version)
        self.no_drop(seen)
        self.rows.append(Row(f"rolled back to {version}", answer.seconds, seen.sent, seen.failed))

    def killed_half_way(self, version: str) -> None:
        self.scene(f"Deploy {version}, kill -9 it as it moves traffic, and resume it")
        with client(self.url) as seen:
            began = time.monotonic()
            self.deploy(version, expect=KILLED, kill_at=moves_traffic)
            self.rmu("resume", "--yes", "--because", "demo")
            seconds = time.monotonic() - began
        self.serves(version)
        self.no_drop(seen)
        self.rows.append(Row(f"{version}: killed half-way, resumed", seconds, seen.sent, seen.failed))

    def host_dies(self, version: str) -> None:
        host = self.status()["hosts"][0]["id"]
        self.scene(f"Kill the only host, {host}, and let nobody help")
        with client(self.url) as seen:
            self.rmu("twin", "fault", "kill-host", host)
            seconds = self.wait_for_another(host, version)
        self.rows.append(Row("only host killed; its successor serves, unattended", seconds, seen.sent, seen.failed))
        self.serves(version)

    def wait_for_another(self, host: str, version: str) -> float:
        """Ask the front door until another host answers with the live release."""
        began = time.monotonic()
        while time.monotonic() - began < HOST_DEADLINE:
            seen = who_answers(self.front_door)
            if seen.get("host") not in {None, host}:
                if seen.get("version") != version:
                    raise DemoFailed(f"the new host serves {seen.get('version')}, not {version}")
                self.screen.print(f"  {seen['host']} serves {version}")
                return time.monotonic() - began
            time.sleep(0.5)
        raise DemoFailed(f"no other host served within {HOST_DEADLINE:.0f} s")

    def deploy(self, version: str, **how: Any) -> Any:
        return self.rmu("deploy", version, "--yes", "--because", "demo", **how)

    def status(self) -> Any:
        return self.rmu("status", quiet=True)

    def serves(self, version: str) -> None:
        """Prove by the front door who serves, not by what rmu says."""
        seen = who_answers(self.front_door).get("version")
        if seen != version:
            raise DemoFailed(f"the front door is answered by {seen}, not by {version}")
        self.screen.print(f"  the front door is answered by [bold]{version}[/]")

    def no_drop(self, seen: Client) -> None:
        if not seen.sent or seen.failed:
            raise DemoFailed(f"the client sent {seen.sent} requests, and {seen.failed} failed: {seen.reasons}")

    def next_versions(self, count: int) -> list[str]:
        """Name versions that the registry does not hold yet: a pushed one never changes."""
        images = self.rmu("image", "list", quiet=True)["images"] or []
        taken = [int(found[1]) for i in images for tag in i["tags"] if (found := re.fullmatch(r"v(\d+)", tag))]
        first = max(taken, default=0) + 1
        return [f"v{first + n}" for n in range(count)]

    def scene(self, title: str) -> None:
        self.screen.print()
        self.screen.rule(f"[bold]{title}[/]", align="left")

    @property
    def url(self) -> str:
        return f"{self.front_door}/api/units?search=a"


def moves_traffic(event: dict[str, Any]) -> bool:
    """Pick the moment of the kill: the step that moves traffic has been journaled as started."""
    return event.get("event") == "started" and str(event.get("title", "")).startswith("serve ")


def broken_settings(folder: Path) -> Path:
    """Copy rmu.toml, with a release that cannot find Redis and little patience for it."""
    text = Path(os.environ.get("RMU_CONFIG", CHECKOUT / "rmu.toml")).read_text()
    for line, broken in (
        ("[env.twin.app]\n", '[env.twin.app]\nREDIS_URL = "redis://127.0.0.1:1/0"\n'),
        ('ready_deadline = "1m"\n', 'ready_deadline = "10s"\n'),
    ):
        if text.count(line) != 1:
            raise DemoFailed(f"rmu.toml has no line {line.strip()}")
        text = text.replace(line, broken)
    path = folder / "rmu.toml"
    path.write_text(text)
    return path


def who_answers(front_door: str) -> dict[str, Any]:
    """Ask the front door who is there; empty where nobody is."""
    try:
        with urllib.request.urlopen(f"{front_door}/version", timeout=2) as reply:
            return dict(json.load(reply))
    except (OSError, ValueError):
        return {}


def show_table(screen: Console, rows: list[Row]) -> None:
    """Print what happened, in a table that fits 80 columns."""
    table = Table(title="What happened", title_justify="left")
    table.add_column("what", overflow="fold")
    for column in ("requests", "failed", "seconds"):
        table.add_column(column, justify="right")
    for row in rows:
        counts = ["–" if n is None else f"{n:,}" for n in (row.sent, row.failed)]
        table.add_row(row.what, *counts, f"{row.seconds:.1f}")
    screen.print()
    screen.print(table)


def main() -> int:
    """Play the demo; the exit code says whether every scene went as promised."""
    # Whoever ends the demo ends its client too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    screen = Console(highlight=False, width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "80")))
    began = time.monotonic()
    demo = Demo(Rmu(screen), screen)
    try:
        demo.run()
    except DemoFailed as why:
        show_table(screen, demo.rows)
        screen.print(f"[red]The demo stopped:[/] {why}")
        screen.print("The local AWS is still up, as it was. Look: .venv/bin/rmu status · wipe it: make down")
        return 1
    show_table(screen, demo.rows)
    screen.print("Requests that failed when the only host died are real: one host is one host.")
    screen.print(f"The whole demo took {time.monotonic() - began:.0f} s. The front door is {demo.front_door}")
    screen.print("Type next: .venv/bin/rmu status    .venv/bin/rmu history    make down (stops and wipes it)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
