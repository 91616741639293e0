"""What `make test` says at its end. Its parts ran side by side, each with its log and its exit code in build/.

Usage: python -m tests.parts BEGAN PART...   (BEGAN in seconds since 1970; the first part was shown as it ran)

Logs of parts that failed are printed last, then a line a part, and at the very end a summary over all of them as pytest
writes it. A part that failed without a test that did is an error there.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

SUMMARY = re.compile(r"^=* ?((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s\b", re.MULTILINE)
WORDS = ("failed", "passed", "skipped", "xfailed", "error")


def tell(folder: Path, names: Sequence[str], seconds: float) -> int:
    """Print how the parts ended; answer the exit code."""
    green = {name: _read(folder / f"{name}.code") == "0" for name in names}
    logs = {name: _read(folder / f"{name}.log") for name in names}
    for name in sorted(names, key=lambda one: not green[one]):
        if name != names[0] or not green[name]:
            print(logs[name])
    total: Counter[str] = Counter()
    for name in names:
        counts = _counts(logs[name])
        print(", ".join([f"{name}: {'passed' if green[name] else 'failed'}", *_words(counts)]))
        if not green[name] and not counts["failed"] + counts["error"]:
            counts["error"] = 1
        total += counts
    print(f" {', '.join(_words(total)) or 'no tests ran'} in {seconds:.2f}s ".center(80, "="))
    return 0 if all(green.values()) else 1


def _read(file: Path) -> str:
    """Read a log or an exit code; none was written where a part was killed."""
    return file.read_text(errors="replace").strip() if file.exists() else ""


def _counts(log: str) -> Counter[str]:
    found: Counter[str] = Counter()
    for summary in SUMMARY.findall(log):
        for number, word in re.findall(r"(\d+) ([a-z]+)", summary):
            found[word.removesuffix("s")] += int(number)
    return found


def _words(counts: Counter[str]) -> list[str]:
    return [f"{counts[word]} {word}{'s' * (word == 'error' and counts[word] > 1)}" for word in WORDS if counts[word]]


if __name__ == "__main__":
    sys.exit(tell(Path("build"), sys.argv[2:], time.time() - float(sys.argv[1])))
