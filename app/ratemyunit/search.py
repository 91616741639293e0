"""Search: which units a student means, best first, a page at a time.

Where words are given, what is found comes in tiers: units whose code begins so; units whose title has every word, then
those whose title has words that begin so, short titles before long ones; units that have every word somewhere. Only
where all of that finds nothing, units that look alike: the words may be misspelt. Without words it is the catalogue in
order of code.

Each tier has an index that answers it (schema.py), none keeps a copy of a unit's text, and a tier is asked only when
those before it have not filled the page. A place in a tier is a key of the row, never a number of rows to skip: pages
neither repeat nor miss a unit when others come or go.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, TextClause, text

from ratemyunit.cursors import CursorWrong, packed, unpacked
from ratemyunit.schema import ALIKE, LEVEL, PLAIN_CODE, SEARCHABLE, TITLED

WORDS = re.compile(r"\w+")
MOST_WORDS = 8
# Shorter ones resemble everything.
SHORTEST_MISSPELT = 4
# What PostgreSQL's integer holds.
MOST_NEAR = 2**31 - 1

# Terms are word characters only, so nothing of tsquery's own language can come in with them. English endings are
# taken off for titles: who types "databases" means "Database Systems" too.
BEGINNINGS = "to_tsquery('simple', :beginnings)"
BY_CODE = f"{PLAIN_CODE} ^@ upper(cast(:joined as text))"
BY_WORD = f"{TITLED} @@ (to_tsquery('simple', :whole) || to_tsquery('english', :whole))"
BY_BEGINNING = f"{TITLED} @@ ({BEGINNINGS} || to_tsquery('english', :beginnings))"
BY_TEXT = f"{SEARCHABLE} @@ {BEGINNINGS}"
NOT_SHOWN = "units.id not in (select units.id from units where {})"
LIKENESS = f"cast(round((1 - word_similarity(:words, {ALIKE})) * 1000000) as int)"


@dataclass(frozen=True)
class Tier:
    """One way to find units, and their order in it: by `near`, by `key`, by id."""

    number: int
    match: str
    key: str = "units.code"
    near: str = ""


ALL = Tier(0, "true")
CODE = Tier(1, BY_CODE, key=PLAIN_CODE)
# What tiers before have shown is left out by its ids, which PostgreSQL hashes (up to a few hundred thousand of them):
# to ask each row once more whether its title fits would cost more than to find it.
WORD = Tier(2, f"{BY_WORD} and {NOT_SHOWN.format(BY_CODE)}", near="length(units.title)")
BEGINNING = Tier(3, f"{BY_BEGINNING} and {NOT_SHOWN.format(f'{BY_CODE} or {BY_WORD}')}", near="length(units.title)")
TEXT = Tier(4, f"{BY_TEXT} and {NOT_SHOWN.format(f'{BY_CODE} or {BY_BEGINNING}')}")
MISSPELT = Tier(5, f":words <% {ALIKE}", near=LIKENESS)
FITTING = (CODE, WORD, BEGINNING, TEXT)

PAGE = """\
select page.tier, page.near, page.key, units.id, units.code, units.title, units.description, units.updated_at,
       units.university_id, universities.name as university, given.rating_count, given.rating_average
