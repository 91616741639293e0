"""HAProxy's configuration on a host that is older than its caller: written whole, tried, then reloaded, or left alone.

Only before a move to another database, which needs its hold; a deploy changes nothing here.
"""

from __future__ import annotations

import re
from typing import Any

from .answers import failed, refused
from .hold import known
from .machine import Machine
from .slots import last
from .state import HOLD, record, write_hold, write_map
from .traffic import live_now

CONFIG = "/etc/haproxy/haproxy.cfg"
LUA = "/etc/haproxy/hold.lua"
RELOAD_S = 10


def another_database(m: Machine, database: dict[str, Any]) -> bool:
    """Tell whether what serves has another database than this one."""
    slot = live_now(m).slot
    held = record(m, slot) if slot else None
    return held is not None and held["database"]["identifier"] != database["identifier"]


def bring_in_line(m: Machine) -> None:
    """Give HAProxy the configuration of this program unless it has it.

    Raises No where HAProxy would not take it; the one that runs stays as it is then.
    """
    before, lua = m.read(CONFIG) or "", m.shipped("hold.lua")
    config = rendered(m, before)
    if known(m) and (before, m.read(LUA)) == (config, lua):
        return
    m.write(LUA, lua)
    if m.read(HOLD) is None:
        write_hold(m, 0)
    fresh = f"{CONFIG}.new"
    m.write(fresh, config)
    tried = m.run(["haproxy", "-c", "-f", str(m.path(fresh))])
    m.remove(fresh)
    if tried.code != 0:
        raise failed("no_hold", f"HAProxy does not take the configuration that holds requests: {last(tried.err)}")
    write_map(m, live_now(m))  # a reload obeys the file
    m.write(CONFIG, config)
    m.run(["systemctl", "reload", "haproxy.service"], timeout=60)
    if not known_soon(m):
        m.write(CONFIG, before)
        raise failed("no_hold", "HAProxy was reloaded and goes on with the configuration it had")


def rendered(m: Machine, before: str) -> str:
    """Render the whole configuration. The number of trusted proxies is the environment's: the present one has it."""
    hops = re.search(r"req\.hdr\(x-forwarded-for,-(\d+)\)", before)
    if not hops:
        raise refused("no_hold", "HAProxy's configuration here is not one that rmu wrote")
    return m.shipped("haproxy.cfg").replace("TRUSTED_HOPS", hops[1])


def known_soon(m: Machine) -> bool:
    """Wait until the HAProxy that answers has the hold."""
    end = m.now() + RELOAD_S
    while not known(m):
        if m.now() >= end:
            return False
        m.sleep(0.1)
    return True
