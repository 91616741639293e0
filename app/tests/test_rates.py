"""How often one may ask: counted per client by an address that the client cannot choose, in Redis or without it."""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from conftest import Cluster, Role, free_port, redis_server, silent
from fastapi import FastAPI
from fastapi.testclient import TestClient
from limits.aio.storage import memory
from people import Person, application, browser, running
from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ratemyunit import settings
from ratemyunit.guard import client, rates
from ratemyunit.web import assets

FEW = {"RATE_READ": "3/minute", "RATE_WRITE": "2/minute", "RATE_AUTH": "2/minute", "RATE_ACCOUNT": "3/hour"}
PROXY = ("127.0.0.1", 50_000)
ANSWERED = [200, 200, 200, 429]
NOWHERE = "/api/units/7"


@pytest.fixture(scope="module")
def app(cluster: Cluster) -> Iterator[FastAPI]:
    """Run an application with low limits on a Redis of its own."""
    with redis_server() as url, running(cluster, url, **FEW) as made:
        made.state.redis_url = url
        yield made


@pytest.fixture(autouse=True)
def nothing_counted(app: FastAPI) -> None:
    """Forget who has asked how often."""
    app.state.redis.flushall()


def reads(window: TestClient, *addresses: dict[str, str]) -> list[int]:
    """Read once with each of these headers; answer the statuses."""
    return [window.get("/api/units", headers=headers).status_code for headers in addresses]


def proxied(address: str, forwarded: str = "") -> dict[str, str]:
    """Write the headers that the proxy on this host sends for a client."""
    return {"X-Real-IP": address, **({"X-Forwarded-For": forwarded} if forwarded else {})}


def test_high_2_a_client_may_ask_so_often_and_is_then_told_how_long_to_wait(app: FastAPI) -> None:
    window = browser(app, client=("203.0.113.7", 1))

    answers = [window.get("/api/units") for _ in range(4)]

    assert [a.status_code for a in answers] == ANSWERED
    assert "ratelimit" not in answers[2].headers
    assert {a.headers["ratelimit-policy"] for a in answers} == {'"read";q=3;w=60'}
    assert answers[3].headers["content-type"] == "application/problem+json"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 120
    assert answers[3].headers["ratelimit"] == f'"read";r=0;t={answers[3].headers["retry-after"]}'
    assert "content-security-policy" in answers[3].headers


def test_one_clients_haste_is_no_others_wait(app: FastAPI) -> None:
    window = browser(app, client=PROXY)
    assert reads(window, *[proxied("203.0.113.7")] * 4) == ANSWERED

    assert reads(window, proxied("203.0.113.8")) == [200]


FORGED = [proxied("203.0.113.7", f"198.51.100.{n}, 203.0.113.7, 192.0.2.1") for n in range(4)]
"""What the proxy sends on for a client that invents another address each time."""


def leftmost(scope: Scope) -> client.Client:
    """Tell who asks as one would who believes what is written: the first address of X-Forwarded-For."""
    return client.Client(client.header(scope, b"x-forwarded-for").split(",")[0], https=False)


def test_an_invented_forwarded_address_changes_nothing(app: FastAPI) -> None:
    assert reads(browser(app, client=PROXY), *FORGED) == ANSWERED


