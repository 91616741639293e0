"""Units in PostgreSQL: store what a scrape found, find what a student looks for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, RowMapping, func, literal_column, or_, select
from sqlalchemy.dialects.postgresql import insert

from ratemyunit.schema import SEARCHABLE, units, universities

WORDS = re.compile(r"\w+")
MOST_WORDS = 8

_columns = (
    units.c.id,
    units.c.code,
    units.c.title,
    units.c.description,
    units.c.updated_at,
    universities.c.name.label("university"),
)


@dataclass(frozen=True)
class Found:
    """One unit as a catalogue shows it."""

    code: str
    title: str
    description: str


def search(connection: Connection, words: str, *, most: int) -> list[RowMapping]:
    """Find units whose text has every word, or a word that begins so; best first. No words: the first by code."""
    query = select(*_columns).join(universities).limit(most)
    terms = WORDS.findall(words)[:MOST_WORDS]
    if not terms:
        return [] if words.strip() else list(connection.execute(query.order_by(units.c.code, units.c.id)).mappings())
    # Terms are word characters only, so nothing of tsquery's own language can come in with them.
    asked = func.to_tsquery("simple", " & ".join(f"{term}:*" for term in terms))
    query = query.where(literal_column(SEARCHABLE).op("@@")(asked))
    query = query.order_by(func.ts_rank(literal_column(SEARCHABLE), asked).desc(), units.c.code, units.c.id)
    return list(connection.execute(query).mappings())


def one(connection: Connection, unit: UUID) -> RowMapping | None:
    """Find one unit by its id."""
    return connection.execute(select(*_columns).join(universities).where(units.c.id == unit)).mappings().first()


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
