"""Adapters on catalogues of the shapes that universities have, and on what comes instead when something is broken."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
import sites
from patient import LONG, bounds
from playwright.async_api import Error as BrowserError

from ratemyunit import fixture, settings
from ratemyunit.scraper import adapters
from ratemyunit.scraper.adapters import pages, units
from ratemyunit.scraper.addresses import Guard
from ratemyunit.scraper.browsers import Pool
from ratemyunit.scraper.fetch import MOST_BYTES, Fetcher
from ratemyunit.scraper.port import Hopeless, Job, Reading, Trouble
from ratemyunit.scraper.rules import Rules

TABLE = Rules(
    units="table.views-table tbody tr",
    code="td.code",
    code_pattern="^[A-Z]{4}[0-9]{4}",
    title="td.title",
    description="td:nth-child(3)",
)
SEARCH = Rules(
    units="hits.hits",
    code="_source.unit_code",
    title="_source.unit_title.text",
    description="_source.overview",
    next="paging.next",
)
NEXT_JS = Rules(units="props.pageProps.pageContent.academicItems", description="handbook_summary")
OUTLINE = Rules(units="main", code="h1", code_pattern="^[A-Z]+[0-9]+", title="h1", description=".rich-text")


class Reader:
    """Reads pages of one site with one pool of browsers, which live in a loop of their own."""

    def __init__(self, site: sites.Site, browsers: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self.site, self.browsers, self._loop = site, browsers, loop

    def read(self, path: str, kind: str = "html", rules: Rules | None = None) -> Reading:
        """Read a page as the scraper does."""
        url = self.site.url + path
        guard = Guard({"127.0.0.1"}, url)
        means = adapters.Means(Fetcher(guard, seconds=LONG), self.browsers, guard, LONG)
        reading = adapters.named(kind).read(Job(uuid4(), url, "U", 1, kind, rules=rules or Rules()), means)
        return asyncio.run_coroutine_threadsafe(reading, self._loop).result(3 * LONG)

    def fails(self, path: str, kind: str = "html", rules: Rules | None = None) -> str:
        """Read a page that cannot be read; answer why. Nothing of it is left open."""
        with pytest.raises((Trouble, BrowserError)) as why:
            self.read(path, kind, rules)
        assert self.browsers.open_pages == 0
        return str(why.value)

    def answers(self, body: bytes, kind: str = sites.HTML, path: str = "/page") -> None:
        """Serve a body."""
        self.site.answers[path] = (200, kind, body)


def embedded(items: list[dict[str, str]]) -> str:
    """Draw a page that carries units as Next.js carries them."""
    carried = json.dumps({"props": {"pageProps": {"pageContent": {"academicItems": items}}}}, ensure_ascii=False)
    script = f'<script id="__NEXT_DATA__" type="application/json">{carried}</script>'
    return f'<!doctype html><html><head><meta charset="utf-8"></head><body>{script}</body></html>'


@pytest.fixture(scope="module")
def pool() -> Iterator[tuple[Pool, asyncio.AbstractEventLoop]]:
    """Keep one pool for all of these, in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = asyncio.run_coroutine_threadsafe(_entered(), loop).result(LONG)
    yield made, loop
    asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result(LONG)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(LONG)
    loop.close()


async def _entered() -> Pool:
    return await Pool(settings.browser(), bounds()).__aenter__()


@pytest.fixture
def reader(pool: tuple[Pool, asyncio.AbstractEventLoop]) -> Iterator[Reader]:
    """Serve a site, and read it."""
    with sites.served() as site:
        yield Reader(site, *pool)


def test_units_drawn_by_a_script_are_read(reader: Reader) -> None:
    found = reader.read("/catalogue")

    assert [unit.code for unit in found.units] == [code for code, _, _ in fixture.UNITS]
    assert (found.links, reader.browsers.open_pages) == ((), 0)


def test_a_table_of_several_pages_is_read_page_by_page(reader: Reader) -> None:
    first = reader.read("/handbook/units", rules=TABLE)
    (onward,) = first.links
    second = reader.read(onward.url.removeprefix(reader.site.url), rules=TABLE)

    assert (len(first.units), len(second.units), second.links) == (9, 6, ())
    assert (first.units[0].code, first.units[0].title, onward.kind) == ("ALGO1010", "Algorithms I", "html")


def test_a_handbook_that_keeps_its_data_in_a_script_is_read(reader: Reader) -> None:
    found = reader.read("/handbook", "embedded", NEXT_JS)

    assert [unit.code for unit in found.units] == [f"WH{n}" for n in range(1101, 1109)]
    assert found.units[0].title == "Algorithms in Context"