def test_who_believes_the_first_address_is_fooled(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_look", leftmost)

    assert reads(browser(app, client=PROXY), *FORGED) == [200] * 4


DIRECT = [proxied(f"198.51.100.{n}", f"198.51.100.{n}") for n in range(4)]
"""What a client writes that reaches the port without the proxy."""


def test_who_comes_past_the_proxy_from_elsewhere_speaks_for_nobody_but_itself(app: FastAPI) -> None:
    assert reads(browser(app, client=("203.0.113.9", 1)), *DIRECT) == ANSWERED


def test_who_lets_the_server_rewrite_the_peer_is_fooled(app: FastAPI) -> None:
    naive = TestClient(ProxyHeadersMiddleware(app, "127.0.0.1"), client=PROXY)  # what uvicorn does by default
    naive.portal = app.state.portal

    forged = [{"X-Forwarded-For": f"198.51.100.{n}"} for n in range(4)]

    assert reads(naive, *forged) == [200] * 4


def test_a_served_process_goes_by_the_peer_and_not_by_what_is_forwarded(
    start: "type[Role]", cluster: Cluster, database: str, redis_url: str
) -> None:
    named = {"RATE_READ": "3/minute", "TRUSTED_PROXIES": "192.0.2.1/32"}
    api = start("api", DATABASE_URL=cluster.url(database), REDIS_URL=redis_url, **named)

    forged = [api.get("/api/units", **{"X-Forwarded-For": f"198.51.100.{n}"})[0] for n in range(4)]

    assert forged == ANSWERED


@pytest.mark.parametrize("told", ["no address", "999.1.1.1", "203.0.113.7, 203.0.113.8", "_"])
def test_an_address_that_is_none_is_one_client_of_all(app: FastAPI, told: str) -> None:
    window = browser(app, client=PROXY)

    assert reads(window, *[proxied(told)] * 4) == ANSWERED


def test_a_household_of_ipv6_is_one_client_however_many_addresses_it_has(app: FastAPI) -> None:
    window = browser(app, client=PROXY)

    assert reads(window, *[proxied(f"2001:db8:1:2::{n}") for n in range(4)]) == ANSWERED
    assert reads(window, proxied("2001:db8:1:3::1")) == [200]


def test_ipv4_in_the_clothes_of_ipv6_is_the_same_client(app: FastAPI) -> None:
    window = browser(app, client=PROXY)

    assert reads(window, *[proxied("203.0.113.7")] * 3, proxied("::ffff:203.0.113.7")) == ANSWERED


def test_this_host_and_what_asks_how_we_are_is_never_limited(app: FastAPI) -> None:
    assert reads(browser(app, client=PROXY), *[{}] * 5) == [200] * 5
    assert {browser(app, client=PROXY).get(path).status_code for path in ("/readyz", "/metrics") * 4} == {200}
    window = browser(app, client=("203.0.113.7", 1))
    free = ("/livez", "/version", assets.url("site.css"))
    assert {window.get(path).status_code for path in free * 4} == {200}


@pytest.mark.parametrize("path", ["/readyz", "/metrics", "/livez/more"])
def test_what_is_the_hosts_own_to_ask_is_counted_for_everybody_else(app: FastAPI, path: str) -> None:
    window = browser(app, client=("203.0.113.7", 1))

    assert [window.get(path).status_code for _ in range(4)][3] == 429


def test_a_file_of_no_release_is_counted_and_looked_for_only_where_it_could_be_one(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(assets, "find", lambda _, name: asked.append(name))
    window = browser(app, client=PROXY)

    def statuses(name: str, client: str) -> list[int]:
        return [window.get(f"/static/{name}", headers=proxied(client)).status_code for _ in range(4)]

    assert statuses("none.css", "203.0.113.7") == [404, 404, 404, 429]
    assert statuses(f"{'a' * 300}-0123456789abcdef.css", "203.0.113.8") == [404, 404, 404, 429]
    assert asked == []
    assert statuses("none-0123456789abcdef.css", "203.0.113.9") == [404, 404, 404, 429]
    assert asked == ["none-0123456789abcdef.css"] * 3


def test_reading_writing_and_signing_in_are_counted_apart(app: FastAPI) -> None:
    window = browser(app, client=("203.0.113.7", 1))
    assert reads(window, *[{}] * 4) == ANSWERED

    writes = [window.post(f"{NOWHERE}/ratings", json={}).status_code for _ in range(3)]
    doors = [window.post("/api/auth/sign-in", json={}).status_code for _ in range(3)]

    assert writes == doors == [422, 422, 429]


def test_two_releases_share_what_they_have_counted(app: FastAPI, cluster: Cluster) -> None:
    first = browser(app, client=("203.0.113.7", 1))
    assert reads(first, {}, {}) == [200, 200]

    other = application(cluster, app.state.engine.url.database, app.state.redis_url, **FEW)
    with TestClient(other, client=("203.0.113.7", 1)) as second:
        assert reads(second, {}, {}) == [200, 429]


def test_tries_at_one_account_are_counted_over_all_clients_there_or_not(app: FastAPI) -> None:
    def tries(email: str) -> list[int]:
        return [Person(browser(app, client=(f"203.0.113.{n}", 1)), email).sign_in().status_code for n in range(4)]

    assert tries("nobody@uni.example.edu") == [401, 401, 401, 429]
    assert tries("somebody@uni.example.edu") == [401, 401, 401, 429]
    assert tries("NOBODY@uni.example.edu") == [429] * 4
    assert not [key for key in app.state.redis.keys("*") if "uni.example" in key]


def test_a_limit_can_be_lifted(cluster: Cluster, app: FastAPI) -> None:
    lifted = application(cluster, app.state.engine.url.database, app.state.redis_url, RATE_READ="off")
    with TestClient(lifted, client=("203.0.113.7", 1)) as window:
        answers = [window.get("/api/units") for _ in range(5)]

    assert {a.status_code for a in answers} == {200}
    assert "ratelimit-policy" not in answers[0].headers


@pytest.mark.parametrize("rate", ["", "0/minute", "-1/minute", "5/fortnight", "many", "5 per minute", "99999999/hour"])
def test_a_rate_that_is_none_is_named(rate: str) -> None:
    with pytest.raises(settings.SettingsWrong, match="RATE_READ"):
        settings.read({"DATABASE_URL": "postgresql://x/y", "RATE_READ": rate})


def test_a_network_that_is_none_is_named() -> None:
    with pytest.raises(settings.SettingsWrong, match="TRUSTED_PROXIES"):
        settings.read({"DATABASE_URL": "postgresql://x/y", "TRUSTED_PROXIES": "10.0.0.1/8"})


@pytest.fixture
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the clock of the counters in this process: their minutes are the clock's, and one may end meanwhile."""
    monkeypatch.setattr(memory, "time", SimpleNamespace(time=lambda: 1_800_000_030.0))


def test_without_redis_limits_hold_in_this_process(cluster: Cluster, app: FastAPI, one_moment: None) -> None:
    gone = application(cluster, app.state.engine.url.database, f"redis://127.0.0.1:{free_port()}/0", **FEW)
    with TestClient(gone, client=("203.0.113.7", 1)) as window:
        assert [window.get("/api/units").status_code for _ in range(4)] == ANSWERED


def test_redis_counts_again_when_it_is_back(
    cluster: Cluster, app: FastAPI, one_moment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "PAUSE_S", 0.2)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    named = {**FEW, "RATE_READ": "1/minute"}
    again = application(cluster, app.state.engine.url.database, url, **named)
    with TestClient(again, client=("203.0.113.7", 1)) as window:
        assert reads(window, {}, {}) == [200, 429]
        with redis_server(port):
            time.sleep(0.3)

            assert reads(window, {}, {}) == [200, 429]


def test_a_redis_that_hangs_holds_up_one_request_and_not_the_next(
    app: FastAPI, one_moment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "PATIENCE_S", 0.25)
    monkeypatch.setattr(rates, "PAUSE_S", 3600)
    with silent() as (url, callers):
        counters = rates.Counters(url, {"read": "3/minute"})

        async def four() -> list[bool]:
            return [stands.allowed for _ in range(4) if (stands := await counters.hit("read", "203.0.113.7"))]

        assert app.state.portal.call(four) == [True, True, True, False]
        assert callers() == 1
