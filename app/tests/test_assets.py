"""Files of pages outlive the release that made the page: two releases serve each other's, in turn and alone."""

import re
import shutil
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from conftest import APP, Cluster, Role, wait_until
from patient import LONG

from ratemyunit import database as pool
from ratemyunit import migrate
from ratemyunit.web import assets
from ratemyunit.web.assets import Asset, Publisher

FILES = re.compile(r'(?:src|href)="(/static/[^"]+)"')


def another_release(where: Path) -> Path:
    """Make a tree whose stylesheet and script are others."""
    shutil.copytree(APP / "ratemyunit", where / "ratemyunit", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("site.css", "site.js"):
        file = where / "ratemyunit/web/static" / name
        file.write_text(file.read_text() + "\n/* another release */\n")
    return where


def published(cluster: Cluster, name: str, only: str = "true") -> set[str]:
    """List what is in the table."""
    with psycopg.connect(cluster.url(name, "master")) as connection:
        return {row[0] for row in connection.execute(f"select name from assets where {only}").fetchall()}


def files_of(release: Role) -> set[str]:
    """List the files that a release's front page names."""
    return set(FILES.findall(release.get("/")[2]))


def test_pages_find_their_files_after_a_flip_after_a_rollback_and_when_their_release_is_gone(
    start: "type[Role]", cluster: Cluster, database: str, redis_url: str, tmp_path: Path
) -> None:
    env = {"DATABASE_URL": cluster.url(database), "REDIS_URL": redis_url}
    tree = str(another_release(tmp_path / "tree"))
    old, new = start("api", **env), start("api", **env, PYTHONPATH=tree, PYTHONSAFEPATH="1")
    before, after = files_of(old), files_of(new)
    wait_until(lambda: {f"/static/{n}" for n in published(cluster, database)} == before | after)

    flipped = {path: new.get(path) for path in before}
    rolled_back = {path: old.get(path) for path in after}
    own = {path: old.get(path)[2] for path in before} | {path: new.get(path)[2] for path in after}
    old.stop()
    alone = {path: new.get(path)[2] for path in before}

    assert len(before - after) == len(after - before) == 2
    for path, (status, headers, body) in [*flipped.items(), *rolled_back.items()]:
        assert (status, body) == (200, own[path]), path
        assert headers["cache-control"] == "public, max-age=31536000, immutable"
        assert headers["x-content-type-options"] == "nosniff"
    assert alone == {path: own[path] for path in before}


def test_a_release_that_lives_keeps_its_files_and_one_that_is_long_gone_loses_them(
    cluster: Cluster, database: str
) -> None:
    engine = pool.engine(cluster.url(database))
    mine, theirs = Asset("a-1.css", "text/css", b"a"), Asset("b-1.css", "text/css", b"b")
    with engine.begin() as connection:
        assets.publish(connection, [mine, theirs])
        connection.exec_driver_sql("update assets set seen_at = now() - interval '43 days'")
        assets.publish(connection, [mine])

        gone = assets.forget(connection)

        assert gone == 1
        assert assets.find(connection, "a-1.css") == mine
        assert assets.find(connection, "b-1.css") is None
        assert assets.forget(connection, kept=timedelta(days=1)) == 0
    engine.dispose()


def test_a_release_that_starts_where_its_files_lie_writes_nothing_for_a_week(cluster: Cluster, database: str) -> None:
    engine = pool.engine(cluster.url(database))
    mine = Asset("a-1.css", "text/css", b"a")
    writer = "select xmin::text from assets"
    with engine.begin() as connection:
        assets.publish(connection, [mine])
        connection.exec_driver_sql("update assets set seen_at = now() - interval '6 days'")
    written = []
    for days in (0, 2):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"update assets set seen_at = seen_at - interval '{days} days'")
            before = connection.exec_driver_sql(writer).scalar_one()
        with engine.begin() as connection:
            assets.publish(connection, [mine], stale=assets.STALE)
            written.append(connection.exec_driver_sql(writer).scalar_one() != before)

    assert written == [False, True]
    engine.dispose()


def test_files_are_published_as_soon_as_the_database_can_take_them(
    cluster: Cluster, empty_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = pool.engine(cluster.url(empty_database))
    publisher = Publisher(engine)
    publisher.start()
    wait_until(lambda: "assets are not published yet" in caplog.text)

    migrate.upgrade(cluster.url(empty_database, "rmu_migrate"))
    wait_until(lambda: published(cluster, empty_database) == {a.name for a in assets.own().values()})
    publisher.stop()
    publisher.join(LONG)
    engine.dispose()

    assert caplog.text.count("assets are not published yet") == 1
    assert not publisher.is_alive()


def test_a_release_says_again_and_again_that_it_lives(
    cluster: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assets, "SEEN_EVERY", timedelta(milliseconds=200))  # a day, in less
    engine = pool.engine(cluster.url(database))
    publisher = Publisher(engine)
    publisher.start()
    wait_until(lambda: published(cluster, database))

    cluster.sql("update assets set seen_at = now() - interval '41 days'", database)
    wait_until(lambda: not published(cluster, database, "seen_at < now() - interval '1 day'"))
    publisher.stop()
    engine.dispose()


def test_another_content_is_another_name() -> None:
    names = {assets.hashed("site.css", body).name for body in (b"a", b"b", b"a")}

    assert len(names) == 2
    assert all(re.fullmatch(r"site-[0-9a-f]{16}\.css", name) for name in names)
