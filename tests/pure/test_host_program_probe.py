"""The drop probe's judgement, and the client itself against a server that drops."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from rmu_host.probe import PLACE, Tally, client, result, write

from tests.fakes.host_machine import FakeMachine


def tally(before: str, after: str, from_nothing: bool = False) -> Tally:
    """Make a tally: `.` an answer, `x` a refused connection, `5` a status 503."""
    made = Tally(from_nothing=from_nothing)
    for window, marks in ((False, before), (True, after)):
        made.on_after = window
        for mark in marks:
            made.note({".": "", "x": "ConnectionRefusedError", "5": "status 503"}[mark], 5.0, mark != "x")
    return made


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ("....", "....", "pass"),
        ("....", "..5.", "fail"),
        ("....", "xxxx", "fail"),
        ("xxxx", "....", "inconclusive"),  # the probe could not see before: it cannot judge after
        ("xxxx", "xxxx", "inconclusive"),
        (".x..", "..x.", "inconclusive"),  # it was like that before
        ("....", "", "inconclusive"),
        ("", "", "inconclusive"),
    ],
)
def test_f17_only_a_failure_that_the_flip_brought_is_one(before: str, after: str, verdict: str) -> None:
    assert tally(before, after).verdict() == verdict


def test_before_a_first_release_nothing_can_be_dropped() -> None:
    assert tally("5555", "55....", from_nothing=True).verdict() == "pass"
    assert tally("5555", "55..5.", from_nothing=True).verdict() == "fail"
    assert tally("5555", "555555", from_nothing=True).verdict() == "inconclusive"


def test_the_result_of_another_run_is_not_taken_for_ours(tmp_path: Path) -> None:
    m = FakeMachine(tmp_path)
    write(m, {"run": "r-0"}, tally("....", "...."), finished=True)

    theirs, ours = result(m, {"run": "r-0", "wait_s": 0}), result(m, {"run": "r-1", "wait_s": 0})

    assert (theirs["verdict"], theirs["finished"]) == ("pass", True)
    assert (ours["verdict"], ours["sent"], ours["finished"]) == ("inconclusive", 0, False)
    assert m.read_json(f"{PLACE}/result.json") is not None


async def serve_then_cut(answers: int) -> Tally:
    """Run the probe's client against a server that answers a few times on a connection and then hangs up on one."""
    seen = Tally()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(answers):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    task = asyncio.create_task(client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen))
    while not seen.before.failed:
        await asyncio.sleep(0.01)
    task.cancel()
    server.close()
    return seen


def test_a_request_that_was_cut_is_counted_and_not_sent_again() -> None:
    seen = asyncio.run(serve_then_cut(answers=2))

    assert (seen.before.sent, seen.before.failed) == (3, 1)
