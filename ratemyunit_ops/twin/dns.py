"""Names of the twin: every amazonaws.com name is the TLS front, unless a keeper says otherwise here."""

from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.files import write_whole
from ratemyunit_ops.twin.site import Site


def start_dns(site: Site) -> None:
    """Start dnsmasq at the site's DNS address; it rereads the names by itself."""
    names = site.state_dir / "dns"
    names.mkdir(parents=True, exist_ok=True)
    daemons.start(site, "dns", _command(site))


def set_name(site: Site, name: str, address: str) -> None:
    """Point one full name (an RDS endpoint, a load balancer) at an address, for hosts and databases alike."""
    write_whole(site.state_dir / "dns" / name, f"{address} {name}\n")


def drop_name(site: Site, name: str) -> None:
    """Forget a name; one that is unknown is fine."""
    (site.state_dir / "dns" / name).unlink(missing_ok=True)


def _command(site: Site) -> list[str]:
    return [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--pid-file=",
        "--user=root",
        "--no-resolv",
        "--no-hosts",
        "--bind-interfaces",
        f"--listen-address={site.dns}",
        f"--address=/amazonaws.com/{site.front}",
        f"--hostsdir={site.state_dir / 'dns'}",
        "--log-facility=-",
    ]
