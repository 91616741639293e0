"""XML from strangers: bombs, entities and depth are refused, each beside the standard parser, which falls for it."""

import tracemalloc
import xml.etree.ElementTree as naive
import xml.sax
from io import BytesIO
from pathlib import Path
from xml.sax.handler import ContentHandler, feature_external_ges

import pytest

from ratemyunit.scraper.adapters import sitemaps
from ratemyunit.scraper.adapters.sitemaps import XmlRefused
from ratemyunit.scraper.fetch import MOST_BYTES
from ratemyunit.scraper.port import Trouble

MIB = 1 << 20


def laughs(levels: int, each: int) -> bytes:
    """Make entities of entities; few enough that the naive parser can be let run to its end."""
    entities = ['<!ENTITY e0 "ha">']
    entities += [f'<!ENTITY e{n} "{f"&e{n - 1};" * each}">' for n in range(1, levels)]
    return f"<!DOCTYPE urlset [{''.join(entities)}]><urlset><url><loc>&e{levels - 1};</loc></url></urlset>".encode()


def quadratic() -> bytes:
    """Make one long entity that is used often."""
    body = f"<url><loc>{'&a;' * 200}</loc></url>"
    return f'<!DOCTYPE urlset [<!ENTITY a "{"a" * 20_000}">]><urlset>{body}</urlset>'.encode()


@pytest.mark.parametrize("bomb", [laughs(6, 10), quadratic()], ids=["billion laughs", "quadratic"])
def test_high_2_a_bomb_is_refused_where_the_standard_parser_lets_it_go_off(bomb: bytes) -> None:
    text = naive.fromstring(bomb).findtext("url/loc")
    assert text and len(text) > 100 * len(bomb) or len(str(text)) > MIB

    tracemalloc.start()
    with pytest.raises(XmlRefused, match="entities"):
        sitemaps.locations(bomb)
    grown = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert grown < MIB


def test_high_2_an_external_entity_is_refused_where_a_naive_parser_reads_the_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the-inside")
    document = (
        f'<!DOCTYPE urlset [<!ENTITY x SYSTEM "file://{secret}">]><urlset><url><loc>&x;</loc></url></urlset>'.encode()
    )

    assert naive_sax(document) == "the-inside"
    with pytest.raises(XmlRefused):
        sitemaps.locations(document)


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE urlset SYSTEM "http://127.0.0.1/x.dtd">',
        '<!DOCTYPE urlset PUBLIC "-//X//EN" "http://127.0.0.1/x.dtd">',
        '<!DOCTYPE urlset [<!ENTITY % p SYSTEM "http://127.0.0.1/p"> %p;]>',
        '<!DOCTYPE urlset [<!ATTLIST url id CDATA "x">]>',
        '<!DOCTYPE urlset [<!NOTATION n SYSTEM "x"><!ENTITY u SYSTEM "x" NDATA n>]>',
        "<!DOCTYPE urlset>",
    ],
)
def test_any_declaration_is_refused(declared: str) -> None:
    document = f"{declared}<urlset><url><loc>https://uni.example/a</loc></url></urlset>".encode()
    naive.fromstring(document)

    with pytest.raises(XmlRefused):
        sitemaps.locations(document)


def test_depth_is_bounded_where_the_standard_parser_goes_all_the_way_down() -> None:
    deep = b"<urlset>" + b"<url>" * 100_000 + b"</url>" * 100_000 + b"</urlset>"
    assert len(list(naive.fromstring(deep).iter())) == 100_001

    with pytest.raises(XmlRefused, match="deeper"):
        sitemaps.locations(deep)


def test_the_number_of_elements_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemaps, "MOST_ELEMENTS", 1_000)  # half a million, in less

    with pytest.raises(XmlRefused, match="more elements"):
        sitemaps.locations(b"<urlset>" + b"<url/>" * 1_000 + b"</urlset>")


def test_size_is_bounded_before_anything_is_parsed() -> None:
    with pytest.raises(XmlRefused, match="bigger"):
        sitemaps.locations(b"<" + b"x" * MOST_BYTES)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<urlset><url><loc>https://uni.example/", "no XML"),
        (b"<urlset><url><loc>https://uni.example/a</loc></url>", "no XML"),
        ('<?xml version="1.0" encoding="utf-8"?><urlset><url><loc>é</loc></url></urlset>'.encode("latin-1"), "charset"),
        (b'<?xml version="1.0" encoding="klingon"?><urlset/>', "charset"),
        (b'<?xml version="1.0" encoding="utf-7"?><urlset/>', "charset"),
        (b"<html><body>Not found</body></html>", "no sitemap"),
        (b"<!DOCTYPE html><html><body><p>Moved<br></body></html>", "declares"),
        (b'{"units": []}', "no XML"),
        (b"\x00\x00\x00", "no XML"),
        (b"<rss><channel/></rss>", "no sitemap"),
    ],
    ids=["cut", "not closed", "wrong charset", "no charset", "odd charset", "html", "html5", "json", "nul", "rss"],
)
def test_what_is_no_whole_sitemap_is_named(body: bytes, why: str) -> None:
    with pytest.raises(Trouble, match=why):
        sitemaps.locations(body)


def test_a_sitemap_s_pictures_and_films_are_no_pages() -> None:
    page = "https://uni.example/a"
    image = "<image:image><image:loc>https://uni.example/a.png</image:loc></image:image>"
    film = "<video:video><video:loc>https://uni.example/a.mp4</video:loc></video:video>"
    spaces = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="i" xmlns:video="v"'
    body = f"<urlset {spaces}><url>{image}<loc>{page}</loc>{film}</url><loc>https://uni.example/stray</loc></urlset>"

    assert sitemaps.locations(body.encode()) == ("urlset", [page])
    assert naive.fromstring(body).findtext(".//{i}loc") == "https://uni.example/a.png"


def naive_sax(document: bytes) -> str:
    """Parse with external entities on, as parsers did for years."""
    found: list[str] = []

    class Handler(ContentHandler):
        def characters(self, content: str) -> None:
            found.append(content)

    parser = xml.sax.make_parser()
    parser.setFeature(feature_external_ges, True)
    parser.setContentHandler(Handler())
    parser.parse(BytesIO(document))
    return "".join(found)