def test_a_handbook_s_next_page_is_beside_the_page_that_a_redirect_led_to(reader: Reader) -> None:
    reader.site.redirects["/handbook/now"] = "/2027/units"
    onward = {"units": [{"code": "C1", "title": "T"}], "next": "more?page=2"}
    body = f'<!doctype html><script id="data" type="application/json">{json.dumps(onward)}</script>'
    reader.answers(body.encode(), path="/2027/units")

    (link,) = reader.read("/handbook/now", "embedded", Rules(script="#data")).links

    assert link.url == f"{reader.site.url}/2027/more?page=2"


def test_a_search_endpoint_is_read_page_by_page(reader: Reader) -> None:
    first = reader.read("/api/search", "json", SEARCH)
    (onward,) = first.links
    second = reader.read(onward.url.removeprefix(reader.site.url), "json", SEARCH)

    codes = [unit.code for unit in (*first.units, *second.units)]
    assert codes == [f"EF-{n}" for n in range(201, 217)]
    assert second.links == ()


def test_a_sitemap_of_sitemaps_leads_to_the_pages_that_are_followed(reader: Reader) -> None:
    index = reader.read("/sitemap.xml", "sitemap", Rules(follow="/units/"))
    packed = reader.read("/sitemap-units.xml.gz", "sitemap", Rules(follow="/units/"))
    unit = reader.read("/units/2027/SLMA200", rules=OUTLINE)

    assert [link.kind for link in index.links] == ["sitemap", "sitemap"]
    # Other kinds of pages, other sites and repetitions are left out.
    assert [link.url.rpartition("/")[2] for link in packed.links] == ["SLMA100", "SLMA200", "SLPH110"]
    assert [(u.code, u.description) for u in unit.units] == [("SLMA200", "What it is about.")]


def test_a_sitemap_that_is_packed_in_parts_is_read_whole(reader: Reader) -> None:
    whole = sites.kept("southlea-sitemap-units.xml", reader.site.url)
    parts = [whole[at : at + 300] for at in range(0, len(whole), 300)]
    assert len(parts) > 2

    for end in (b"", b"\0" * 512):
        reader.answers(b"".join(map(gzip.compress, parts)) + end, "application/gzip")
        packed = reader.read("/page", "sitemap", Rules(follow="/units/"))
        assert [link.url.rpartition("/")[2] for link in packed.links] == ["SLMA100", "SLMA200", "SLPH110"]


def test_links_of_a_list_are_followed_where_the_rules_say_so(reader: Reader) -> None:
    follow = Rules(**{**TABLE.__dict__, "follow": r"/unit/[A-Z]+1010\.html$", "follow_kind": "embedded"})

    found = reader.read("/handbook/units", rules=follow)

    assert [link.url.rpartition("/")[2] for link in found.links if link.kind == "embedded"] == [
        *("ALGO1010.html", "SOIL1010.html", "DRAM1010.html")
    ]


def test_links_are_spelled_in_one_way_and_one_page_is_one(reader: Reader) -> None:
    place = reader.site.url.removeprefix("http://")
    hrefs = ("/a", f"http://{place}/a", f"HTTP://{place}/a#top", f"//{place.replace(':', '.:')}/a", "/page", ".")
    reader.answers(f"<!doctype html>{''.join(f'<a href={href}>x</a>' for href in hrefs)}".encode())

    found = reader.read("/page", rules=Rules(follow="/"))

    assert [link.url for link in found.links] == [f"{reader.site.url}/a", f"{reader.site.url}/"]


# What comes instead of a catalogue. Every adapter: truncated, of another charset, empty, ten times larger, HTML.
ROW = {"code": "C1", "title": "Caf\u00e9"}


