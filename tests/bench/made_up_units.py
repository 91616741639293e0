"""Fifty thousand units as forty universities might have them, and what students type to find one. The seed is fixed.

Words are as unevenly spread as in real catalogues: a few stand in every tenth title, most in a handful.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from uuid import UUID

import psycopg

SEED = 20261127
UNIVERSITIES, UNITS, RATINGS = 40, 50_000, 200_000


def _words(text: str) -> list[str]:
    return text.split()


FIELDS = _words(
    """
    accounting acoustics aerodynamics agriculture algebra algorithms analytics anatomy animation anthropology
    archaeology architecture astronomy astrophysics banking bioinformatics biochemistry biology biomechanics
    botany calculus cardiology cartography chemistry climatology combinatorics commerce compilers computing
    construction cosmology criminology cryptography dance databases demography dentistry design dietetics
    diplomacy drama dynamics ecology econometrics economics education electromagnetism electronics embryology
    endocrinology engineering entomology entrepreneurship epidemiology ergonomics ethics ethnography film finance
    forensics forestry genetics geochemistry geography geology geometry geophysics geriatrics governance grammar
    graphics hematology histology history horticulture hydraulics hydrology immunology informatics insurance
    journalism jurisprudence kinesiology law leadership linguistics literature logic logistics management
    manufacturing marketing mathematics mechanics mechatronics medicine metallurgy meteorology microbiology
    midwifery mineralogy music nanotechnology networks neurology neuroscience nursing nutrition obstetrics
    oceanography oncology optics optometry ornithology paediatrics palaeontology parasitology pathology pedagogy
    pharmacology philosophy phonetics photography physics physiology physiotherapy planning poetry policy politics
    probability procurement programming psychiatry psychology radiology rehabilitation religion rhetoric robotics
    sculpture security seismology semantics semiotics signals sociology software spectroscopy statistics surgery
    surveying systems taxation telecommunications theatre theology thermodynamics topology tourism toxicology
    translation typography veterinary virology viticulture volcanology zoology
    """
)
KINDS = _words(
    """
    introduction advanced applied foundations principles methods topics theory practice project research seminar
    studies contemporary global professional clinical computational digital experimental industrial international
    modern quantitative qualitative sustainable human social environmental molecular structural strategic creative
    critical
    """
)
TEXT = _words(
    """
    students this unit will learn to and develop explore the of in their with through analysis skills knowledge
    assessment examination laboratory lectures tutorials workshops group reports presentations concepts techniques
    problems solving communication evidence case critical thinking real world industry practice field placement
    written numerical models data reading discussion weekly feedback ethical cultural perspectives australian
    community evaluate apply understand describe explain compare design implement interpret contexts historical
    """
)
BEGINNINGS, ENDINGS = "bcdfglmnprstv", "aeiou"
# Names, places, instruments: what tells one unit from a thousand others.
RARE = ["".join(part) for part in product(BEGINNINGS, ENDINGS, BEGINNINGS, ENDINGS, "klmnrs")]


@dataclass(frozen=True)
class Unit:
    """One made-up unit."""

    id: UUID
    university: int
    code: str
    title: str
    description: str


def catalogue(count: int = UNITS) -> list[Unit]:
    """Make that many units, the same each time."""
    dice = random.Random(SEED)
    by_rank = [1 / (rank + 3) for rank in range(len(FIELDS))]
    seen: set[tuple[int, str]] = set()
    made: list[Unit] = []
    while len(made) < count:
        field, other = dice.choices(FIELDS, by_rank, k=2)
        code = f"{field[:4].upper()}{dice.choice('1112233345679')}{dice.randrange(1000):03}"
        university = dice.randrange(UNIVERSITIES)
        if (university, code) in seen:
            continue
        seen.add((university, code))
        made.append(Unit(_id(dice), university, code, _title(dice, field, other), _text(dice, field, other)))
    return made


def searches(count: int, *, seed: int) -> list[str]:
    """Make what students type, as often as they would: a code, a word or the beginning of one, two words, a slip."""
    dice = random.Random(seed)
    by_rank = [1 / (rank + 1) for rank in range(len(FIELDS))]

    def one() -> str:
        field, other = dice.choices(FIELDS, by_rank, k=2)
        kind = dice.random()
        if kind < 0.20:
            return f"{field[:4]}{dice.choice(['', ' ', '1', '20', '3'])}".strip()
        if kind < 0.50:
            return field[: dice.choice([4, 5, 6, 30, 30, 30])]
        if kind < 0.75:
            return f"{dice.choice(KINDS)} {field}"
        if kind < 0.90:
            return f"{field} {other}"
        if kind < 0.95:
            return dice.choice(RARE)
        at = dice.randrange(1, len(field) - 1)
        return field[:at] + field[at + 1 :]

    return [one() for _ in range(count)]


def store(connection: psycopg.Connection[tuple[object, ...]], units: list[Unit], ratings: int = RATINGS) -> None:
    """Put the units and their ratings into a migrated, empty database, and let PostgreSQL count what is there."""
    dice = random.Random(SEED)
    universities = [_id(dice) for _ in range(UNIVERSITIES)]
    with connection.cursor() as cursor:
        with cursor.copy("copy universities (id, name) from stdin") as rows:
            for number, university in enumerate(universities):
                rows.write_row((university, f"University of {RARE[number * 7].title()}"))
        with cursor.copy("copy units (id, university_id, code, title, description) from stdin") as rows:
            for unit in units:
                rows.write_row((unit.id, universities[unit.university], unit.code, unit.title, unit.description))
        with cursor.copy("copy ratings (id, unit_id, stars, comment) from stdin") as rows:
            for _ in range(ratings):
                unit = units[int(len(units) * dice.random() ** 2)]
                rows.write_row((_id(dice), unit.id, dice.choice((1, 2, 3, 3, 4, 4, 5)), ""))
    connection.commit()
    connection.autocommit = True
    connection.execute("vacuum analyze")


def _title(dice: random.Random, field: str, other: str) -> str:
    shape = dice.random()
    kind = dice.choice(KINDS).title()
    if shape < 0.4:
        return f"{kind} {field.title()}"
    if shape < 0.7:
        return f"{field.title()} and {other.title()}"
    return f"{kind} {field.title()} of {dice.choice(RARE).title()} {dice.choice(KINDS).title()}"


def _text(dice: random.Random, field: str, other: str) -> str:
    words = [*dice.choices(TEXT, k=dice.randrange(30, 80)), field, other, *dice.choices(RARE, k=6)]
    dice.shuffle(words)
    return " ".join(words).capitalize() + "."


def _id(dice: random.Random) -> UUID:
    return UUID(int=dice.getrandbits(128), version=4)
