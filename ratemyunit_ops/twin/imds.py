"""Instance metadata, version 2, at 169.254.169.254 inside the namespace; the caller is known by its address."""

from dataclasses import dataclass, field

from ratemyunit_ops.twin.site import Site


@dataclass(frozen=True)
class Role:
    """Credentials of the instance's role, as `security-credentials/NAME` gives them."""

    name: str
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: str  # ISO 8601, "2030-01-01T00:00:00Z"


@dataclass(frozen=True)
class Facts:
    """What one instance may learn about itself."""

    instance_id: str
    local_ipv4: str
    region: str = "us-east-1"
    availability_zone: str = "us-east-1a"
    account: str = "123456789012"
    ami_id: str = "ami-0000000000000twin"
    instance_type: str = "t3.micro"
    user_data: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    role: Role | None = None
    instance_profile_arn: str = ""
    security_groups: tuple[str, ...] = ()
    hop_limit: int = 1


def describe(site: Site, address: str, facts: Facts) -> None:
    """Say what the machine at this address may learn; before it boots, and again when something changes."""
    raise NotImplementedError


def forget(site: Site, address: str) -> None:
    """Know nothing about an address any more."""
    raise NotImplementedError
