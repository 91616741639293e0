"""The twin's certificate authority and what it signs. Made once in the cache; every base trusts it."""

from dataclasses import dataclass
from pathlib import Path

from ratemyunit_ops.twin.site import Site


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM."""

    certificate: Path
    key: Path


def authority(site: Site) -> Pair:
    """Answer the twin's CA; make it if it is not there yet."""
    raise NotImplementedError


def issue(site: Site, label: str, names: list[str]) -> Pair:
    """Sign a server certificate for these names (an RDS endpoint, a load balancer); the same label is reused."""
    raise NotImplementedError
