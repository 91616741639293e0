"""robots.txt: asked once an hour for each site, and obeyed (RFC 9309)."""

import time
from collections import OrderedDict
from dataclasses import dataclass

from protego import Protego

from ratemyunit.scraper.addresses import target
from ratemyunit.scraper.fetch import Fetcher
from ratemyunit.scraper.port import Hopeless, Trouble

NAME = "RateMyUnit"
KEPT_SECONDS = 3600.0
MOST_KEPT = 200
# RFC 9309: a reader takes at least the first 500 KiB.
MOST_BYTES = 500 << 10
LONGEST_DELAY = 60.0


class Disallowed(Hopeless):
    """The site does not want this page to be read by programs."""


@dataclass(frozen=True)
class _Kept:
    rules: Protego
    until: float


class Robots:
    """What sites allow, as far as it was asked lately."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def admit(self, url: str, fetcher: Fetcher) -> float | None:
        """Ask whether the page may be read; answer how many seconds the site wants between two pages, if it says.

        Raises:
            Disallowed: it may not.
            Trouble: the site does not say now, which is a no until it does.
        """
        rules = await self._rules(url, fetcher)
        if not rules.can_fetch(url, NAME):
            raise Disallowed("the site's robots.txt disallows the page")
        delay = rules.crawl_delay(NAME)
        return None if delay is None else min(float(delay), LONGEST_DELAY)

    async def _rules(self, url: str, fetcher: Fetcher) -> Protego:
        site = target(url).origin
        kept = self._kept.get(site)
        if kept is None or kept.until < time.monotonic():
            kept = _Kept(await _asked(f"{site}/robots.txt", fetcher), time.monotonic() + KEPT_SECONDS)
            self._kept[site] = kept
        self._kept.move_to_end(site)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept.rules


async def _asked(url: str, fetcher: Fetcher) -> Protego:
    answer = await fetcher.get(url, cut=MOST_BYTES)
    if 400 <= answer.status < 500 and answer.status != 429:
        return Protego.parse("")
    if answer.status != 200:
        raise Trouble(f"the site's robots.txt answered {answer.status}")
    return Protego.parse(answer.body.decode("utf-8", "replace"))
