"""A second version of the product's tree, whose contract revision throws away what older code still shows.

`tree(FOLDER / "app")` makes it, `tree_that_lies` one whose expand shuts out the code that serves. rmu builds the `app/`
that lies beside its rmu.toml: put a copy of rmu.toml into FOLDER and name it by RMU_CONFIG, then `rmu image push
VERSION` builds this tree. The image's key follows the files.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

APP = Path(__file__).resolve().parents[2] / "app"
SCHEMA = "ratemyunit/schema.toml"
VERSIONS = "ratemyunit/migrations/versions"
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


def tree(where: Path) -> Path:
    """Copy the product's tree to a folder that is not there yet, and add both revisions. Return the folder."""
    head, new = told()["head"], after(told()["head"])
    return grown(where, expand(head, new, told()["admits"]), contracting(new, after(new)))


def tree_that_lies(where: Path) -> Path:
    """Copy the product's tree, and add an expand that shuts older code out and says that it does not."""
    head = told()["head"]
    return grown(where, shutting_out(head, after(head), told()["admits"]))


def told() -> dict[str, str]:
    """Read what the product's tree says of its schema."""
    return tomllib.loads((APP / SCHEMA).read_text())


def grown(where: Path, *revisions: dict[str, str]) -> Path:
    """Copy the product's tree and add revisions; its code is written for the first of them."""
    app = shutil.copytree(APP, where, ignore=LEFT_OUT)
    schema = (app / SCHEMA).read_text()
    for name in ("head", "oldest"):
        schema = schema.replace(f'\n{name} = "{told()[name]}"', f'\n{name} = "{revisions[0]["revision"]}"')
    (app / SCHEMA).write_text(schema)
    for fields in revisions:
        (app / VERSIONS / f"{fields['revision']}_of_the_demo.py").write_text(REVISION.format(**fields))
    return app


def after(revision: str) -> str:
    """Name the revision that follows."""
    return f"{int(revision) + 1:04}"


def expand(before: str, revision: str, oldest_code: str) -> dict[str, str]:
    """Describe the harmless half."""
    return {
        "title": "A rating need not bring a comment",
        "downgrade": "leave the default; older code names the column",
        "revision": revision,
        "before": before,
        "phase": "expand",
        "oldest_code": oldest_code,
        "sql": "alter table ratings alter column comment set default ''",
    }


def contracting(before: str, revision: str) -> dict[str, str]:
    """Describe the mistake: whoever wrote it took the column for an unused one, and made it anew."""
    return {
        "title": "Comments begin anew",
        "downgrade": "none; what students wrote is gone, and only a restore brings it back",
        "revision": revision,
        "before": before,
        "phase": "contract",
        "oldest_code": before,
        "sql": "alter table ratings drop column comment, add column comment text not null default ''",
    }


def shutting_out(before: str, revision: str, oldest_code: str) -> dict[str, str]:
    """Describe the other mistake: a column is renamed at once, under code that still names it."""
    return {
        "title": "A comment is called a remark",
        "downgrade": "rename it back",
        "revision": revision,
        "before": before,
        "phase": "expand",
        "oldest_code": oldest_code,
        "sql": "alter table ratings rename column comment to remark",
    }
