"""Whom the scraper may ask. Each refusal stands beside a naive guard that lets it through."""

import asyncio
import re
import socket
import threading
import urllib.request
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import pytest
import sites
from patient import LONG

from ratemyunit.scraper import addresses
from ratemyunit.scraper.addresses import AddressRefused, Guard, public, spelled
from ratemyunit.scraper.fetch import Fetcher
from ratemyunit.scraper.port import Hopeless, Trouble

Resolve = Callable[[str, int], Awaitable[list[str]]]

NAIVE = re.compile(r"https?://(?!localhost[/:]|127\.0\.0\.1[/:]|10\.|192\.168\.)")
"""What many guards are: a list of prefixes that somebody thought of."""

FORMS = [
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://168.63.129.16/machine",
    "http://100.100.100.200/latest/meta-data/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://127.1/",
    "http://127.0.0.2/",
    "http://0/",
    "http://0.0.0.0/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fc00::1]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://198.18.0.1/",
    "http://LOCALHOST./",
    "http://localhost.localdomain.localhost/",
    "http://printer.local/",
    "http://127.0.0.1./",
    "https://uni.example:8443/",
    "http://uni.example:6379/",
    "http://uni.example:22/",
    "http://uni.example:0/",
    "http://uni.example@127.0.0.1/",
    "http://127.0.0.1@uni.example/",
    "http://student:secret@uni.example/",
    "http://uni.example\\@127.0.0.1/",
    "http://uni.example/\r\nHost: 127.0.0.1",
    "http://uni.exa\tmple/",
    "http://ｌｏｃａｌｈｏｓｔ/",
    "http://１２７.0.0.1/",
    "http:///etc/passwd",
]
SCHEMES = [
    "file:///etc/passwd",
    "ftp://uni.example/",
    "gopher://uni.example/",
    "data:text/html,x",
    "javascript:1",
    "/x",
]


@pytest.mark.parametrize("url", FORMS + SCHEMES)
def test_an_address_that_is_not_a_plain_public_page_is_refused_by_its_form(url: str) -> None:
    with pytest.raises(AddressRefused):
        Guard().admit(url)


def test_a_naive_guard_lets_nearly_all_of_them_through() -> None:
    let_through = [url for url in FORMS if NAIVE.match(url)]

    assert len(let_through) >= len(FORMS) - 2


@pytest.mark.parametrize(
    "url",
    ["https://handbook.uni.example/units", "http://uni.example:80/", "http://93.184.216.34/", "https://[2606::1]/"],
)
def test_a_plain_public_page_is_admitted(url: str) -> None:
    Guard().admit(url)


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("HTTP://UNI.example.:80/A?b=C%2f", "http://uni.example/A?b=C%2f"),
        ("https://uni.example:443", "https://uni.example/"),
        ("https://uni.example:80/a", "https://uni.example:80/a"),
        ("http://uni.example?a", "http://uni.example/?a"),
        ("http://uni.example:/a?", "http://uni.example/a?"),
        ("https://[2606:0::1]/a", "https://[2606::1]/a"),
        ("https://[2606::1]:80//a//b", "https://[2606::1]:80//a//b"),
    ],
)
def test_a_site_is_spelled_in_one_way_and_the_rest_of_its_address_is_left_alone(url: str, plain: str) -> None:
    assert spelled(url) == plain == spelled(plain)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fe80::1%2"])
def test_a_name_that_leads_inside_is_refused_though_its_form_is_fine(address: str) -> None:
    guard = Guard(resolve=answers([address]))

    with pytest.raises(AddressRefused, match="not public"):
        asyncio.run(guard.addresses("uni.example", 443))


def test_one_private_address_among_public_ones_is_enough() -> None:
    guard = Guard(resolve=answers(["93.184.216.34", "10.0.0.1"]))

    with pytest.raises(AddressRefused):
        asyncio.run(guard.addresses("uni.example", 443))


def test_a_name_that_nobody_knows_is_trouble_that_may_pass() -> None:
    async def unknown(_: str, __: int) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(Trouble, match="cannot be resolved") as why:
        asyncio.run(Guard(resolve=unknown).addresses("uni.example", 443))
    assert not isinstance(why.value, Hopeless)


