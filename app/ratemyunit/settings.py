"""What the environment says. The only reader of os.environ."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

BROWSERS = ("/usr/bin/chromium-headless-shell", "/usr/bin/chromium")


class SettingsWrong(Exception):
    """The environment lacks something or holds nonsense; the message names the variable."""


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
    admin_token: str
    fixture_catalogue: bool
    chromium: str
    log_level: str


def read(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment.

    Raises:
        SettingsWrong: a variable is missing or malformed.
    """
    env = os.environ if environ is None else environ
    return Settings(
        database_url=_database_url(env),
        redis_url=env.get("REDIS_URL", "redis://127.0.0.1:6379/0"),
        http_host=env.get("HTTP_HOST", "127.0.0.1"),
        http_port=_port(env),
        version=env.get("RELEASE_VERSION", "unknown"),
        digest=env.get("RELEASE_DIGEST", "unknown"),
        host=env.get("HOST_ID", "unknown"),
        admin_token=env.get("ADMIN_TOKEN", ""),
        fixture_catalogue=env.get("FIXTURE_CATALOGUE", "0") == "1",
        chromium=env.get("CHROMIUM_PATH") or _browser(),
        log_level=env.get("LOG_LEVEL", "INFO").upper(),
    )


def _database_url(env: Mapping[str, str]) -> str:
    url = env.get("DATABASE_URL", "")
    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsWrong("DATABASE_URL is missing or is no postgresql:// URL")
    return url


def _port(env: Mapping[str, str]) -> int:
    text = env.get("HTTP_PORT", "3001")
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SettingsWrong("HTTP_PORT is no port number")
    return int(text)


def _browser() -> str:
    return next((path for path in BROWSERS if os.path.exists(path)), BROWSERS[0])
