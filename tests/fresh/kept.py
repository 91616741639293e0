"""Keep how long each target took in a newborn root: `python -m tests.fresh.kept LOAD demo=612 demo=280 test=1400`."""

from __future__ import annotations

import sys

from tests.bench.figures import keep


def main(load_before: str, *took: str) -> None:
    """Write bench-out/fresh.json, or fresh-ci.json where CI's run came first; seconds in the order of the targets."""
    targets = [name_and_seconds.split("=") for name_and_seconds in took]
    command = "tests/fresh/run " + " ".join(name for name, _ in targets)
    figures = {
        "targets": [{"target": name, "seconds": int(seconds)} for name, seconds in targets],
        "control": {"what": "the same target made before on the same machine, where there was one"},
    }
    keep("fresh-ci" if targets[0][0] == "ci" else "fresh", figures, float(load_before), command=command)


if __name__ == "__main__":
    main(*sys.argv[1:])
