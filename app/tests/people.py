"""People of the tests: they sign up, sign in, rate, and some of them are admins."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from conftest import TOKEN, Cluster
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from ratemyunit import api, database, settings, units

PASSWORD = "correct horse battery"
OPERATOR = {"Authorization": f"Bearer {TOKEN}"}


def application(cluster: Cluster, name: str, redis_url: str, **more: str) -> FastAPI:
    """Build an application on a database of the tests."""
    named = {"DATABASE_URL": cluster.url(name), "REDIS_URL": redis_url, "ADMIN_TOKEN": TOKEN, **more}
    return api.create(settings.read(named))


def store_units(cluster: Cluster, name: str) -> None:
    """Store two units."""
    engine = database.engine(cluster.url(name))
    with engine.begin() as connection:
        found = [units.Found("COMP1010", "Programming", "Loops"), units.Found("COMP2100", "Systems", "Machines")]
        units.store(connection, "North", found)
    engine.dispose()


@dataclass
class Person:
    """Somebody with an account and a browser of their own."""

    browser: TestClient
    email: str
    csrf: str | bytes = ""

    def sign_in(self, password: str = PASSWORD) -> Response:
        """Sign in; keep the token for forms, if it worked."""
        answer = self.browser.post("/api/auth/sign-in", json={"email": self.email, "password": password})
        if answer.status_code == 200:
            self.csrf = answer.json()["csrf"]
        return answer

    def ask(self, method: str, path: str, **more: object) -> Response:
        """Ask for something in the session."""
        return self.browser.request(method, path, headers={"X-CSRF-Token": self.csrf}, **more)

    def rate(self, unit: str, **more: object) -> Response:
        """Rate a unit."""
        given = {"id": str(uuid4()), "stars": 4, "comment": "hard, but fair", **more}
        return self.ask("POST", f"/api/units/{unit}/ratings", json=given)

    def id(self) -> str:
        """Ask, as an operator, which account this is."""
        found = self.browser.get("/api/admin/users", params={"search": self.email}, headers=OPERATOR).json()["users"]
        return str(found[0]["id"])


@contextmanager
def running(cluster: Cluster, redis_url: str, **more: str) -> Iterator[FastAPI]:
    """Run an application on a database of its own with two units; its browsers share its event loop."""
    name = f"people{uuid4().hex}"
    cluster.make_migrated(name)
    store_units(cluster, name)
    app = application(cluster, name, redis_url, **more)
    with TestClient(app) as first:
        app.state.portal = first.portal
        app.state.forget = lambda: cluster.sql("truncate users, sessions, ratings, jobs", name)
        yield app


def browser(app: FastAPI, **more: object) -> TestClient:
    """Open a browser of somebody's own."""
    made = TestClient(app, raise_server_exceptions=False, **more)
    made.portal = app.state.portal
    return made


def newcomer(app: FastAPI, name: str = "", **more: object) -> Person:
    """Sign somebody up who has not signed in yet."""
    person = Person(browser(app, **more), f"{name or uuid4().hex}@uni.example.edu")
    answer = person.browser.post("/api/auth/sign-up", json={"email": person.email, "password": PASSWORD})
    assert answer.status_code == 202, answer.text
    return person


def student(app: FastAPI, name: str = "") -> Person:
    """Sign somebody up and in."""
    person = newcomer(app, name)
    assert person.sign_in().status_code == 200
    return person


def admin(app: FastAPI, name: str = "") -> Person:
    """Sign somebody up and in whom an operator has made an admin."""
    person = student(app, name)
    answer = person.browser.post(
        f"/api/admin/users/{person.id()}/role", json={"role": "admin"}, headers=OPERATOR | {"X-CSRF-Token": person.csrf}
    )
    assert answer.status_code == 204, answer.text
    return person


def first_unit(browser: TestClient) -> str:
    """Name a unit."""
    return str(browser.get("/api/units?search=systems").json()["units"][0]["id"])