def test_truncated_answers_give_nothing(reader: Reader) -> None:
    whole = sites.listing([ROW] * 50)
    reader.answers(whole[: len(whole) // 2], sites.JSON)
    assert "not all of it" in reader.fails("/page", "json")

    reader.answers(gzip.compress(b"<urlset/>" * 99)[:-9], "application/gzip")
    assert "no whole gzip" in reader.fails("/page", "sitemap")

    reader.answers(gzip.compress(b"<urlset/>") + gzip.compress(b"<!-- more -->" * 99)[:-9], "application/gzip")
    assert "no whole gzip" in reader.fails("/page", "sitemap")

    reader.answers(sites.kept("southlea-sitemap-units.xml", reader.site.url)[:-60], sites.XML)
    assert "not all of it" in reader.fails("/page", "sitemap")

    handbook = sites.kept("westhaven-handbook.html", reader.site.url)
    reader.answers(handbook[: handbook.index(b"WH1104")])
    assert "no JSON" in reader.fails("/page", "embedded", NEXT_JS)


def test_answers_that_end_before_their_length_give_nothing(reader: Reader) -> None:
    reader.site.lengths["/page"] = 100_000
    reader.answers(sites.listing([ROW]), sites.JSON)
    assert "cannot be asked" in reader.fails("/page", "json")

    reader.answers(f"<!doctype html>{sites.cards(3)}".encode())
    assert "broke off" in reader.fails("/page")


def test_answers_in_chunks_that_break_off_give_nothing(reader: Reader) -> None:
    reader.site.torn.add("/page")
    reader.answers(sites.listing([ROW]), sites.JSON)
    assert "cannot be asked" in reader.fails("/page", "json")

    reader.answers(sites.kept("southlea-sitemap-units.xml", reader.site.url), sites.XML)
    assert "cannot be asked" in reader.fails("/page", "sitemap")

    reader.answers(f"<!doctype html>{sites.cards(3)}".encode())
    assert "broke off" in reader.fails("/page")

    reader.answers(sites.kept("westhaven-handbook.html", reader.site.url))
    assert "broke off" in reader.fails("/page", "embedded", NEXT_JS)


def test_answers_in_another_charset_than_they_say_give_nothing(reader: Reader) -> None:
    reader.answers(json.dumps({"units": [ROW]}, ensure_ascii=False).encode("latin-1"), sites.JSON)
    assert "no JSON" in reader.fails("/page", "json")

    card = '<article class="unit" data-code="C1"><h2>Caf\u00e9</h2></article>'
    reader.answers(card.encode("latin-1"))
    assert "charset" in reader.fails("/page")

    reader.answers('<?xml version="1.0" encoding="UTF-8"?><urlset>\u00e9</urlset>'.encode("latin-1"), sites.XML)
    assert "charset" in reader.fails("/page", "sitemap")


def test_a_script_in_another_charset_than_its_page_says_gives_nothing(reader: Reader) -> None:
    reader.answers(embedded([{"code": "C1", "title": "Caf\u00e9"}]).encode("latin-1"))

    assert "charset" in reader.fails("/page", "embedded", NEXT_JS)


def test_empty_answers_give_nothing(reader: Reader) -> None:
    for body in (b"", b"  \n", b"\xef\xbb\xbf"):
        reader.answers(body)
        for kind, why in (("html", "shows no units"), ("embedded", "no script"), ("json", ""), ("sitemap", "")):
            assert why in reader.fails("/page", kind)
    reader.answers(b'{"units": []}', sites.JSON)
    assert "shows no units" in reader.fails("/page", "json")
    reader.answers(b"<urlset/>", sites.XML)
    assert "names no page" in reader.fails("/page", "sitemap")


def test_ten_times_more_is_read_whole_and_more_than_a_page_can_hold_is_refused_whole(reader: Reader) -> None:
    reader.answers(f"<!doctype html>{sites.cards(60)}".encode())
    assert len((reader.read("/page")).units) == 60

    many = units.MOST_UNITS + 1
    reader.answers(f"<!doctype html>{sites.cards(many)}".encode())
    assert "more than 5000 units" in reader.fails("/page")
    reader.answers(sites.listing([{"code": f"C{n}", "title": "T"} for n in range(many)]), sites.JSON)
    assert "more than 5000 units" in reader.fails("/page", "json")

    reader.answers(b" " * (MOST_BYTES + 1), sites.JSON)
    for kind in ("json", "sitemap"):
        assert "bigger than 10 MiB" in reader.fails("/page", kind)
    half = b" " * (MOST_BYTES // 2 + 1)
    for packed in (gzip.compress(half + half), gzip.compress(half) * 2):
        reader.answers(packed, "application/gzip")
        assert "unpacks to more" in reader.fails("/page", "sitemap")
    reader.answers(gzip.compress(b"") * 201, "application/gzip")
    assert "more than 200 parts" in reader.fails("/page", "sitemap")


def test_a_script_of_ten_times_more_is_read_whole_and_one_over_4_mib_is_refused_whole(reader: Reader) -> None:
    reader.answers(embedded([{"code": f"C{n}", "title": "T"} for n in range(80)]).encode())
    assert len(reader.read("/page", "embedded", NEXT_JS).units) == 80

    reader.answers(embedded([{"code": "C1", "title": "T", "handbook_summary": "x" * pages.MOST_SCRIPT}]).encode())
    assert "bigger than 4 MiB" in reader.fails("/page", "embedded", NEXT_JS)


def test_a_sitemap_of_as_many_pages_as_may_be_is_read_whole_and_one_more_is_refused_whole(reader: Reader) -> None:
    def sitemap(count: int) -> bytes:
        named = "".join(f"<url><loc>{reader.site.url}/units/{n}</loc></url>" for n in range(count))
        return f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{named}</urlset>'.encode()

    reader.answers(sitemap(units.MOST_LINKS), sites.XML)
    assert len(reader.read("/page", "sitemap").links) == units.MOST_LINKS

    reader.answers(sitemap(units.MOST_LINKS + 1), sites.XML)
    assert "more than 5000 links" in reader.fails("/page", "sitemap")


def test_html_instead_of_what_was_asked_for_gives_nothing(reader: Reader) -> None:
    reader.answers(b"<!DOCTYPE html><html><body><h1>Down for maintenance</h1></body></html>")

    assert "no JSON" in reader.fails("/page", "json")
    assert "declares" in reader.fails("/page", "sitemap")
    assert "no script" in reader.fails("/page", "embedded")
    assert "shows no units" in reader.fails("/page")


def test_rows_without_a_code_or_a_title_are_no_units(reader: Reader) -> None:
    rows = [{"code": "", "title": "T"}, {"code": "X" * 33, "title": "T"}, {"code": "C1"}, {"title": 3}, "C2", None, [1]]
    reader.answers(json.dumps({"units": rows}).encode(), sites.JSON)

    assert "shows no units" in reader.fails("/page", "json")

    odd = {"code": " C\t1\u0000 ", "title": "A\n  B \u202e", "description": "x\u0000y"}
    reader.answers(json.dumps({"units": [*rows, odd]}).encode(), sites.JSON)
    (unit,) = (reader.read("/page", "json")).units
    assert (unit.code, unit.title, unit.description) == ("C 1", "A B", "xy")


def test_half_a_letter_that_cannot_be_stored_is_replaced(reader: Reader) -> None:
    row = b'{"code": "C1", "title": "A\\ud800B", "description": "x \\ud83d\\ude00 \\ud800 y"}'
    reader.answers(b'{"units": [%s]}' % row, sites.JSON)

    (unit,) = reader.read("/page", "json").units

    assert (unit.title, unit.description) == ("A B", "x \U0001f600 \ufffd y")


@pytest.mark.parametrize("override", sites.OVERRIDES.values(), ids=sites.OVERRIDES)
def test_a_page_that_turns_builtins_against_its_reader_is_read_as_it_is(reader: Reader, override: str) -> None:
    item = {"code": "C1", "title": "T"}
    reader.answers(f"<!doctype html><script>{override}</script>{sites.cards(2)}".encode(), path="/cards")
    reader.answers(f"{embedded([item])}<script>{override}</script>".encode(), path="/embedded")

    assert [unit.code for unit in reader.read("/cards").units] == ["U00000", "U00001"]
    assert [unit.code for unit in reader.read("/embedded", "embedded", NEXT_JS).units] == ["C1"]


def test_a_page_that_names_its_parts_like_what_a_reader_asks_for_gives_nothing_and_does_no_harm(
    reader: Reader,
) -> None:
    names = ("querySelectorAll", "baseURI", "location", "querySelector", "textContent", "getAttribute")
    parts = "".join(f"<form name={name}><input name={name}></form><img name={name}>" for name in names)
    reader.answers(f"<!doctype html>{sites.cards(2)}{parts}".encode())

    for kind in ("html", "embedded"):
        try:
            reader.read("/page", kind)
        except (Trouble, BrowserError):
            assert reader.browsers.open_pages == 0


def test_a_rule_that_is_no_selector_is_named(reader: Reader) -> None:
    assert "'h2[' is not a valid selector" in reader.fails("/catalogue", rules=Rules(title="h2["))


def test_a_page_whose_texts_are_more_than_a_page_holds_is_refused_whole(reader: Reader) -> None:
    # Each text is short enough, and all of them together come out of little: one text lies in every unit.
    grow = "for (let n = 0; n < 400; n++) { const a = document.createElement('article'); a.className = 'unit'; "
    grow += "a.dataset.code = 'U' + n; at.append(a); at = a }"
    leaf = "at.innerHTML = '<h2>T</h2><p>' + 'x'.repeat(19000)"
    reader.answers(f"<!doctype html><body><script>let at = document.body; {grow} {leaf}</script>".encode())
    assert "more text" in reader.fails("/page", rules=Rules(title="p"))


def test_json_that_is_built_to_do_harm_gives_nothing(reader: Reader) -> None:
    for body in (
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"units": ' + b"9" * 9_000 + b"}",
        b'{"units": {"a": 1}}',
        b"[]",
    ):
        reader.answers(body, sites.JSON)
        reader.fails("/page", "json")


def test_a_status_tells_whether_another_try_may_help(reader: Reader) -> None:
    for status, hopeless in ((404, True), (410, True), (403, True), (429, False), (500, False), (503, False)):
        reader.site.answers["/page"] = (status, sites.HTML, b"no")
        for kind in ("html", "json"):
            with pytest.raises(Trouble, match=f"answered {status}") as why:
                reader.read("/page", kind)
            assert isinstance(why.value, Hopeless) is hopeless


def test_a_kind_that_this_release_does_not_know_is_hopeless() -> None:
    with pytest.raises(Hopeless, match="no such kind"):
        adapters.named("telepathy")
