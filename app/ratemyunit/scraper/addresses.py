"""Which addresses the scraper may ask: the public web on its usual ports, and nothing else.

Both ways out, the plain client (fetch.py) and the browser's gate (gate.py), come through here for each request, each
redirect and each part of a page. A name is resolved once and the answer is what is connected to: a name that answers
differently the next time (DNS rebinding) gains nothing.

A host that the operator named (SCRAPE_HOSTS) may be private and have any port, but only for jobs that are about that
very host and port: no page of another site reaches it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from ratemyunit.scraper.port import Hopeless, Trouble

LONGEST_URL = 2000
PORTS = {"http": 80, "https": 443}
RESOLVE_SECONDS = 5.0
AT_ONCE = 2
"""How many names one job may ask for at once."""

# Written out, since what Python calls global has changed between versions. Azure's wire server looks public.
CLOSED_4 = [
    IPv4Network(one)
    for one in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32"),
        *("169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
        *("192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    )
]
# Of IPv6 only global unicast is open. That leaves out loopback, private, link-local, multicast, mapped and translated
# IPv4; in it lie tunnels that carry an IPv4 address (Teredo, 6to4) and the addresses of documentation.
OPEN_6 = IPv6Network("2000::/3")
CLOSED_6 = [IPv6Network(one) for one in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]

# A thread that asks for a name cannot be called back, and a page may name zones whose servers are silent. Threads of
# their own, since others measure what browsers take and write how jobs end; enough that a job leaves some to the next.
_resolvers = ThreadPoolExecutor(4 * AT_ONCE, thread_name_prefix="names")

Resolve = Callable[[str, int], Awaitable[list[str]]]


class AddressRefused(Hopeless):
    """This address may not be asked; the message says why."""


@dataclass(frozen=True)
class Target:
    """Who a URL leads to."""

    scheme: str
    host: str
    port: int

    @property
    def place(self) -> tuple[str, int]:
        """Name host and port, whatever the scheme."""
        return self.host, self.port

    @property
    def origin(self) -> str:
        """Spell the beginning of its URLs: the port is left out where it goes without saying."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")


def target(url: str) -> Target:
    """Read whom a URL leads to.

    Raises:
        AddressRefused: it is no plain address of a web page.
    """
    # Browsers strip or turn what Python keeps (tab, newline, backslash): where readers differ, attacks live.
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or any(sign in url for sign in " \\"):
        raise AddressRefused(f"an address has at most {LONGEST_URL} printable ASCII characters, no space or backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as why:
        raise AddressRefused("the address is malformed") from why
    if parts.scheme not in PORTS:
        raise AddressRefused("only http and https are asked")
    if "@" in parts.netloc:
        raise AddressRefused("an address holds no name and no password")
    if not parts.hostname or "%" in parts.hostname:
        raise AddressRefused("the address names no host")
    return Target(parts.scheme, _plain(parts.hostname), PORTS[parts.scheme] if port is None else port)


def spelled(url: str) -> str:
    """Spell a URL with its site in one way, so that one site is not taken for several; its path is left alone.

    Raises:
        AddressRefused: it is no plain address of a web page.
    """
    parts = urlsplit(url)
    path = url[len(f"{parts.scheme}://{parts.netloc}") :]
    return target(url).origin + (path if path.startswith("/") else f"/{path}")


class Guard:
    """The rules for one job: `named` hosts are the operator's own, `home` is the job's own URL."""

    def __init__(self, named: Collection[str] = (), home: str | None = None, resolve: Resolve | None = None) -> None:
        self._home = target(home).place if home else None
        self._named = frozenset(named)
        self._resolve = resolve or _resolved
        self._places = asyncio.Semaphore(AT_ONCE)

    def admit(self, url: str) -> Target:
        """Look at a URL alone, without asking anybody.

        Raises:
            AddressRefused: it may not be asked, whatever its name resolves to.
        """
        asked = target(url)
        self.admit_place(*asked.place)
        return asked

    def admit_place(self, host: str, port: int) -> None:
        """Look at a host and a port alone.

        Raises:
            AddressRefused: they may not be asked, whatever the name resolves to.
        """
        if self._is_ours(host, port):
            return
        if port not in PORTS.values():
            raise AddressRefused(f"port {port} is not asked")
        if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
            raise AddressRefused("the name is one of a private network")
        literal = _literal(host)
        if literal is not None and not public(literal):
            raise AddressRefused("the address is not a public one")

    async def addresses(self, host: str, port: int) -> list[str]:
        """Resolve a name, once: what is answered here is what may be connected to.

        Raises:
            AddressRefused: it may not be asked.
            Trouble: the name cannot be resolved.
        """
        self.admit_place(host, port)
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._in_turn(host, port)
        except (OSError, UnicodeError, TimeoutError) as why:
            raise Trouble("the name of the site cannot be resolved") from why
        if not found:
            raise Trouble("the name of the site has no address")
        # One closed address among open ones is refused too: nobody's catalogue has a private half.
        if not self._is_ours(host, port) and not all(public(ip_address(one.partition("%")[0])) for one in found):
            raise AddressRefused("the name leads to an address that is not public")
        return found

    async def _in_turn(self, host: str, port: int) -> list[str]:
        await self._places.acquire()
        asking = asyncio.ensure_future(self._resolve(host, port))
        asking.add_done_callback(self._end_turn)
        # Whoever waits may go away; the place is taken for as long as the thread is.
        await asyncio.wait([asking])
        return asking.result()

    def _end_turn(self, asking: asyncio.Future[list[str]]) -> None:
        self._places.release()
        if not asking.cancelled():
            asking.exception()  # seen, though nobody may wait for it any more

    def _is_ours(self, host: str, port: int) -> bool:
        return host in self._named and (host, port) == self._home


def public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is one of the public Internet."""
    if isinstance(address, IPv4Address):
        return not any(address in net for net in CLOSED_4)
    return address in OPEN_6 and not any(address in net for net in CLOSED_6)


def _plain(host: str) -> str:
    """Write a host in one way, and refuse numbers that are spelled to be overlooked (2130706433, 0177.1, 0x7f.1)."""
    host = host.lower().removesuffix(".")
    literal = _literal(host)
    if literal is not None:
        return str(literal)
    try:
        socket.inet_aton(host)
    except OSError:
        return host
    raise AddressRefused("the address is a number in an unusual spelling")


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


async def _resolved(host: str, port: int) -> list[str]:
    asking = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_resolvers, asking)
    return [str(where[0]) for *_, where in found]
