"""What every adapter does with the rows that it found: make units of them, or refuse them all."""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urljoin

from ratemyunit.scraper import patterns
from ratemyunit.scraper.addresses import AddressRefused, spelled, target
from ratemyunit.scraper.port import Found, Job, Link, Reading, Trouble
from ratemyunit.scraper.rules import Rules

MOST_UNITS = 5_000
MOST_LINKS = 5_000
LONGEST_CODE, LONGEST_TITLE, LONGEST_DESCRIPTION = 32, 300, 20_000
# What a decoder puts where bytes are none of the charset that the page claims.
GARBLED = "\ufffd"
# JSON and scripts can spell half a letter, which no database can store.
HALF = re.compile(r"[\ud800-\udfff]")


def reading(job: Job, rows: Iterable[Mapping[str, str]], links: Iterable[Link] = ()) -> Reading:
    """Make what a page gave out of its rows and links.

    Raises:
        Trouble: it shows nothing, more than one page can, or text of another charset than it says.
    """
    units: list[Found] = []
    for row in rows:
        if found := _found(row, job.rules):
            units.append(found)
        if len(units) > MOST_UNITS:
            raise Trouble(f"the page shows more than {MOST_UNITS} units")
    further = tuple(links)
    if not units and not further:
        raise Trouble("the page shows no units")
    return Reading(tuple(units), further)


def followed(job: Job, base: str, hrefs: Iterable[str], kind: str) -> list[Link]:
    """List the links that lead on within the same site, each once, in their order."""
    here = spelled(job.url)
    found: dict[str, Link] = {}
    for href in hrefs:
        try:
            url = spelled(urljoin(base, href.strip()).partition("#")[0])
            if target(url).place == target(here).place and url != here:
                found.setdefault(url, Link(url, kind))
        except (AddressRefused, ValueError):
            continue
        if len(found) > MOST_LINKS:
            raise Trouble(f"the page has more than {MOST_LINKS} links to follow")
    return list(found.values())


def in_one_line(text: str) -> str:
    """Write a text in one line, as a heading is: markup's indentation, control characters and half letters go."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _found(row: Mapping[str, str], rules: Rules) -> Found | None:
    code = patterns.taken(rules.code_pattern, in_one_line(row["code"]))
    title = in_one_line(row["title"])
    if GARBLED in code + title + row["description"]:
        raise Trouble("the page's text is not in the charset that it says")
    if not code or len(code) > LONGEST_CODE or not title:
        return None
    description = HALF.sub(GARBLED, row["description"].replace("\x00", "")).strip()
    return Found(code, title[:LONGEST_TITLE], description[:LONGEST_DESCRIPTION])
