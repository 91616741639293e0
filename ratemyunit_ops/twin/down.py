"""Take a twin away by what is there in the world, not by what someone remembers having started."""

from ratemyunit_ops.twin.site import Site


def lower_ground(site: Site) -> None:
    """End every process, mount, link, cgroup and namespace of the site and wipe its state; caches stay."""
    raise NotImplementedError
