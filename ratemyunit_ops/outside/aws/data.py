"""What is in databases, by SQL: each question is one command to one host, which runs `psql` there as ops.

No row travels by command: SSM cuts answers, and keeps them. What a salvage finds goes through the private bucket.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ratemyunit_ops.model import Database, DataView, Facts, Fence, Rows, SalvageView
from ratemyunit_ops.outside.aws.hosts import Answer, Hosts, Question, facts_of, fenced
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.ports import Places

MANIFEST, CONFLICTS, LEFT = "manifest.json", "conflicts.json", "left.json"


@dataclass(frozen=True)
class SsmData:
    """Databases by SQL, through the first host in service."""

    hosts: Hosts
    places: Places
    account: Account
    bound: Fence | None = None

    def at(self, fence: Fence) -> SsmData:
        """Bind the right to act."""
        return replace(self, bound=fence)

    def look(self, database: Database, *, since: datetime | None) -> DataView:
        """Look into a database; `written` counts the rows that were committed after `since`."""
        body = {"database": database.model_dump(), "since": since.timestamp() if since else None}
        answer = self.hosts.ask_one(Question("data_look", body))
        return DataView.model_validate({k: v for k, v in answer.items() if k in DataView.model_fields})

    def warm(self, database: Database, *, run: str) -> Facts:
        """Read every table and index of a restored database once, and note the keys of its rows for the salvage."""
        return self._change("data_warm", {"database": database.model_dump(), "mark": run})

    def warmed(self, database: Database, *, run: str) -> bool:
        """Tell whether this run has warmed a database and noted its keys."""
        return bool(self._look("data_warm", {"database": database.model_dump(), "mark": run})["warmed"])

    def fence(self, database: Database) -> Facts:
        """Shut application and migrations out and end their sessions, proven by a write that fails."""
        return self._change("data_fence", {"database": database.model_dump(), "on": True})

    def unfence(self, database: Database) -> Facts:
        """Let application and migrations in again."""
        return self._change("data_fence", {"database": database.model_dump(), "on": False})

    def fenced(self, database: Database) -> bool:
        """Tell whether application and migrations are shut out."""
        return bool(self._look("data_fence", {"database": database.model_dump(), "on": True})["fenced"])

    def move_sequences(self, old: Database, new: Database) -> Facts:
        """Move every sequence of the new database past the old one's, so that no key is given twice."""
        return self._change("data_sequences", {"old": old.model_dump(), "new": new.model_dump()})

    def sequences_moved(self, old: Database, new: Database) -> bool:
        """Tell whether every sequence of the new database is past the old one's."""
        return bool(self._look("data_sequences", {"old": old.model_dump(), "new": new.model_dump()})["past"])

    def salvage(self, old: Database, new: Database, *, since: datetime, base: str, run: str) -> SalvageView:
        """Find the rows that the old database has and the new one lacks, and put them into the bucket as SQL."""
        body = {
            "old": old.model_dump(),
            "new": new.model_dump(),
            "since": since.timestamp(),
            "bucket": self._bucket,
            "mark": base,
            "folder": run,
        }
        question = Question("data_salvage", body)
        answer = self.hosts.ask_one(question, fenced(question, self.bound))
        return SalvageView.model_validate({k: v for k, v in answer.items() if k in SalvageView.model_fields})

    def files(self, run: str) -> Mapping[str, bytes]:
        """Fetch the files of a restore's salvage; empty where none was made.

        The manifest, which is written last, says which they are: an earlier, longer try may have left others. One more
        names the rows that could not be put, once it was applied.
        """
        manifest = self._manifest(run)
        if manifest is None:
            return {}
        names = [*(file["name"] for file in manifest["files"]), CONFLICTS, *([LEFT] if self._there(run, LEFT) else [])]
        return {name: self._file(run, name) for name in names}

    def apply(self, new: Database, *, run: str) -> Facts:
        """Run the SQL of a restore's salvage, a transaction for each file; safe to repeat."""
        said = self._change("data_apply", {"new": new.model_dump(), "bucket": self._bucket, "mark": run})
        (answer,) = said["hosts"].values()
        return {**said, **{name: answer[name] for name in ("applied", "left") if name in answer}}

    def rows(self, database: Database, sql: str, *, variables: Mapping[str, str], limit: timedelta) -> Rows:
        """Ask one statement in a read-only transaction."""
        answer = self.hosts.ask_one(self._statement("data_rows", database, sql, variables, limit))
        return Rows.model_validate({k: v for k, v in answer.items() if k in Rows.model_fields})

    def act(self, database: Database, sql: str, *, variables: Mapping[str, str], limit: timedelta) -> Facts:
        """Run one statement that changes something, whole or not at all."""
        question = self._statement("data_act", database, sql, variables, limit)
        answer = self.hosts.ask_one(question, fenced(question, self.bound))
        told = {k: v for k, v in answer.items() if k != "rows"}
        return facts_of({answer["instance"]: told}, rows=answer.get("rows", []))

    def checksum(self, database: Database, *, until: datetime | None = None) -> dict[str, dict[str, int | str]]:
        """Count every table's rows and sum them up; with a moment also those that were not written since."""
        body = {"database": database.model_dump(), "until": until.timestamp() if until else None}
        answer = self.hosts.ask_one(Question("data_checksum", body))
        tables: dict[str, dict[str, int | str]] = answer["tables"]
        return tables

    def _statement(
        self, verb: str, database: Database, sql: str, variables: Mapping[str, str], limit: timedelta
    ) -> Question:
        body = {
            "database": database.model_dump(),
            "sql": sql,
            "variables": dict(variables),
            "limit_s": limit.total_seconds(),
        }
        return Question(verb, body, extra=limit)

    @property
    def _bucket(self) -> str:
        return self.places.all()["bucket"]

    def _manifest(self, run: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(self._file(run, MANIFEST)) if self._there(run, MANIFEST) else None
        return found

    def _there(self, run: str, name: str) -> bool:
        # Asked by prefix first: who may not list the whole bucket is told “forbidden” of a file that is not there.
        asked = self.account.ask("s3", "ListObjectsV2", Bucket=self._bucket, Prefix=f"salvage/{run}/{name}")
        return bool(asked.get("Contents"))

    def _file(self, run: str, name: str) -> bytes:
        place = {"Bucket": self._bucket, "Key": f"salvage/{run}/{name}"}
        content: bytes = self.account.ask("s3", "GetObject", **place)["Body"].read()
        return content

    def _change(self, verb: str, body: Answer) -> Facts:
        question = Question(verb, {**body, "look": False})
        answer = self.hosts.ask_one(question, fenced(question, self.bound))
        return facts_of({answer["instance"]: answer})

    def _look(self, verb: str, body: Answer) -> Answer:
        return self.hosts.ask_one(Question(verb, {**body, "look": True}, allowance="data_look"))
