"""Who is asking, and by which scheme? Told by the proxy on this host, never by what a client can write.

The proxy counts the trusted hops in X-Forwarded-For from the right and writes the address it finds there into
X-Real-IP, over whatever a client sent. X-Forwarded-For itself is therefore never read here.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from starlette.types import Scope

KEY = "ratemyunit.client"
UNKNOWN = "unknown"
# A household or a hall has a network of this size; its members choose addresses in it as they like.
IPV6_NETWORK = 64

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Client:
    """Whom to count a request for, and whether the browser's own connection is encrypted.

    `address` is None for this host itself: a request that came past the proxy.
    """

    address: str | None
    https: bool


def of(scope: Scope) -> Client:
    """Tell who sent a request."""
    if KEY not in scope:
        scope[KEY] = _look(scope)
    found: Client = scope[KEY]
    return found


def header(scope: Scope, name: bytes) -> str:
    """Read one header of a request; empty where it is absent."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _look(scope: Scope) -> Client:
    peer = _parsed(scope["client"][0]) if scope.get("client") else None
    https = scope["scheme"] == "https"
    # A peer without an address is a socket file on this host.
    if peer is not None and not any(peer in network for network in scope["app"].state.settings.trusted_proxies):
        return Client(_network(peer), https)
    https = https or header(scope, b"x-forwarded-proto") == "https"
    told = header(scope, b"x-real-ip")
    if not told:
        return Client(None, https)
    address = _parsed(told)
    return Client(_network(address) if address else UNKNOWN, https)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _network(address: Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, IPV6_NETWORK), strict=False))
