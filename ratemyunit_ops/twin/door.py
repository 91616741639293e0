"""The door: one HAProxy on 127.0.0.1 that reaches into the namespace, the only thing of a twin outside it."""

from ratemyunit_ops.twin.site import Site


def start_door(site: Site) -> None:
    """Start the door with the endpoint (port_base) and the registry (port_base + 2)."""
    raise NotImplementedError


def publish(site: Site, port: int, address: str, *, tcp: bool = False) -> None:
    """Let 127.0.0.1:PORT lead to HOST:PORT inside the namespace; the same port again is moved, without a drop."""
    raise NotImplementedError


def withdraw(site: Site, port: int) -> None:
    """Close a port of the door; one that is not open is fine."""
    raise NotImplementedError


def published(site: Site) -> dict[int, str]:
    """Answer which loopback port leads where."""
    raise NotImplementedError
