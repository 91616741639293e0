"""The keepers' process: a thread per organ, each a loop that survives its own failures and says so in the log."""

import threading
import time
import traceback
from typing import Any, Protocol

from ratemyunit_ops.twin.keepers.balancers import Balancers
from ratemyunit_ops.twin.keepers.courier import Courier
from ratemyunit_ops.twin.keepers.databases import Databases
from ratemyunit_ops.twin.keepers.groups import Groups
from ratemyunit_ops.twin.keepers.hosts import Hosts
from ratemyunit_ops.twin.keepers.meters import Meters
from ratemyunit_ops.twin.keepers.record import Record
from ratemyunit_ops.twin.keepers.say import say
from ratemyunit_ops.twin.keepers.walls import Walls
from ratemyunit_ops.twin.site import Site

PERIOD_SECONDS = 1.0


class Organ(Protocol):
    """One keeper."""

    name: str

    def step(self, wanted: dict[str, Any]) -> None:
        """Bring the world one step nearer to what is wanted."""


def keep(organ: Organ, record: Record) -> None:
    """Run one organ for ever; the same failure is told once, not every second."""
    last = ""
    while True:
        try:
            organ.step(record.wanted())
            last = ""
        except Exception as why:  # noqa: BLE001  (an organ that stops is worse than one that stumbles)
            if repr(why) != last:
                last = repr(why)
                say(f"{organ.name}: {traceback.format_exc()}")
        time.sleep(PERIOD_SECONDS)


def main() -> None:
    """Keep every organ of the site named by the environment."""
    site = Site.from_env()
    record = Record(site)
    organs: list[Organ] = [kind(site, record) for kind in (Hosts, Groups, Balancers, Databases, Walls, Courier, Meters)]
    threads = [threading.Thread(target=keep, args=(one, record), name=one.name) for one in organs]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


if __name__ == "__main__":
    main()
