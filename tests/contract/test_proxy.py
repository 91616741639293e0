"""A real HAProxy under the product's configuration: requests that wait while a database is exchanged beneath them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rmu_host.proxy import CONFIG

from tests.fakes.host_machine import FakeCloud, release
from tests.fakes.proxy import NEW, RESTORED, ProxiedMachine, asks, serve_v1, stand_beside, without_hold
from tests.pure.test_host_program import Caller

Answer = dict[str, Any]


@pytest.fixture
def m() -> Iterator[ProxiedMachine]:
    if shutil.which("haproxy") is None:
        pytest.skip("no haproxy here: that requests wait is not proven")
    # The path of a socket has 107 characters at most: pytest's own directories are too deep.
    with ProxiedMachine(Path(tempfile.mkdtemp(prefix="rmu-"))) as machine:
        yield machine


@pytest.fixture
def ask(m: ProxiedMachine) -> Caller:
    """Have v1 serve, and stand ready once more on the restored database."""
    m.start_proxy()
    caller = Caller(m, FakeCloud())
    serve_v1(caller)
    stand_beside(caller)
    return caller


async def verb(ask: Caller, name: str, **body: Any) -> Answer:
    answer = await asyncio.to_thread(ask, name, **body)
    assert answer["outcome"] in ("changed", "ok", "already"), answer
    return answer


async def cut_over(ask: Caller, m: ProxiedMachine, clients: int, held: bool) -> tuple[list[Any], float]:
    """Exchange the database beneath clients with a request under way; return their answers, and when it was over."""
    lines = [await m.client() for _ in range(clients)]
    before = await asyncio.gather(*(asks(line) for line in lines))
    assert {(status, database) for status, database, _ in before} == {(200, "rmu-test-db-1")}
    if held:
        await verb(ask, "hold", on=True, at_most_s=20)
    await asyncio.to_thread(m.sides["blue"].stop)
    waiting = [asyncio.create_task(asks(line)) for line in lines]
    await asyncio.sleep(2.5 if held else 0.2)
    await verb(ask, "serve", release=NEW, backup=None, probe=None)
    over = time.monotonic()
    await verb(ask, "hold", on=False)
    return list(await asyncio.gather(*waiting)), over


def test_a_hundred_requests_wait_for_the_new_side_and_none_fails(ask: Caller, m: ProxiedMachine) -> None:
    answers, over = asyncio.run(cut_over(ask, m, 100, held=True))

    assert [(status, database) for status, database, _ in answers] == [(200, "rmu-test-db-r7")] * 100
    late = sorted(at - over for _, _, at in answers)
    assert late[0] > 0, "nobody was answered before the hold was over"
    assert late[98] < 2, "they were let go, and waited on"


def test_without_the_hold_the_same_requests_fail(ask: Caller, m: ProxiedMachine) -> None:
    answers, _ = asyncio.run(cut_over(ask, m, 100, held=False))

    assert {status for status, _, _ in answers} == {503}


def test_a_hold_that_nobody_ends_is_over_at_its_deadline(ask: Caller, m: ProxiedMachine) -> None:
    async def wait() -> tuple[float, tuple[int, str, float]]:
        line, began = await m.client(), time.monotonic()
        await verb(ask, "hold", on=True, at_most_s=3)
        return began, await asks(line)

    began, (status, database, at) = asyncio.run(wait())

    assert (status, database) == (200, "rmu-test-db-1")
    assert 1.9 < at - began < 3.5


def test_health_and_the_hosts_own_requests_pass_a_hold(ask: Caller, m: ProxiedMachine) -> None:
    ask("hold", on=True, at_most_s=20)
    began = time.monotonic()

    own = m.get(8080, "/version")
    health = asyncio.run(healthy(m))

    assert (own.status, own.slot, health) == (200, "blue", 200)
    assert time.monotonic() - began < 1


async def healthy(m: ProxiedMachine) -> int:
    line = await m.client()
    line.request = line.request.replace(b"/version", b"/rmu-health")
    return (await line.ask())[0]


def test_what_waits_leaves_the_balancer_its_connections(m: ProxiedMachine) -> None:
    m.write(CONFIG, (m.read(CONFIG) or "").replace("fe_conn gt 3500", "fe_conn gt 20"))
    m.start_proxy()
    ask = Caller(m, FakeCloud())
    serve_v1(ask)
    ask("hold", on=True, at_most_s=20)

    async def crowd() -> tuple[list[int], int]:
        lines = [await m.client() for _ in range(40)]
        tasks = [asyncio.create_task(asks(line)) for line in lines]
        done, _ = await asyncio.wait(tasks, timeout=0.5)
        health = await healthy(m)
        await verb(ask, "hold", on=False)
        await asyncio.gather(*tasks)
        return [task.result()[0] for task in done], health

    turned_away, health = asyncio.run(crowd())

    assert turned_away
    assert set(turned_away) == {503}
    assert health == 200


def test_nobody_but_the_host_learns_which_slot_answered(ask: Caller, m: ProxiedMachine) -> None:
    async def heads() -> bytes:
        line = await m.client()
        assert line.writer is not None
        assert line.reader is not None
        line.writer.write(line.request)
        return await line.reader.readuntil(b"\r\n\r\n")

    assert b"x-rmu-slot" not in asyncio.run(heads()).lower()


def test_f05_a_reload_in_the_middle_of_a_hold_loses_nobody_and_holds_on(ask: Caller, m: ProxiedMachine) -> None:
    async def reloaded() -> list[tuple[int, str, float]]:
        lines = [await m.client() for _ in range(20)]
        await asyncio.gather(*(asks(line) for line in lines))
        await verb(ask, "hold", on=True, at_most_s=4)
        waiting = [asyncio.create_task(asks(line)) for line in lines]
        await asyncio.sleep(0.5)
        m.run(["systemctl", "reload", "haproxy.service"])
        await asyncio.sleep(1)
        late = [asyncio.create_task(asks(line)) for line in [await m.client() for _ in range(20)]]
        await asyncio.sleep(0.5)
        assert not [task for task in (*waiting, *late) if task.done()]
        return list(await asyncio.gather(*waiting, *late))

    answers = asyncio.run(reloaded())

    assert {status for status, _, _ in answers} == {200}
    assert len(answers) == 40


def test_a_host_of_before_learns_to_hold_without_losing_a_request(m: ProxiedMachine) -> None:
    m.write(CONFIG, without_hold(m.read(CONFIG) or ""))
    m.start_proxy()
    ask = Caller(m, FakeCloud())
    serve_v1(ask)
    assert ask("hold", on=True, at_most_s=5)["why"] == "no_hold"

    statuses = asyncio.run(prepared_under_load(ask, m))

    assert len(statuses) > 100
    assert set(statuses) == {200}
    assert ask("hold", on=True, at_most_s=5)["outcome"] == "changed"
    assert ask("hold", on=False)["outcome"] == "changed"


async def prepared_under_load(ask: Caller, m: ProxiedMachine) -> list[int]:
    """Prepare the slot of a restore while clients ask on kept connections."""
    statuses: list[int] = []
    done = asyncio.Event()

    async def go_on() -> None:
        line = await m.client()
        while not done.is_set():
            if line.writer is None:  # the answer said that its connection ends
                line = await m.client()
            statuses.append((await line.ask())[0])
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(go_on()) for _ in range(30)]
    await asyncio.sleep(0.3)
    await verb(ask, "prepare", release=release("v1"), database=RESTORED)
    await asyncio.sleep(0.5)
    done.set()
    await asyncio.gather(*tasks)
    return statuses
