"""One twin's names, paths, addresses and ports; nothing here acts."""

import os
from dataclasses import dataclass
from pathlib import Path

from ratemyunit_ops.errors import Mistyped

# What one twin has room for: each has an address and a loopback port of its own.
DATABASES = 20


@dataclass(frozen=True)
class Site:
    """One twin. Two sites with different names and port bases run side by side."""

    name: str = "twin"
    port_base: int = 4580
    region: str = "us-east-1"
    account: str = "123456789012"
    state_root: Path = Path("/var/lib/rmu-twin")
    cache_dir: Path = Path("/var/cache/rmu-twin")

    imds: str = "169.254.169.254"
    dns: str = "169.254.169.253"
    front: str = "169.254.169.250"
    inner: str = "169.254.169.251"
    gate_port: int = 5000
    registry_port: int = 5001
    router: str = "10.77.0.1"
    network: str = "10.77.0.0/16"
    bridge: str = "rmu0"

    def __post_init__(self) -> None:
        # The name becomes part of machine names (64 characters) and of a cgroup path.
        if not self.name.replace("-", "").isalnum() or len(self.name) > 20:
            raise Mistyped(f"a twin cannot be called {self.name!r}", next="RMU_TWIN=NAME: letters, digits, dashes, 20")

    @classmethod
    def from_env(cls) -> "Site":
        """Read RMU_TWIN and RMU_TWIN_PORT_BASE; without them the site is the default twin."""
        base = os.environ.get("RMU_TWIN_PORT_BASE", "4580")
        if not base.isdigit() or not 1024 <= int(base) <= 65000:
            raise Mistyped(f"RMU_TWIN_PORT_BASE={base!r} is no port", next="RMU_TWIN_PORT_BASE=4580")
        return cls(name=os.environ.get("RMU_TWIN", "twin"), port_base=int(base))

    @property
    def netns(self) -> str:
        """The network namespace; its file is /run/netns/NAME."""
        return f"rmu-{self.name}"

    @property
    def netns_file(self) -> Path:
        """The file that `nsenter --net=FILE` takes."""
        return Path("/run/netns") / self.netns

    @property
    def state_dir(self) -> Path:
        """Everything of this twin that `down` wipes."""
        return self.state_root / self.name

    @property
    def cgroup(self) -> str:
        """Path of this twin's cgroup below the mount of each hierarchy."""
        return f"rmu-{self.name}"

    @property
    def endpoint(self) -> str:
        """What AWS_ENDPOINT_URL is for rmu, on this machine's loopback."""
        return f"http://127.0.0.1:{self.port_base}"

    @property
    def front_door_port(self) -> int:
        """Loopback port of the load balancer; the ALB keeper publishes it."""
        return self.port_base + 1

    @property
    def registry_outside(self) -> int:
        """Loopback port of the registry."""
        return self.port_base + 2

    @property
    def first_database_port(self) -> int:
        """Loopback port of the first database; the next ones follow."""
        return self.port_base + 10

    @property
    def registry_host(self) -> str:
        """The registry's AWS name, as hosts call it."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com"

    @property
    def gate_inside(self) -> str:
        """The gate's address inside the namespace, HOST:PORT."""
        return f"{self.inner}:{self.gate_port}"

    @property
    def registry_inside(self) -> str:
        """The registry's address inside the namespace, HOST:PORT."""
        return f"{self.inner}:{self.registry_port}"
