"""What every answer says to the browser, what a page of another site can make a browser do here, and how much and how
slow a request may be. Each guard beside a version without it, on which the same attack works.
"""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

import pytest
import uvicorn
from conftest import Cluster, Role, free_port, listens, wait_until
from fastapi import FastAPI
from httpx2 import Response
from patient import LONG
from people import Person, browser, first_unit, newcomer, running, student
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ratemyunit import search
from ratemyunit.guard import bodies, csrf, headers, origin, protocol
from ratemyunit.guard.bodies import Bodies


@pytest.fixture(scope="module")
def app(cluster: Cluster, redis_url: str) -> Iterator[FastAPI]:
    """Run an application with two units."""
    with running(cluster, redis_url) as made:
        yield made


def loose(answer: Response) -> set[str]:
    """Name what an answer leaves open to a browser."""
    policy = dict(d.partition(" ")[::2] for d in answer.headers.get("content-security-policy", "").split("; "))
    wanted = {
        "frames": answer.headers.get("x-frame-options") == "DENY" and policy.get("frame-ancestors") == "'none'",
        "sniffing": answer.headers.get("x-content-type-options") == "nosniff",
        "referrer": answer.headers.get("referrer-policy") == "strict-origin-when-cross-origin",
        "permissions": "camera=()" in answer.headers.get("permissions-policy", ""),
        "opener": answer.headers.get("cross-origin-opener-policy") == "same-origin",
        "embedding": answer.headers.get("cross-origin-resource-policy") == "same-origin",
        "sources": policy.get("default-src") == "'none'" and policy.get("base-uri") == "'none'",
        "forms": policy.get("form-action") == "'self'",
        "scripts": not {"'unsafe-inline'", "'unsafe-eval'", "*", "data:"} & set(" ".join(policy.values()).split()),
    }
    return {name for name, closed in wanted.items() if not closed}


def fail(*_: object, **__: object) -> None:
    """Make a mistake."""
    raise ValueError("the secret is 42")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/units", 200),
        ("GET", "/livez", 200),
        ("GET", "/nothing/here", 404),
        ("DELETE", "/api/units", 405),
        ("GET", "/api/units/7", 422),
        ("POST", "/api/admin/queue/pause", 401),
    ],
)
def test_high_2_an_answer_closes_what_a_browser_leaves_open(app: FastAPI, method: str, path: str, status: int) -> None:
    answer = browser(app).request(method, path)

    assert (answer.status_code, loose(answer)) == (status, set())


def test_so_does_the_answer_to_a_mistake_of_ours_and_it_tells_the_release_too(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "find", fail)  # no input reaches this state, or it would be no mistake of ours

    answer = browser(app).get(f"/api/units?search={uuid4()}")  # which no cache has an answer to

    assert (answer.status_code, loose(answer)) == (500, set())
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-rmu-release"]
    assert "42" not in answer.text


def test_headers_added_the_usual_way_are_missing_from_that_answer() -> None:
    naive = FastAPI()
    naive.get("/")(lambda: fail())
    naive.add_exception_handler(Exception, lambda *_: PlainTextResponse("our mistake", 500))
    naive.middleware("http")(_adds)

    answer = TestClient(naive, raise_server_exceptions=False).get("/")

    assert answer.status_code == 500
    assert {"frames", "sniffing", "sources"} <= loose(answer)


async def _adds(request: Request, call_next: Any) -> Any:
    answer = await call_next(request)
    answer.headers.update({name.decode(): value.decode() for name, value in headers.ALWAYS})
    return answer


def test_a_policy_that_lets_scripts_stand_in_a_page_is_found() -> None:
    said = {"content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline'"}

    assert {"scripts", "sources", "frames"} <= loose(Response(200, headers=said))


def test_https_is_asked_for_where_it_is_spoken_and_nowhere_else(app: FastAPI) -> None:
    told = browser(app, base_url="https://testserver").get("/livez").headers["strict-transport-security"]

    assert int(told.removeprefix("max-age=")) >= 31_536_000
    assert "strict-transport-security" not in browser(app).get("/livez").headers


def test_an_answer_in_a_session_is_kept_by_nobody(app: FastAPI) -> None:
    ana = student(app)

    assert ana.browser.get("/api/account/ratings").headers["cache-control"] == "no-store"
    assert ana.browser.get("/api/auth/session").headers["cache-control"] == "no-store"


