"""Keep how long each target took in a newborn root: `python -m tests.fresh.kept LOAD demo=612 demo=280 test=1400`."""

from __future__ import annotations

import sys

from tests.bench.figures import keep


def main(load_before: str, *took: str) -> None:
    """Write bench-out/fresh.json; seconds in the order the targets were made in."""
    targets = [name_and_seconds.split("=") for name_and_seconds in took]
    command = "tests/fresh/run " + " ".join(name for name, _ in targets)
    figures = {"targets": [{"target": name, "seconds": int(seconds)} for name, seconds in targets]}
    keep("fresh", figures, float(load_before), command=command)


if __name__ == "__main__":
    main(*sys.argv[1:])
