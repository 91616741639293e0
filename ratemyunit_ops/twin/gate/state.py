"""What the keepers have seen, kept beside moto's record for the life of the process."""

from dataclasses import dataclass, field


@dataclass
class Seen:
    """The real world as the keepers last reported it."""

    machines: dict[str, str] = field(default_factory=dict)
    """Instance id -> `running` or `gone`."""
    targets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Target group ARN -> target id -> `initial`, `healthy` or `unhealthy`."""
    databases: dict[str, str] = field(default_factory=dict)
    """Database identifier -> `creating`, `available`, `rebooting` or `stopped`."""
    database_addresses: dict[str, str] = field(default_factory=dict)
    """Database identifier -> the address of its machine."""
    restart_pending: dict[str, bool] = field(default_factory=dict)
    """Database identifier -> whether a changed parameter waits for a reboot."""
    archived: dict[str, float] = field(default_factory=dict)
    """Database identifier -> unix time up to which its WAL is archived."""
    balancers: dict[str, str] = field(default_factory=dict)
    """Load balancer ARN -> address."""


SEEN = Seen()
