"""`make bench-cli`: what `rmu --help` costs beside a bare typer program that prints its help.

Writes bench-out/cli.json: medians in seconds of the same number of runs, interleaved, and their ratio.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
BARE = """
import typer
app = typer.Typer()
@app.command()
def one(name: str) -> None:
    "Say a name."
@app.command()
def two(name: str) -> None:
    "Say it again."
app()
"""


def seconds(argv: list[str]) -> float:
    """Time one run of a command that must succeed."""
    begin = time.perf_counter()
    subprocess.run(argv, check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    """Measure both in turn and write the figures."""
    bare = [sys.executable, "-c", BARE, "--help"]
    rmu = [str(Path(sys.executable).with_name("rmu")), "--help"]
    seconds(bare), seconds(rmu)
    runs = [(seconds(bare), seconds(rmu)) for _ in range(ROUNDS)]
    control, ours = (statistics.median(column) for column in zip(*runs, strict=True))
    figures = {
        "bench": "cli",
        "control": {"what": "bare typer --help", "median_s": round(control, 4)},
        "rmu": {"what": "rmu --help", "median_s": round(ours, 4)},
        "ratio": round(ours / control, 3),
        "target_ratio": 2.5,
        "rounds": ROUNDS,
    }
    out = Path("bench-out")
    out.mkdir(exist_ok=True)
    (out / "cli.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
