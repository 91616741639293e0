"""What the keepers have seen, kept beside moto's record for the life of the process; and the knobs of this AWS."""

from dataclasses import dataclass, field
from typing import Any

from ratemyunit_ops.twin.site import DATABASES

DAY_SECONDS = 86_400


@dataclass
class Seen:
    """The real world as the keepers last reported it."""

    machines: dict[str, str] = field(default_factory=dict)
    """Instance id -> `running` or `gone`."""
    targets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Target group ARN -> target id -> `initial`, `healthy` or `unhealthy`."""
    databases: dict[str, str] = field(default_factory=dict)
    """Database identifier -> its status: `creating`, `backing-up`, `available`, `rebooting`, `storage-full` ..."""
    database_addresses: dict[str, str] = field(default_factory=dict)
    """Database identifier -> the address of its machine."""
    restart_pending: dict[str, bool] = field(default_factory=dict)
    """Database identifier -> whether a changed parameter waits for a reboot."""
    obeyed: dict[str, int] = field(default_factory=dict)
    """Database identifier -> the number of the last modification that its machine obeys."""
    archived: dict[str, float] = field(default_factory=dict)
    """Database resource id -> unix time up to which a restore is possible, by what is archived."""
    bases: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Database resource id -> its base backups, the oldest first: `name`, `ended` (unix time), `damaged`."""
    snapshots: dict[str, str] = field(default_factory=dict)
    """Snapshot identifier -> `available` or `failed`."""
    balancers: dict[str, str] = field(default_factory=dict)
    """Load balancer ARN -> address."""


@dataclass
class Knobs:
    """How this AWS takes its time, and how much there is of it; `rmu twin fault` turns them."""

    quota: int = DATABASES
    """Database instances that the account may have."""
    creating_seconds: float = 0.0
    """An instance says `creating` at least that long."""
    quiet_seconds: float = 1.0
    """A modified instance goes on saying `available` that long."""
    archive_seconds: float = 15.0
    """WAL is shipped that often: LatestRestorableTime lags by as much."""
    backup_seconds: float = 86_400.0
    """An automated backup is taken that long after the one before."""
    backups: bool = True
    """Automated backups are taken at all."""
    disk_full: bool = False
    """Restores find no room for their data."""
    days_ahead: float = 0.0
    """Schedules fire, and certificates come to their end, as though so many days had passed."""


SEEN = Seen()
KNOBS = Knobs()
