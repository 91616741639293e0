"""The catalogues that are kept, a page at a time. What is read of them is in `crawls`."""

from uuid import UUID

from sqlalchemy import Connection, RowMapping, select, tuple_

from ratemyunit.schema import sources

_key = (sources.c.university, sources.c.url, sources.c.span)


def listed(connection: Connection, *, most: int, after: UUID | None = None) -> list[RowMapping]:
    """List catalogues by university; `after` is the last id of the page before. None is ever deleted."""
    query = select(sources).order_by(*_key).limit(most)
    if after:
        last = connection.execute(select(*_key).where(sources.c.id == after)).first()
        if last is None:
            return []
        query = query.where(tuple_(*_key) > tuple(last))
    return list(connection.execute(query).mappings())
