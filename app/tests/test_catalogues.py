"""Catalogues are listed by university, a page at a time."""

from collections.abc import Iterator

import pytest
from conftest import Cluster
from fastapi import FastAPI
from people import OPERATOR, browser, running
from sqlalchemy import text

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def app(cluster: Cluster, redis_url: str) -> Iterator[FastAPI]:
    """Run an application that keeps 25 catalogues, two of most universities."""
    with running(cluster, redis_url) as made:
        rows = "insert into sources (university, kind, url) select 'U' || n / 2, 'html', 'https://u.example/' || n % 2"
        with made.state.engine.begin() as connection:
            connection.execute(text(f"{rows} from generate_series(1, 25) n"))
        yield made


def page(app: FastAPI, **asked: object) -> tuple[list[tuple[str, str]], str | None]:
    """Ask for a page of catalogues; answer them, and the `after` of the page behind it."""
    said = browser(app).get("/api/admin/sources", params=asked, headers=OPERATOR).json()
    return [(one["university"], one["url"]) for one in said["sources"]], said["next"]


def test_every_catalogue_is_on_one_page_in_order_of_university(app: FastAPI) -> None:
    pages, after = [], {}
    while True:
        found, further = page(app, limit=10, **after)
        pages.append(found)
        if further is None:
            break
        after = {"after": further}

    assert [len(one) for one in pages] == [10, 10, 5]
    assert sum(pages, []) == page(app, limit=100)[0]
    with app.state.engine.connect() as connection:
        ordered = connection.execute(text("select university, url from sources order by university, url")).all()
    assert sum(pages, []) == [tuple(row) for row in ordered]


def test_no_page_is_longer_than_what_is_asked_for_and_that_has_a_bound(app: FastAPI) -> None:
    assert len(page(app, limit=3)[0]) == 3
    assert browser(app).get("/api/admin/sources?limit=101", headers=OPERATOR).status_code == 422


def test_nothing_comes_after_a_catalogue_that_is_not_there(app: FastAPI) -> None:
    assert page(app, after=NOBODY) == ([], None)
