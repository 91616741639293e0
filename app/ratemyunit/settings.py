"""What the environment says. The only reader of os.environ."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network

LOCAL_REDIS = "redis://127.0.0.1:6379/0"
BROWSERS = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")


# What one client may ask for. A whole campus may stand behind one address.
RATES = {"read": "1200/minute", "write": "60/minute", "auth": "30/minute", "account": "20/hour"}
RATE = re.compile(r"off|[1-9]\d{0,6}/(?:second|minute|hour)")
# The proxy on this host; whoever else reaches the port speaks for itself alone.
PROXIES = "127.0.0.0/8 ::1/128"

FIXTURE_HOSTS = ("127.0.0.1", "localhost")
KEPT = frozenset({"HOME", "LANG", "PATH", "TMPDIR", "TZ"})
NUMBER = re.compile(r"\d{1,4}(?:\.\d{1,3})?")


class SettingsWrong(Exception):
    """The environment lacks something or holds nonsense; the message names the variable."""


@dataclass(frozen=True)
class Scraping:
    """What the scraper may do. Named hosts are the operator's own: they may be private, and need no pause."""

    named_hosts: frozenset[str]
    pause: timedelta
    browsers: int
    page_seconds: float


@dataclass(frozen=True)
class Settings:
    """One frozen answer to everything the roles may ask of their environment."""

    database_url: str
    redis_url: str
    http_host: str
    http_port: int
    version: str
    digest: str
    host: str
    database: str
    admin_token: str
    database_sharers: int
    fixture_catalogue: bool
    chromium: str
    log_level: str
    scraping: Scraping
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    rates: Mapping[str, str]


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment.

    Raises:
        SettingsWrong: a variable is missing or malformed.
    """
    env = os.environ if environ is None else environ
    return Settings(
        database_url=database_url(env),
        redis_url=_url({"REDIS_URL": LOCAL_REDIS, **env}, "REDIS_URL", ("redis://", "rediss://")),
        http_host=env.get("HTTP_HOST", "127.0.0.1"),
        http_port=_number(env, "HTTP_PORT", 3001, most=65535),
        version=env.get("RELEASE_VERSION", "unknown"),
        digest=env.get("RELEASE_DIGEST", "unknown"),
        host=env.get("HOST_ID", "unknown"),
        database=env.get("DATABASE_ID", "unknown"),
        admin_token=env.get("ADMIN_TOKEN", ""),
        database_sharers=_number(env, "DATABASE_SHARERS", 8, most=1000),
        fixture_catalogue=env.get("FIXTURE_CATALOGUE", "0") == "1",
        chromium=env.get("CHROMIUM_PATH") or browser(),
        log_level=env.get("LOG_LEVEL", "INFO").upper(),
        scraping=_scraping(env),
        trusted_proxies=_networks(env),
        rates={policy: _rate(env, f"RATE_{policy.upper()}", usual) for policy, usual in RATES.items()},
    )


def forget() -> None:
    """Take everything out of the environment but what any program needs: whatever is started now inherits no secret."""
    for name in set(os.environ) - KEPT:
        del os.environ[name]


def database_url(environ: Mapping[str, str] | None = None) -> str:
    """Read the one setting that a migration needs.

    Raises:
        SettingsWrong: it is missing or malformed.
    """
    return _url(os.environ if environ is None else environ, "DATABASE_URL", ("postgresql://", "postgres://"))


def release() -> str:
    """Name the release, for who needs no other setting."""
    return os.environ.get("RELEASE_VERSION", "unknown")


def browser() -> str:
    """Find the system's Chromium; the image has the headless one, a developer's machine perhaps the other."""
    return next((path for path in BROWSERS if os.path.exists(path)), BROWSERS[0])


def _scraping(env: Mapping[str, str]) -> Scraping:
    # The fixture is read from this host itself.
    own = FIXTURE_HOSTS if env.get("FIXTURE_CATALOGUE") == "1" else ()
    return Scraping(
        named_hosts=frozenset((*env.get("SCRAPE_HOSTS", "").lower().replace(",", " ").split(), *own)),
        pause=timedelta(seconds=_quantity(env, "SCRAPE_PAUSE", 2, 0, 600)),
        browsers=int(_quantity(env, "SCRAPE_BROWSERS", 2, 1, 2)),
        page_seconds=_quantity(env, "SCRAPE_PAGE_SECONDS", 15, 1, 40),
    )


def _quantity(env: Mapping[str, str], name: str, usual: float, least: float, most: float) -> float:
    text = env.get(name, str(usual))
    if not NUMBER.fullmatch(text) or not least <= float(text) <= most:
        raise SettingsWrong(f"{name} is no number from {least:g} to {most:g}")
    return float(text)


def _url(env: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str:
    url = env.get(name, "")
    # The value stays out of the message: it holds a password.
    if not url.startswith(schemes):
        raise SettingsWrong(f"{name} is missing or does not begin with {' or '.join(schemes)}")
    return url


def _number(env: Mapping[str, str], name: str, usual: int, *, most: int) -> int:
    text = env.get(name, str(usual))
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) <= most:
        raise SettingsWrong(f"{name} is no number from 1 to {most}")
    return int(text)


def _networks(env: Mapping[str, str]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(text) for text in env.get("TRUSTED_PROXIES", PROXIES).split())
    except ValueError as why:
        raise SettingsWrong(f"TRUSTED_PROXIES: {why}") from why


def _rate(env: Mapping[str, str], name: str, usual: str) -> str:
    rate = env.get(name, usual)
    if not RATE.fullmatch(rate):
        raise SettingsWrong(f"{name} is neither NUMBER/second, /minute, /hour nor off")
    return rate
