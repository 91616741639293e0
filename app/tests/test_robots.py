"""robots.txt is obeyed, asked once an hour, and its silence is a no."""

import asyncio
import gzip
from collections.abc import Coroutine
from typing import Any

import pytest
import sites

from ratemyunit.scraper import robots
from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.fetch import MOST_BYTES, Fetcher
from ratemyunit.scraper.port import Hopeless, Trouble
from ratemyunit.scraper.robots import Disallowed, Robots

RULES = b"""User-agent: *
Disallow: /private
Crawl-delay: 7

User-agent: Other
Disallow: /
"""


def test_what_is_disallowed_is_not_read_and_the_delay_is_told() -> None:
    with sites.served() as site:
        site.answers["/robots.txt"] = (200, "text/plain", RULES)

        assert admitted(site, "/units") == 7
        with pytest.raises(Disallowed):
            admitted(site, "/private/units")


@pytest.mark.parametrize(
    "rules", [b"User-agent: RateMyUnit\nDisallow: /\n\nUser-agent: *\nAllow: /\n", b"User-agent: *\nDisallow: /*.php$"]
)
def test_our_own_name_and_wildcards_count(rules: bytes) -> None:
    with sites.served() as site:
        site.answers["/robots.txt"] = (200, "text/plain", rules)

        with pytest.raises(Disallowed):
            admitted(site, "/units.php")


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_site_without_rules_allows_all(status: int) -> None:
    with sites.served() as site:
        site.answers["/robots.txt"] = (status, "text/html", b"<h1>no</h1>")

        assert admitted(site, "/private") is None


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_site_that_cannot_say_now_is_not_read_now(status: int) -> None:
    with sites.served() as site:
        site.answers["/robots.txt"] = (status, "text/plain", b"")

        with pytest.raises(Trouble, match=f"answered {status}") as why:
            admitted(site, "/units")
        assert not isinstance(why.value, Hopeless)


@pytest.mark.parametrize(
    "body", [b"\xff\xfe\x00garbage", b"<!DOCTYPE html><html>", b"", b"Disallow", b"\x00" * 900_000]
)
def test_garbage_is_no_rule(body: bytes) -> None:
    with sites.served() as site:
        site.answers["/robots.txt"] = (200, "text/plain", body)

        assert admitted(site, "/units") is None


@pytest.mark.parametrize("packed", [False, True])
def test_of_rules_without_an_end_the_beginning_counts(packed: bool) -> None:
    early, late = b"User-agent: *\nDisallow: /private\n", b"\nDisallow: /late\n"
    rules = early + b"#" * (robots.MOST_BYTES - 1_000) + late + b"#" * MOST_BYTES + b"\nDisallow: /units\n"
    with sites.served() as site:
        site.answers["/robots.txt"] = (200, "text/plain", gzip.compress(rules) if packed else rules)
        site.headers["/robots.txt"] = {"Content-Encoding": "gzip"} if packed else {}

        assert admitted(site, "/units") is None
        for path in ("/private/units", "/late"):
            with pytest.raises(Disallowed):
                admitted(site, path)


def test_a_delay_beyond_reason_is_cut() -> None:
    with sites.served() as site:
        site.answers["/robots.txt"] = (200, "text/plain", b"User-agent: *\nCrawl-delay: 86400\n")

        assert admitted(site, "/units") == robots.LONGEST_DELAY


def test_rules_are_asked_for_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    with sites.served() as site:
        kept = Robots()

        async def thrice() -> None:
            for path in ("/a", "/b", "/c"):
                await kept.admit(site.url + path, fetcher(site))

        asyncio.run(thrice())
        assert site.paths["/robots.txt"] == 1

        monkeypatch.setattr(robots, "KEPT_SECONDS", -1.0)  # an hour has passed
        kept = Robots()
        asyncio.run(thrice())
        assert site.paths["/robots.txt"] == 4


def admitted(site: sites.Site, path: str) -> float | None:
    """Ask about one page of the site."""
    asking: Coroutine[Any, Any, float | None] = Robots().admit(site.url + path, fetcher(site))
    return asyncio.run(asking)


def fetcher(site: sites.Site) -> Fetcher:
    """Make a fetcher that may ask the site."""
    return Fetcher(Guard({"127.0.0.1"}, site.url + "/"))
