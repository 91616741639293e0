"""Process 1 of a container: hand signals on to the one real process, and bury what it leaves behind.

A browser's helpers outlive the browser for a moment, and then belong to process 1. Nobody else waits for them, so
without this each browser would leave two dead entries in the process table for as long as the worker lives.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

_HEEDED = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}


def run(role: Callable[[], int]) -> int:
    """Run the role in a child until it ends; answer its exit code, or 128 and its signal."""
    # Blocked and taken one by one: a handler would not run for a signal that comes just before `wait` begins to wait,
    # and one that comes before the handler is there is lost for good, since the kernel spares process 1.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEEDED)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os._exit(_guarded(role))
    while True:
        told = signal.sigwait(_HEEDED)
        if told != signal.SIGCHLD:
            os.kill(child, told)
        for ended, status in _buried():
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


def _buried() -> Iterator[tuple[int, int]]:
    """Bury who has ended by now, each with its status: several deaths may be told as one."""
    with suppress(ChildProcessError):
        while (dead := os.waitpid(-1, os.WNOHANG))[0]:
            yield dead


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
