"""Process 1 of a container: hand signals on to the one real process, and bury what it leaves behind.

A browser's helpers outlive the browser for a moment, and then belong to process 1. Nobody else waits for them, so
without this each browser would leave two dead entries in the process table for as long as the worker lives.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType


def run(role: Callable[[], int]) -> int:
    """Run the role in a child until it ends; answer its exit code, or 128 and its signal."""
    child = os.fork()
    if child == 0:
        os._exit(_guarded(role))

    def hand_on(number: int, _: FrameType | None) -> None:
        os.kill(child, number)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, hand_on)
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _guarded(role: Callable[[], int]) -> int:
    # The child must never return into its parent's code, whatever happens in it.
    try:
        return role()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        return 1