ELSEWHERE = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "https://testserver"},
    {"Origin": "http://testserver:8080"},
    {"Origin": "http://testserver.evil.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("sent", ELSEWHERE, ids=str)
def test_a_page_of_another_site_changes_nothing_here(app: FastAPI, sent: dict[str, str]) -> None:
    ana = student(app)

    answer = ana.browser.post("/api/auth/sign-out", headers={"X-CSRF-Token": ana.csrf, **sent})

    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert ana.browser.get("/api/auth/session").status_code == 200


@pytest.mark.parametrize("sent", ELSEWHERE, ids=str)
def test_without_the_look_at_where_it_comes_from_it_would(
    app: FastAPI, sent: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "_ours", lambda _: True)
    ana = student(app)

    ana.browser.post("/api/auth/sign-out", headers={"X-CSRF-Token": ana.csrf, **sent})

    assert ana.browser.get("/api/auth/session").status_code == 401


def test_a_page_of_ours_and_a_program_may_change_things(app: FastAPI) -> None:
    for sent in ({"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {}):
        ana = student(app)
        answer = ana.browser.post("/api/auth/sign-out", headers={"X-CSRF-Token": ana.csrf, **sent})
        assert answer.status_code == 204


def test_our_origin_is_https_where_the_balancer_says_so(app: FastAPI) -> None:
    said = {"X-Forwarded-Proto": "https", "Origin": "https://testserver"}

    assert browser(app).post("/api/auth/sign-in", json={}, headers=said).status_code == 422


def _tokens(app: FastAPI) -> list[bytes]:
    return [b"", b"0" * 64, "📧".encode(), b"\xff" * 9, student(app).csrf.encode()]


def test_a_session_without_its_own_token_changes_nothing(app: FastAPI) -> None:
    for token in _tokens(app):
        ana = student(app)
        unit = first_unit(ana.browser)
        ana.csrf = token  # as bytes: a header holds any, and a text of others than ASCII's is not sent

        assert ana.rate(unit).status_code == 403
        assert ana.ask("POST", "/api/auth/sign-out").status_code == 403
        assert ana.browser.get("/api/account/ratings").json() == {"ratings": []}


def test_a_token_that_is_compared_as_text_is_a_mistake_where_it_is_not_ascii(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csrf, "check", lambda _, given: csrf.hmac.compare_digest("0" * 64, given))
    ana = student(app)
    unit = first_unit(ana.browser)
    ana.csrf = "📧".encode()

    assert ana.rate(unit).status_code == 500


def test_without_the_token_any_page_could_rate_in_somebodys_name(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csrf, "check", lambda *_: None)
    ana = student(app)
    ana.csrf = ""

    assert ana.rate(first_unit(ana.browser)).status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_what_a_form_of_another_site_can_send_is_no_json(app: FastAPI, kind: str) -> None:
    ana = newcomer(app)
    body = f'{{"email": "{ana.email}", "password": "correct horse battery"}}'

    answer = ana.browser.post("/api/auth/sign-in", content=body, headers={"Content-Type": kind})

    assert answer.status_code == 422
    assert "set-cookie" not in answer.headers


def test_a_form_without_a_session_has_a_token_of_its_browsers_own() -> None:
    async def draw(request: Request) -> PlainTextResponse:
        answer = PlainTextResponse()
        answer.body = csrf.token(request, answer).encode()
        return PlainTextResponse(answer.body, headers={"set-cookie": answer.headers.get("set-cookie", "")})

    async def take(request: Request) -> PlainTextResponse:
        csrf.check(request, request.query_params["csrf"])
        return PlainTextResponse("taken")

    site = Starlette(routes=[Route("/", draw), Route("/", take, methods=["POST"])])
    ana, ben = TestClient(site, client=("203.0.113.7", 1)), TestClient(site, client=("203.0.113.8", 1))
    site.state.settings = _Nobody()

    hers, his = ana.get("/").text, ben.get("/").text

    assert hers != his
    assert ana.get("/").text == hers
    assert ana.post(f"/?csrf={hers}").text == "taken"
    assert ana.post(f"/?csrf={his}").status_code == 403
    assert TestClient(site, client=("203.0.113.9", 1)).post(f"/?csrf={hers}").status_code == 403


class _Nobody:
    trusted_proxies = ()


# --- bodies


def sent_in(parts: list[bytes], pause: float = 0, ends: bool = True) -> Receive:
    """Make what a server hands on of a request that comes in parts."""
    left = iter(parts)

    async def receive() -> Message:
        await asyncio.sleep(pause)
        part = next(left, None)
        if part is None:
            return {"type": "http.disconnect"} if not ends else {"type": "http.request", "body": b""}
        return {"type": "http.request", "body": part, "more_body": True}

    return receive


def asked(app: ASGIApp, receive: Receive, **headers: str) -> int:
    """Send a request to an application; answer the status."""
    seen: list[int] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": named, "scheme": "http"}
    asyncio.run(app(scope, receive, send))
    return seen[0]


class Reader:
    """An application that reads all that comes, as frameworks do."""

    def __init__(self) -> None:
        self.most = 0
        self.whole = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, then answer 200."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            self.most = max(self.most, len(body))
            more = message.get("more_body", False)
        self.whole += 1
        await PlainTextResponse("read")(scope, receive, send)


STREAM = [b"x" * 50_000] * 40
CHUNKED = {"transfer_encoding": "chunked"}


def test_a_body_without_a_length_is_cut_off_at_the_limit() -> None:
    reader = Reader()

    assert asked(Bodies(reader), sent_in(STREAM), **CHUNKED) == 413
    assert (reader.most, reader.whole) == (0, 0)


def test_without_the_limit_all_of_it_is_taken_into_memory() -> None:
    reader = Reader()

    assert asked(reader, sent_in(STREAM), **CHUNKED) == 200
    assert reader.most == 2_000_000


@pytest.mark.parametrize("length", ["65537", "999999999999999999999"])
def test_a_length_over_the_limit_is_refused_before_anything_is_read(length: str) -> None:
    async def never() -> Message:
        raise AssertionError("somebody read")

    assert asked(Bodies(Reader()), never, content_length=length) == 413


def test_a_body_as_long_as_may_be_comes_through_whole() -> None:
    reader = Reader()

    assert asked(Bodies(reader), sent_in([b"x" * 65_535, b"y"]), content_length=str(bodies.MOST)) == 200
    assert reader.most == bodies.MOST


def test_a_length_that_lies_is_no_way_around() -> None:
    assert asked(Bodies(Reader()), sent_in(STREAM), content_length="5") == 413


def test_a_body_that_drips_is_given_up() -> None:
    reader = Reader()

    assert asked(Bodies(reader, seconds=0.2), sent_in([b"x"] * 50, pause=0.02), **CHUNKED) == 408
    assert reader.whole == 0


def test_without_the_deadline_it_is_waited_for_as_long_as_it_likes() -> None:
    began = time.monotonic()

    assert asked(Reader(), sent_in([b"x"] * 50, pause=0.02), **CHUNKED) == 200
    assert time.monotonic() - began > 0.9


def test_a_request_that_breaks_off_never_reaches_a_route() -> None:
    reader = Reader()

    assert asked(Bodies(reader), sent_in([b'{"id"'], ends=False), content_length="99") == 400
    assert reader.most == 0


# --- the server itself


@contextmanager
def served(kind: Any, seconds: float = LONG) -> Iterator[int]:
    """Serve a small application by a protocol, a body may take so long; answer its port."""
    port = free_port()
    app = Bodies(Reader(), seconds=seconds)
    server = uvicorn.Server(uvicorn.Config(app, port=port, http=kind, log_config=None, ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: listens(port))
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(LONG)


def told(port: int, sent: bytes, within: float = LONG, then: bytes = b"") -> bytes:
    """Send something, and after it `then` again and again; answer what comes back until the server hangs up."""
    heard = b""
    until = time.monotonic() + within
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(sent)
        connection.settimeout(0.05)
        while time.monotonic() < until:
            # Who hangs up may have said something before.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(then)
            try:
                part = connection.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionResetError:
                break
            if not part:
                break
            heard += part
    return heard


def answered(connection: socket.socket) -> bytes:
    """Hear one whole answer of the small application."""
    heard = b""
    while not heard.endswith(b"read"):  # head and body may come apart
        heard += connection.recv(65_536)
    return heard


START = b"POST / HTTP/1.1\r\nHost: x\r\n"


def test_a_head_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SECONDS", 0.4)  # fifteen seconds, in less

    with served(protocol.Http) as port:
        assert told(port, START, then=b"X-A: 1\r\n").startswith(b"HTTP/1.1 408 ")
        assert told(port, b"").startswith(b"HTTP/1.1 408 ")


def test_a_head_without_an_end_is_cut_off() -> None:
    with served(protocol.Http) as port:
        assert told(port, START, then=b"X-A: " + b"a" * 9_000 + b"\r\n").startswith(b"HTTP/1.1 431 ")
        assert told(port, START + b"X-A: ", then=b"a" * 9_000).startswith(b"HTTP/1.1 431 ")


LARGE = {
    "many fields": b"X-A: " + b"a" * 9_000 + b"\r\n",
    "one field": b"X-A: " + b"a" * 36_000 + b"\r\n",
    "short fields": b"A: b\r\n" * 5,
}


@pytest.mark.parametrize("end", [b"Content-Length: 2\r\n\r\nok", b"X-A: "], ids=["whole", "without an end"])
@pytest.mark.parametrize("field", LARGE.values(), ids=LARGE)
def test_a_head_that_is_too_large_is_cut_off_though_it_comes_at_once(field: bytes, end: bytes) -> None:
    head = START + field * (36_000 // len(field) + 1) + end

    with served(protocol.Http) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        assert told(port, head).startswith(b"HTTP/1.1 431 ")

        connection.sendall(START + b"Content-Length: 2\r\n\r\nok")
        assert answered(connection).startswith(b"HTTP/1.1 200 ")
        connection.sendall(head)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 431 ")


def test_so_is_an_address_that_is() -> None:
    with served(protocol.Http) as port:
        assert told(port, b"GET /" + b"a" * 36_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n").startswith(b"HTTP/1.1 431 ")


def test_a_head_may_be_large_and_come_in_pieces() -> None:
    field = b"X-A: " + b"a" * 10_000 + b"\r\n"

    with served(protocol.Http) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(2):
            for piece in (START, field, field, field, b"Content-Length: 2\r\n\r\nok"):
                connection.sendall(piece)
                time.sleep(0.05)
            assert answered(connection).startswith(b"HTTP/1.1 200 ")


def test_what_the_server_refuses_before_there_is_a_request_is_a_problem_of_this_release(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "SECONDS", 0.4)
    sent = {400: b"NOT HTTP\r\n\r\n", 408: START, 431: START + LARGE["one field"]}

    with served(protocol.of("v7")) as port:
        for status, request in sent.items():
            answer = parsed(told(port, request))
            assert (answer.status_code, answer.json()["status"], loose(answer)) == (status, status, set())
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["x-rmu-release"] == "v7"
            assert answer.headers["connection"] == "close"


def test_an_api_that_is_asked_no_http_says_which_release_it_is(start: Callable[..., Role], cluster: Cluster) -> None:
    api = start("api", DATABASE_URL=cluster.url("postgres"), RELEASE_VERSION="v9")

    assert parsed(told(api.port, b"NOT HTTP\r\n\r\n")).headers["x-rmu-release"] == "v9"


def test_as_the_server_comes_that_is_neither() -> None:
    with served("httptools") as port:
        answer = parsed(told(port, b"NOT HTTP\r\n\r\n"))

    assert answer.status_code == 400
    assert answer.headers["content-type"] != "application/problem+json"
    assert loose(answer)


def parsed(heard: bytes) -> Response:
    """Read an answer off the wire."""
    head, _, body = heard.partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    return Response(int(status.split()[1]), headers=[tuple(field.split(": ", 1)) for field in fields], content=body)


def test_the_server_as_it_comes_takes_any_head_that_comes_at_once() -> None:
    with served("httptools") as port:
        head = START + LARGE["many fields"] * 9 + b"Content-Length: 2\r\nConnection: close\r\n\r\nok"
        assert told(port, head).startswith(b"HTTP/1.1 200 ")


def test_the_server_as_it_comes_waits_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    with served("httptools") as port:
        assert told(port, START, within=1.5, then=b"X-A: 1\r\n") == b""
        assert told(port, START, within=1.5, then=b"X-A: " + b"a" * 9_000 + b"\r\n") == b""


def test_a_body_that_drips_over_a_real_connection_is_given_up_and_the_connection_with_it() -> None:
    with served(protocol.Http, seconds=0.5) as port:
        heard = told(port, START + b"Content-Length: 1000\r\n\r\n", then=b"x")

    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in heard.lower()


def test_a_connection_goes_on_after_a_whole_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "SECONDS", 3)
    request = START + b"Content-Length: 2\r\n\r\nok"

    with served(protocol.Http) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        for pause in (0, 4):  # longer than a head may take: between two requests there is none
            time.sleep(pause)
            connection.sendall(request)
            assert answered(connection).startswith(b"HTTP/1.1 200 ")


def test_a_large_body_is_refused_by_the_whole_application(app: FastAPI) -> None:
    stranger = Person(browser(app), "")
    unit = first_unit(stranger.browser)

    answer = stranger.rate(unit, comment="x" * 70_000)
    streamed = stranger.browser.post(f"/api/units/{unit}/ratings", content=iter([b"x" * 40_000] * 3))

    assert [(a.status_code, a.headers["content-type"]) for a in (answer, streamed)] == [
        (413, "application/problem+json")
    ] * 2
    assert stranger.browser.post(f"/api/units/{unit}/ratings", json={"id": str(uuid4()), "stars": 3}).status_code == 201
