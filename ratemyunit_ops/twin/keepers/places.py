"""Where balancers and databases stand: addresses and loopback ports that are known before they exist.

The door opens them all when the twin comes up, because HAProxy leaves the namespace when it is reloaded: a connection
that its old worker has just accepted would be lost.
"""

from ratemyunit_ops.twin import door
from ratemyunit_ops.twin.site import DATABASES, Site

POSTGRES_PORT = 5432
_FIRST_DATABASE = 200
_FIRST_BALANCER = 240


def balancer_addresses(site: Site) -> list[str]:
    """Answer the addresses of balancers, the first one's first."""
    return [_address(site, n) for n in range(_FIRST_BALANCER, 255)]


def database_address(site: Site, place: int) -> str:
    """Answer the address of the database that stands at a place."""
    return _address(site, _FIRST_DATABASE + place)


def database_port(site: Site, place: int) -> int:
    """Answer the loopback port of the database that stands at a place."""
    return site.first_database_port + place


def open_doors(site: Site) -> None:
    """Open the front door and the databases' ports, whoever will stand behind them."""
    doors = {site.front_door_port: f"{balancer_addresses(site)[0]}:80"}
    for place in range(DATABASES):
        doors[database_port(site, place)] = f"{database_address(site, place)}:{POSTGRES_PORT}"
    door.publish_all(site, doors, tcp=True)


def _address(site: Site, last: int) -> str:
    return f"{site.network.rpartition('.')[0]}.{last}"
