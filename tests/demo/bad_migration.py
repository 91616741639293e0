"""A second version of the product's tree, whose contract revision takes away a column that older code needs.

`tree(FOLDER / "app")` makes it. rmu builds the `app/` that lies beside its rmu.toml: put a copy of rmu.toml into FOLDER
and name it by RMU_CONFIG, then `rmu image push VERSION` builds this tree. The image's key follows the files.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"
VERSIONS = "ratemyunit/migrations/versions"
HEAD = tomllib.loads((APP / "ratemyunit/schema.toml").read_text())["head"]
NEXT, AFTER = (f"{int(HEAD) + more:04}" for more in (1, 2))
LEFT_OUT = shutil.ignore_patterns("__pycache__", ".*", "tests")

REVISION = '''\
"""{title}.

Downgrade: {downgrade}.
"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
phase = "{phase}"
oldest_code = "{oldest_code}"


def upgrade() -> None:
    """Change the schema."""
    op.execute("{sql}")
    op.execute(sa.text("insert into schema_line values (:r, :o)").bindparams(r=revision, o=oldest_code))
'''
EXPAND = {
    "title": "A rating need not bring a comment",
    "downgrade": "leave the default; older code names the column",
    "revision": NEXT,
    "before": HEAD,
    "phase": "expand",
    "oldest_code": "0001",
    "sql": "alter table ratings alter column comment set default ''",
}
CONTRACT = {
    "title": "Ratings have no comments any more",
    "downgrade": "none; what students wrote is gone, and only a restore brings it back",
    "revision": AFTER,
    "before": NEXT,
    "phase": "contract",
    "oldest_code": NEXT,
    "sql": "alter table ratings drop column comment",
}
NONE = 'literal("")'
REPLACED = {
    "ratemyunit/schema.toml": [
        (f'head = "{HEAD}"', f'head = "{NEXT}"'),
        (f'oldest = "{HEAD}"', f'oldest = "{NEXT}"'),
    ],
    "ratemyunit/schema.py": [
        ('    Column("stars", SmallInteger, nullable=False),\n    Column("comment", Text, nullable=False),\n',
         '    Column("stars", SmallInteger, nullable=False),\n'),
    ],
    "ratemyunit/ratings.py": [
        ("exists, func, select\n", "exists, func, literal, select\n"),
        ("_columns = (*_told, ratings.c.comment, ", f'_columns = (*_told, {NONE}.label("comment"), '),
        ('"shown", ratings.c.comment), else_', f'"shown", {NONE}), else_'),
        ('"stars": given.stars, "comment": given.comment}', '"stars": given.stars}'),
    ],
    "ratemyunit/moderation.py": [
        ("func, select, update\n", "func, literal, select, update\n"),
        ("    ratings.c.comment,\n", f'    {NONE}.label("comment"),\n'),
        ('ratings.c.review == state, ratings.c.comment != ""', f'ratings.c.review == state, {NONE} != ""'),
        ('ratings.c.id == rating, ratings.c.comment != ""', f'ratings.c.id == rating, {NONE} != ""'),
    ],
}  # fmt: skip
"""What of the code knows the column: (what stands there, what is to stand there)."""


def tree(where: Path) -> Path:
    """Copy the product's tree to a folder that is not there yet, and change it. Return the folder."""
    return changed(shutil.copytree(APP, where, ignore=LEFT_OUT), EXPAND, CONTRACT)


def changed(app: Path, *revisions: dict[str, str]) -> Path:
    """Take the column out of a tree's code and add revisions."""
    for name, words in REPLACED.items():
        text = (app / name).read_text()
        for old, new in words:
            assert text.count(old) == 1, f"{name} has changed; mend {Path(__file__).name}: {old!r}"
            text = text.replace(old, new)
        (app / name).write_text(text)
    for fields in revisions:
        (app / VERSIONS / f"{fields['revision']}_of_the_demo.py").write_text(REVISION.format(**fields))
    return app