def test_names_that_nobody_answers_for_hold_no_thread_that_others_need(monkeypatch: pytest.MonkeyPatch) -> None:
    over, asked = threading.Event(), []

    def silent(host: str, *_: object, **__: object) -> list[object]:
        asked.append(host)
        over.wait(LONG)
        raise OSError("no such name")

    async def test() -> None:
        guard = Guard()
        names = [asyncio.create_task(guard.addresses(f"{n}.evil.example", 80)) for n in range(50)]
        await until(lambda: len(asked) >= addresses.AT_ONCE)
        for name in names:  # the page closes; its threads go on
            name.cancel()
        await asyncio.gather(*names, return_exceptions=True)
        another = asyncio.create_task(guard.addresses("again.evil.example", 80))

        async with asyncio.timeout(20):
            assert await asyncio.to_thread(lambda: 42) == 42
        other = asyncio.create_task(Guard().addresses("uni.example", 80))
        await until(lambda: "uni.example" in asked)

        assert len(asked) == addresses.AT_ONCE + 1
        over.set()
        assert [type(end) for end in await asyncio.gather(another, other, return_exceptions=True)] == [Trouble] * 2

    async def all_of_it() -> None:
        try:
            await test()
        finally:
            over.set()

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    asyncio.run(asyncio.wait_for(all_of_it(), LONG))


def test_a_name_that_is_known_is_resolved() -> None:
    assert "127.0.0.1" in asyncio.run(Guard({"localhost"}, "http://localhost:8080/").addresses("localhost", 8080))


def test_a_named_host_is_open_to_jobs_about_that_very_host_and_port_alone() -> None:
    named = {"127.0.0.1"}

    Guard(named, "http://127.0.0.1:8080/catalogue").admit("http://127.0.0.1:8080/other")
    for home, url in (
        ("http://127.0.0.1:8080/", "http://127.0.0.1:6379/"),
        ("http://127.0.0.1:8080/", "http://localhost:8080/"),
        ("https://uni.example/", "http://127.0.0.1:8080/"),
        (None, "http://127.0.0.1:8080/"),
    ):
        with pytest.raises(AddressRefused):
            Guard(named, home).admit(url)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "2a00:1450::1"])
def test_public_addresses_are_public(address: str) -> None:
    assert public(ip_address(address))


def test_a_redirect_to_the_inside_is_refused_where_a_naive_client_follows_it() -> None:
    with sites.served() as inside, sites.served() as outside:
        inside.answers["/secret"] = (200, "text/plain", b"the inside")
        outside.redirects["/page"] = f"{inside.url}/secret"
        guard = Guard({"127.0.0.1"}, f"{outside.url}/page")

        with pytest.raises(AddressRefused):
            asyncio.run(Fetcher(guard).get(f"{outside.url}/page"))
        assert inside.asked == []

        assert naive_get(f"{outside.url}/page") == b"the inside"


def test_a_name_that_changes_its_answer_reaches_only_what_was_checked() -> None:
    with sites.served() as inside:
        inside.answers["/"] = (200, "text/plain", b"the inside")
        port = int(inside.url.rpartition(":")[2])
        asked: list[str] = []

        async def rebinding(host: str, _: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) > 1 else ["127.0.0.2"]  # nobody listens there

        async def naive() -> bytes:
            # Checks one answer, connects to the next.
            assert await rebinding("uni.example", port) != ["127.0.0.1"]
            reader, writer = await asyncio.open_connection((await rebinding("uni.example", port))[0], port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            got = await reader.read()
            writer.close()
            return got

        assert b"the inside" in asyncio.run(naive())
        asked.clear()
        inside.asked.clear()

        guard = Guard({"uni.example"}, f"http://uni.example:{port}/", resolve=rebinding)
        with pytest.raises(Trouble):
            asyncio.run(Fetcher(guard, seconds=LONG).get(f"http://uni.example:{port}/"))
        assert (asked, inside.asked) == (["uni.example"], [])


async def until(question: Callable[[], bool]) -> None:
    """Wait until the answer is yes."""
    while not question():
        await asyncio.sleep(0.02)


def answers(given: list[str]) -> Resolve:
    """Make a resolver that gives these."""

    async def resolve(_: str, __: int) -> list[str]:
        return given

    return resolve


def naive_get(url: str) -> bytes:
    """Fetch as most programs do: follow where one is sent."""
    body: bytes = urllib.request.urlopen(url, timeout=LONG).read()
    return body
