"""`make bench-cli`: what `rmu --help` costs beside a bare typer program that prints its help.

Two controls, since rmu writes its help without rich: typer as it comes, and typer told to do the same. Writes
bench-out/cli.json: medians in seconds of the same number of runs, interleaved, and their ratios.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.figures import keep, load

ROUNDS = 25
BARE = """
import typer
app = typer.Typer(SETTINGS)
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
    """Measure all in turn and write the figures."""
    before = load()
    bare = [sys.executable, "-c", BARE.replace("SETTINGS", ""), "--help"]
    plain = [sys.executable, "-c", BARE.replace("SETTINGS", "rich_markup_mode=None"), "--help"]
    rmu = [str(Path(sys.executable).with_name("rmu")), "--help"]
    commands = (bare, plain, rmu)
    for command in commands:
        seconds(command)
    runs = [[seconds(command) for command in commands] for _ in range(ROUNDS)]
    control, strict, ours = (statistics.median(column) for column in zip(*runs, strict=True))
    figures = {
        "rounds": ROUNDS,
        "rmu": {"what": "rmu --help", "median_s": round(ours, 4)},
        "control": {"what": "bare typer --help", "median_s": round(control, 4)},
        "strict_control": {"what": "bare typer --help, without rich as rmu is", "median_s": round(strict, 4)},
        "ratio": round(ours / control, 2),
        "ratio_strict": round(ours / strict, 2),
        "target_ratio": 2.5,
    }
    keep("cli", figures, before)


if __name__ == "__main__":
    main()
