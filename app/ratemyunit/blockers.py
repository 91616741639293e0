"""Who holds the lock that a migration waits for? Looked at while it waits: afterwards nobody can tell any more."""

import re
import threading
from dataclasses import asdict, dataclass
from types import TracebackType

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

EVERY_S = 0.2
LONGEST = 200

# A prepared transaction has pid 0 and no session; what another role's session does is shown to members of
# pg_monitor only.
HOLDERS = text(
    """
    select b.pid, coalesce(a.state, 'unknown') as state, coalesce(a.query, '') as query,
           coalesce(extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.query_start)), 0)::int as seconds
    from unnest(pg_blocking_pids(:waiting)) as b(pid) left join pg_stat_activity a on a.pid = b.pid
    order by seconds desc, b.pid
    """
)
# Strings (one may be cut off at the end), dollar-quoted ones, numbers.
VALUES = re.compile(r"'(?:[^']|'')*(?:'|$)|\$(\w*)\$.*?(?:\$\1\$|$)|(?<![\w$])\d+(?:\.\d+)?", re.DOTALL)


@dataclass(frozen=True)
class Blocker:
    """One session in the way: since when its transaction runs, and what it last said, without values."""

    pid: int
    state: str
    seconds: int
    query: str

    def shown(self) -> dict[str, object]:
        """Say it as JSON values."""
        return asdict(self)

    def sentence(self) -> str:
        """Say it for people."""
        return f"pid {self.pid} ({self.state}, {self.seconds} s): {self.query or 'it shows no query'}"


class Watching:
    """Look again and again who blocks one session; keep the last answer that named anybody."""

    def __init__(self, engine: Engine, waiting: int) -> None:
        self._engine = engine
        self._waiting = waiting
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="blockers", daemon=True)
        self.seen: tuple[Blocker, ...] = ()

    def __enter__(self) -> "Watching":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join(5)

    def _watch(self) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                while not self._over.wait(EVERY_S):
                    rows = connection.execute(HOLDERS, {"waiting": self._waiting}).all()
                    found = tuple(Blocker(row.pid, row.state, row.seconds, without_values(row.query)) for row in rows)
                    self.seen = found or self.seen
        except SQLAlchemyError:
            return  # a database that has no room for one who looks still migrates


def without_values(query: str) -> str:
    """Take the values out of a statement: they may be personal."""
    return " ".join(VALUES.sub("?", query).split())[:LONGEST]