from (select found.*, row_number() over () as place from ({tiers} limit :most) as found) as page
join units on units.id = page.id
join universities on universities.id = units.university_id
left join lateral (
    select count(*) as rating_count, cast(round(avg(ratings.stars), 2) as float) as rating_average
    from ratings where ratings.unit_id = units.id
) as given on true
order by page.place
"""


@dataclass(frozen=True)
class Asked:
    """What is searched for. The level is the first digit of a unit's code, which says the year of study."""

    words: str = ""
    university: UUID | None = None
    level: int | None = None

    @property
    def terms(self) -> list[str]:
        """Take the words apart; what is no word character separates."""
        return WORDS.findall(self.words)[:MOST_WORDS]

    @property
    def mark(self) -> str:
        """Tell this search from others, in a cursor."""
        said = [bool(self.words.strip()), self.terms, str(self.university), self.level]
        return sha256(json.dumps(said).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Place:
    """Where a page ended: the next one begins after it."""

    tier: int
    near: int
    key: str
    id: UUID


@dataclass(frozen=True)
class Page:
    """Some of what was found, and the cursor of what comes after it; None at the end."""

    units: Sequence[Row[Any]]
    next: str | None


def find(connection: Connection, asked: Asked, *, most: int, cursor: str = "") -> Page:
    """Find a page of units.

    Raises:
        CursorWrong: the cursor is not one of this search.
    """
    after = _read(cursor, asked) if cursor else None
    if asked.words.strip() and not asked.terms:
        return Page([], None)
    found = _rows(connection, asked, _tiers(asked, after), most, after)
    if not found and after is None and len("".join(asked.terms)) >= SHORTEST_MISSPELT:
        found = _rows(connection, asked, [MISSPELT], most, None)
    last = found[most - 1] if len(found) > most else None
    return Page(found[:most], _write(Place(last.tier, last.near, last.key, last.id), asked) if last else None)


def statement(asked: Asked, tiers: Sequence[Tier], most: int, after: Place | None) -> tuple[TextClause, dict[str, Any]]:
    """Spell the question for some tiers, and its parameters. It asks for one unit more than the page holds."""
    terms = asked.terms
    said: dict[str, Any] = {
        "most": most + 1,
        "beginnings": " & ".join(f"{term}:*" for term in terms),
        "whole": " & ".join(terms),
        "joined": "".join(terms),
        "words": " ".join(terms),
        "university": asked.university,
        "level": str(asked.level),
    }
    if after is not None:
        said |= {"near": after.near, "key": after.key, "id": after.id}
    # Only words of this module are put together here: what a caller says goes as a parameter.
    part = "select * from ({}) as tier_{}"
    parts = " union all ".join(part.format(_part(tier, asked, after), tier.number) for tier in tiers)
    return _text(PAGE.format(tiers=parts)), said


@cache
def _text(sql: str) -> TextClause:
    # One object per spelling, of which there are a few dozen, so that SQLAlchemy reads each once.
    return text(sql)


def _part(tier: Tier, asked: Asked, after: Place | None) -> str:
    where = [f"({tier.match})"]
    if asked.university is not None:
        where.append("units.university_id = :university")
    if asked.level is not None:
        where.append(f"{LEVEL} = :level")
    order = f"{tier.near}, {tier.key}, units.id" if tier.near else f"{tier.key}, units.id"
    if after is not None and after.tier == tier.number:
        where.append(f"({order}) > ({':near, ' if tier.near else ''}:key, :id)")
    columns = f"units.id, {tier.number} as tier, {tier.near or 0} as near, {tier.key} as key"
    return f"select {columns} from units where {' and '.join(where)} order by {order} limit :most"


def _rows(
    connection: Connection, asked: Asked, tiers: Sequence[Tier], most: int, after: Place | None
) -> Sequence[Row[Any]]:
    return connection.execute(*statement(asked, tiers, most, after)).all()


def _tiers(asked: Asked, after: Place | None) -> list[Tier]:
    if not asked.terms:
        return [ALL]
    if after is not None and after.tier == MISSPELT.number:
        return [MISSPELT]
    return [tier for tier in FITTING if after is None or tier.number >= after.tier]


def _write(place: Place, asked: Asked) -> str:
    return packed(json.dumps([asked.mark, place.tier, place.near, place.key, str(place.id)], ensure_ascii=False))


def _read(cursor: str, asked: Asked) -> Place:
    # Whatever is wrong with it, it is not one that we gave.
    try:
        mark, tier, near, key, unit = json.loads(unpacked(cursor))
        place = Place(tier, near, key, UUID(unit))
        key.encode()  # JSON can name half a character, which nothing can hold
    except (ValueError, TypeError, AttributeError) as why:
        raise CursorWrong("the cursor is not one that a search has given") from why
    right = type(tier) is int and type(near) is int and isinstance(key, str) and "\0" not in key
    if not right or mark != asked.mark or abs(near) > MOST_NEAR or tier not in {t.number for t in _all_tiers(asked)}:
        raise CursorWrong("the cursor is not one that this search has given")
    return place


def _all_tiers(asked: Asked) -> list[Tier]:
    return [*FITTING, MISSPELT] if asked.terms else [ALL]
