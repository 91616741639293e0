"""Role `migrate`: bring the database to this image's schema, one at a time, and say what was done."""

import json
import logging
import sys
from pathlib import Path

from ratemyunit import logs, schema, settings

LOCK = 0x726D75  # "rmu"; the advisory lock that makes two migrations take turns
LOCK_TIMEOUT = "5s"

log = logging.getLogger("ratemyunit.migrate")


def run(*, head_only: bool) -> int:
    """Upgrade (or only name the head); print one JSON line last; answer the exit code."""
    if head_only:
        print(json.dumps({"head": schema.HEAD}))
        return 0
    logs.start("INFO")
    try:
        answer = upgrade(settings.database_url())
    except settings.SettingsWrong as why:
        log.error("settings are wrong: %s", why)
        return 2
    except Exception as why:
        # The statement and its parameters stay out of the log: a row may hold personal data.
        log.error("migration failed", extra={"fields": {"kind": type(why).__name__, "why": _first_line(why)}})
        return 1
    sys.stdout.flush()
    print(json.dumps(answer), flush=True)
    return 0


def upgrade(url: str) -> dict[str, object]:
    """Upgrade to the image's head under the advisory lock; answer what was found and what ran.

    Raises:
        sqlalchemy.exc.DBAPIError: the database refused or could not be reached; each revision is whole or absent.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import text

    from ratemyunit import database

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = database.engine(url, application="ratemyunit-migrate")
    with engine.connect() as connection:
        # Set for the session, so they hold for every revision's own transaction.
        connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text("set statement_timeout = 0"))
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": LOCK})
        connection.commit()
        before = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
        if before is not None and before > schema.HEAD:
            # An older image on a newer schema has nothing to do and must not fail a rollback.
            return {"head_before": before, "head": before, "ran": []}
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        after = MigrationContext.configure(connection).get_current_revision()
    engine.dispose()
    line = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    ran = [step for step in line if (before is None or step > before) and after is not None and step <= after]
    return {"head_before": before, "head": after, "ran": ran}


def _first_line(why: Exception) -> str:
    return (str(why).splitlines() or [""])[0][:300]
