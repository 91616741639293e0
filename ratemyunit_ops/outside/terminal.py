"""A person's terminal, lent to a session on a host: raw, so that every key is the host's, Ctrl-C too."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paramiko


def is_one() -> bool:
    """Tell whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def lend(way: paramiko.Transport) -> int:
    """Open a shell with a terminal on the host and be its keyboard and screen until it ends; answer its exit code."""
    channel = way.open_session()
    columns, lines = shutil.get_terminal_size()
    channel.get_pty(os.environ.get("TERM", "xterm"), columns, lines)
    channel.invoke_shell()
    with _raw(sys.stdin.fileno()), _told_of_resizes(channel):
        _carry(channel)
    return channel.recv_exit_status()


@contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    before = termios.tcgetattr(keyboard)
    try:
        tty.setraw(keyboard)
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


@contextmanager
def _told_of_resizes(channel: paramiko.Channel) -> Iterator[None]:
    def resized(number: int, frame: FrameType | None) -> None:
        columns, lines = shutil.get_terminal_size()
        channel.resize_pty(columns, lines)

    before = signal.signal(signal.SIGWINCH, resized)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _carry(channel: paramiko.Channel) -> None:
    """Carry keys there and output here, until the host closes."""
    keyboard = sys.stdin.fileno()
    sources: list[Any] = [channel, keyboard]
    while True:
        ready, _, _ = select.select(sources, [], [], 30)
        if channel in ready:
            part = channel.recv(65536)
            if not part:
                return
            os.write(sys.stdout.fileno(), part)
        if keyboard in ready:
            keys = os.read(keyboard, 4096)
            if keys:
                channel.sendall(keys)
            else:
                sources.remove(keyboard)
                channel.shutdown_write()
