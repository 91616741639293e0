"""The journal as files for the CloudWatch agent: one a stream, a JSON object a line, small enough for the disk.

The agent reads files; its own input for the journal wraps what is said in the journal's fields, where no metric
filter sees the app's JSON. The cursor is written after the lines that it covers: killed between the two, this writes
a batch twice and loses none.
"""

from __future__ import annotations

import json
import os
import subprocess
from fcntl import F_SETPIPE_SZ, fcntl
from select import select
from typing import Any

from .machine import Machine
from .state import STATE

FOLDER = "/var/log/rmu"
CURSOR = f"{STATE}/journal.cursor"
STREAMS = ("rmu-blue", "rmu-green", "rmu-worker", "haproxy")
"""Units with a file of their own; what the others say that matters goes into `system`."""
OURS = ("rmu-", "redis", "ssh")
LARGEST = 8 << 20
PAUSE_S = 0.2
ROOM = 1 << 18
FIELDS = "--output-fields=MESSAGE,PRIORITY,UNIT,_SYSTEMD_UNIT,SYSLOG_IDENTIFIER"


def follow(m: Machine) -> None:
    """Copy until killed; where journalctl ends, end too: the unit starts both again."""
    # Without -a a long line is null. A first time begins with this boot, any other where the last one ended.
    since = m.read(CURSOR)
    argv = ["journalctl", "-faqo", "json", "--no-tail", FIELDS, f"--after-cursor={since}" if since else "-b"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as journal:
        assert journal.stdout is not None
        pipe, rest = journal.stdout.fileno(), b""
        fcntl(pipe, F_SETPIPE_SZ, ROOM)  # what a pipe has by itself is full after some 80 requests
        while True:
            select([pipe], [], [])
            m.sleep(PAUSE_S)  # what comes together is written together
            piece = os.read(pipe, ROOM)
            if not piece:
                return
            *lines, rest = (rest + piece).split(b"\n")
            copy(m, [json.loads(line) for line in lines])


def copy(m: Machine, entries: list[dict[str, Any]]) -> None:
    """Write entries into the files of their streams, then how far this came; put files aside that grew large."""
    for entry in entries:
        stream, line = line_of(entry)
        if stream:
            with m.path(f"{FOLDER}/{stream}.log").open("a") as f:
                f.write(line + "\n")
    if entries:
        m.write(CURSOR, entries[-1]["__CURSOR"])
    for file in m.path(FOLDER).glob("*.log"):
        if file.stat().st_size > LARGEST:
            file.replace(f"{file}.1")


def line_of(entry: dict[str, Any]) -> tuple[str, str]:
    """Tell the stream and the line of an entry; no stream for what nobody will ask for."""
    unit = str(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT") or entry.get("SYSLOG_IDENTIFIER"))
    unit = unit.removesuffix(".service")
    level, said = int(entry.get("PRIORITY") or 6), entry.get("MESSAGE") or ""
    # What systemd says of a unit that comes and goes by a timer is no news.
    speaks = unit.startswith(OURS) and "UNIT" not in entry
    stream = unit if unit in STREAMS else "system" if level < 5 or speaks else ""
    if isinstance(said, list):  # bytes that are no text
        said = bytes(said).decode(errors="replace")
    said = said.rstrip()  # podman keeps the end of a line
    try:
        if isinstance(json.loads(said), dict) and "\n" not in said:
            return stream, said
    except ValueError:
        pass
    at, name = int(entry["__REALTIME_TIMESTAMP"]) / 1e6, "error" if level < 4 else "warning" if level < 5 else "info"
    return stream, json.dumps({"at": at, "level": name, "unit": unit, "message": said})
