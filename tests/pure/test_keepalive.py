"""The client that holds a flip to "no request lost": it sees an idle connection cut, however short the run."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.clients.keepalive import IDLE, run

RUN_S = 2.5
"""Every connection has sent its first request by 2 s."""
FOREVER_S = 3600.0


async def seen(cut_after_s: float) -> dict[str, Any]:
    """Run the client against a server that closes what has idled for that long."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), cut_after_s):
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"version":"v1"}')
        except (TimeoutError, EOFError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return await run(f"http://127.0.0.1:{port}/version", RUN_S, connections=3 * len(IDLE), patience=5)


def test_f11_an_idle_connection_that_was_cut_is_counted_in_a_run_shorter_than_its_pause() -> None:
    async def both() -> tuple[dict[str, Any], dict[str, Any]]:
        return await asyncio.gather(seen(0.3), seen(FOREVER_S))

    cut, kept = asyncio.run(both())

    # Three connections pause for 4-7 s and three for 50-57 s: each of them was cut.
    assert cut["failed"] >= 6
    assert (kept["failed"], kept["releases"]) == (0, {"v1": kept["sent"]})
