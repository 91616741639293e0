"""What every bench shares: how a figure is kept, on which machine, under which load, and how a bench ends early."""

from __future__ import annotations

import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

OUT = Path("bench-out")


def load() -> float:
    """Return how many processes wanted a core over the last minute."""
    return round(os.getloadavg()[0], 1)


def keep(bench: str, figures: dict[str, Any], load_before: float, *, command: str = "") -> None:
    """Write a bench's figures with where and when they were made, and print them."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    made = {
        "command": command or f"make bench-{bench}",
        "commit": commit(),
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "python": platform.python_version(),
        "load": [load_before, load()],
    }
    text = json.dumps({"bench": bench, "made": made, **figures}, indent=2) + "\n"
    OUT.mkdir(exist_ok=True)
    (OUT / f"{bench}.json").write_text(text)
    print(text)


def commit() -> str:
    """Name the commit that is measured; `-dirty` where the tree held more than it."""
    argv = ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty", "--exclude=*"]
    told = subprocess.run(argv, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return told.stdout.strip() or "no commit"


def spread(values: Sequence[float], digits: int = 2) -> dict[str, Any]:
    """Show a few measurements as what they are: their number, middle and worst."""
    return {
        "n": len(values),
        "median": round(statistics.median(values), digits),
        "max": round(max(values), digits),
    }


def idle_since(before: tuple[int, int]) -> float:
    """Return which share of the cores' time nobody wanted since a reading of `ticks`."""
    idle, total = (now - then for now, then in zip(ticks(), before, strict=True))
    return idle / total if total else 1.0


def ticks() -> tuple[int, int]:
    """Read how long the cores were idle, and how long they were there."""
    numbers = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)


def wait_for_quiet(patience: float = 90.0) -> None:
    """Wait until most of the machine is idle for three seconds, but not for ever: seconds are of rmu, not of others."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = ticks()
        time.sleep(3)
        if idle_since(before) > 0.6:
            return
    say("the machine is not quiet; measuring all the same")


def say(line: str) -> None:
    """Tell on stderr how far the bench is."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let SIGTERM end the bench as Ctrl-C does, so that what it raised is taken down."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
