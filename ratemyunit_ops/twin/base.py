"""The base: one Debian 13 root, made once and cached, that every machine is an overlay of."""

from collections.abc import Callable
from pathlib import Path

from ratemyunit_ops.twin.site import Site


def ensure_base(site: Site, progress: Callable[[str], None]) -> Path:
    """Answer the base's directory; make it first if its packages or its setup changed (half a minute)."""
    raise NotImplementedError
