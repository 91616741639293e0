"""Raise the ground: namespace, bridge, addresses, IMDS, DNS, TLS front, door. Keepers stand on it."""

from ratemyunit_ops.twin.site import Site


def raise_ground(site: Site) -> None:
    """Make the namespace with its bridge, and start IMDS, DNS, the TLS front and the door. Safe to repeat.

    Raises Refused when something that it needs is missing on this machine, or a port is taken.
    """
    raise NotImplementedError
