"""Units in PostgreSQL: store what a scrape found, show one. Who looks for some asks `search`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Float, RowMapping, cast, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from ratemyunit.schema import ratings, units, universities

MOST_UNIVERSITIES = 1000


@dataclass(frozen=True)
class Found:
    """One unit as a catalogue shows it."""

    code: str
    title: str
    description: str


def one(connection: Connection, unit: UUID) -> RowMapping | None:
    """Find one unit by its id, with the number of its ratings and their average."""
    given = ratings.c.unit_id == units.c.id
    average = cast(func.round(func.avg(ratings.c.stars), 2), Float)
    query = select(
        units,
        universities.c.name.label("university"),
        select(func.count()).where(given).scalar_subquery().label("rating_count"),
        select(average).where(given).scalar_subquery().label("rating_average"),
    )
    return connection.execute(query.join(universities).where(units.c.id == unit)).mappings().first()


def all_universities(connection: Connection) -> Sequence[RowMapping]:
    """List the universities, by name."""
    query = select(universities.c.id, universities.c.name).order_by(universities.c.name, universities.c.id)
    return connection.execute(query.limit(MOST_UNIVERSITIES)).mappings().all()


def store(connection: Connection, university: str, found: Iterable[Found]) -> int:
    """Insert new units and update changed ones; answer how many the catalogue showed."""
    by_code = {unit.code: unit for unit in found}
    if not by_code:
        return 0
    row = {"university_id": _university(connection, university)}
    rows = [{**row, "code": u.code, "title": u.title, "description": u.description} for u in by_code.values()]
    put = insert(units)
    put = put.on_conflict_do_update(
        index_elements=["university_id", "code"],
        set_={"title": put.excluded.title, "description": put.excluded.description, "updated_at": func.now()},
        where=or_(units.c.title != put.excluded.title, units.c.description != put.excluded.description),
    )
    connection.execute(put, rows)
    return len(rows)


def _university(connection: Connection, name: str) -> UUID:
    connection.execute(insert(universities).values(name=name).on_conflict_do_nothing())
    found: UUID = connection.execute(select(universities.c.id).where(universities.c.name == name)).scalar_one()
    return found
