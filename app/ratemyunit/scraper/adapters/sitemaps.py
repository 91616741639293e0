"""Sitemaps: XML that names pages, or further sitemaps, packed or not (sitemaps.org). They hold no units themselves."""

from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from ratemyunit.scraper import patterns
from ratemyunit.scraper.adapters import Means
from ratemyunit.scraper.adapters.units import followed
from ratemyunit.scraper.fetch import GZIP, MOST_BYTES, unpacked
from ratemyunit.scraper.port import Job, Reading, Trouble

DEEPEST = 8
LOCATION = 3
# sitemaps.org lets one file name 50,000 pages, each with a few elements of its own.
MOST_ELEMENTS = 500_000


class XmlRefused(Trouble):
    """The XML declares entities or types, or is too deep or too big: no sitemap is like that, an attack is."""


class Sitemap:
    """A sitemap, or an index of sitemaps."""

    async def read(self, job: Job, means: Means) -> Reading:
        """List the pages that it names and the rules follow."""
        answer = await means.fetcher.page(job.url, means.admit)
        body = unpacked(answer.body) if answer.body.startswith(GZIP) else answer.body
        if not body.strip():
            raise Trouble("the sitemap is empty")
        root, named = locations(body)
        if root == "sitemapindex":
            links = followed(job, answer.url, named, "sitemap")
        else:
            wanted = (url for url in named if patterns.matches(job.rules.follow, url))
            links = followed(job, answer.url, wanted, job.rules.follow_kind)
        if not links:
            raise Trouble("the sitemap names no page of this site that is followed")
        return Reading(links=tuple(links))


def locations(body: bytes) -> tuple[str, list[str]]:
    """Read what kind of sitemap it is, and every location that it names.

    Raises:
        XmlRefused: it is built to do harm.
        Trouble: it is no sitemap, or not all of one.
    """
    if len(body) > MOST_BYTES:
        raise XmlRefused(f"the XML is bigger than {MOST_BYTES >> 20} MiB")
    outline = _Outline()
    parser = DefusedXMLParser(target=outline, forbid_dtd=True)
    try:
        parser.feed(body)
        parser.close()
    except DefusedXmlException as why:
        raise XmlRefused("the XML declares entities or types") from why
    except (ParseError, LookupError, ValueError) as why:
        raise Trouble("the sitemap is no XML, not all of it, or not in the charset it says") from why
    return outline.root, outline.locations


class _Outline:
    """What the parser is told to build: no tree, only the root's name and the locations."""

    def __init__(self) -> None:
        self.root = ""
        self.locations: list[str] = []
        self._depth = self._elements = 0
        self._text: list[str] | None = None

    def start(self, tag: str, _: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        self._depth, self._elements = self._depth + 1, self._elements + 1
        if self._depth > DEEPEST or self._elements > MOST_ELEMENTS:
            raise XmlRefused("the XML is deeper or has more elements than a sitemap")
        if self._elements == 1:
            if name not in ("urlset", "sitemapindex"):
                raise Trouble("the document is no sitemap")
            self.root = name
        # A page's own; deeper ones are its pictures' and films'.
        self._text = [] if name == "loc" and self._depth == LOCATION else None

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def end(self, _: str) -> None:
        self._depth -= 1
        if self._text:
            self.locations.append("".join(self._text).strip())
        self._text = None

    def close(self) -> None:
        """There is nothing to hand out: whoever parses holds this object."""
