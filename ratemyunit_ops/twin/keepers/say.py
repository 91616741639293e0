"""One line in the keepers' log, with the time."""

from datetime import UTC, datetime


def say(text: str) -> None:
    """Write a line at once."""
    print(f"{datetime.now(UTC):%H:%M:%S.%f}"[:-3], text, flush=True)
