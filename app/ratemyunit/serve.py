"""Role `api`: run the application under uvicorn until SIGTERM, then finish what runs and leave with 0."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from ratemyunit import api, logs, settings, stopping
from ratemyunit.guard import protocol

# Longer than any proxy in front keeps an idle connection, or it would send a request into a closing socket.
KEEP_ALIVE = 80
# In seconds. The host waits 40 before it kills; we promise to be gone after 30.
GRACE = 20
"""How long requests in hand may take after a stop."""
CLOSING = 7
"""How long closing may take after that. A request's thread cannot be ended, and Python would wait for it for ever."""

log = logging.getLogger("ratemyunit.serve")


class Server(uvicorn.Server):
    """A server that ends with success when told to stop; uvicorn would raise the signal again."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Turn SIGTERM and SIGINT into an orderly end; a second one hurries it."""
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.handle_exit, name, None)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the end, and see to it that it comes."""
        super().handle_exit(sig, frame)
        stopping.leave_in(GRACE + CLOSING)


def run() -> int:
    """Serve until told to stop; answer the exit code."""
    try:
        asked = settings.read()
    except settings.SettingsWrong as why:
        logs.start("INFO", role="api")
        log.error("settings are wrong: %s", why)
        return 2
    logs.start(asked.log_level, role="api", release=asked.version)
    config = uvicorn.Config(
        api.create(asked),
        host=asked.http_host,
        port=asked.http_port,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        log_config=None,
        access_log=False,
        server_header=False,
        loop="uvloop",
        http=protocol.of(asked.version),
        # The client is told by the proxy's X-Real-IP alone (guard.client); uvicorn would believe X-Forwarded-For.
        proxy_headers=False,
        ws="none",
    )
    server = Server(config)
    server.run()
    log.info("stopped")
    return 0
