"""A stop that comes to its end: whatever then still hangs in a thread, which nobody can end, the process leaves."""

import logging
import os
import threading

log = logging.getLogger("ratemyunit.stopping")


def leave_in(seconds: float) -> None:
    """Leave with success after so long, if the process has not ended by itself until then."""
    last = threading.Timer(seconds, _leave)
    last.daemon = True
    last.start()


def _leave() -> None:
    log.error("stopped, though something in hand never ended")
    os._exit(0)
