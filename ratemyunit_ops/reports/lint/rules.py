"""Every rule of the lint: whose it is, when it speaks, why, and what to do instead. docs/migrations.md repeats it."""

from __future__ import annotations

from typing import Literal

from ratemyunit_ops.model import Frozen


class Rule(Frozen):
    """One rule. `phase` is "expand" where it guards older code that still runs, which a contract need not."""

    name: str
    by: Literal["rmu", "squawk"]
    why: str
    safe_way: str
    phase: Literal["any", "expand"] = "any"
    severity: Literal["error", "warning"] = "error"


CONTRACT = "leave it until no older code runs: a contract revision of its own, with a newer oldest_code"


def _ours(name: str, why: str, safe_way: str, severity: Literal["error", "warning"] = "error") -> Rule:
    return Rule(name=name, by="rmu", why=why, safe_way=safe_way, severity=severity)


def _locks(name: str, why: str, safe_way: str, severity: Literal["error", "warning"] = "error") -> Rule:
    return Rule(name=name, by="squawk", why=why, safe_way=safe_way, severity=severity)


def _breaks(name: str, why: str, safe_way: str = CONTRACT) -> Rule:
    return Rule(name=name, by="squawk", why=why, safe_way=safe_way, phase="expand")


OURS = (
    _ours("unreadable", "what it would run cannot be seen, so nothing about it is known", "mend it, then lint again"),
    _ours("does-nothing", "it runs no SQL", "remove the file, or write what it was meant to do"),
    _ours(
        "phase-missing",
        "only its phase tells rmu whether it may run while older code serves",
        'say phase = "expand" or phase = "contract" (in .sql: -- phase: expand)',
    ),
    _ours(
        "phase-wrong",
        "it does not belong into the phase that it names",
        "expand: what older code does not notice; contract: what only newer code stands",
    ),
    _ours(
        "oldest-code-missing",
        "rollback asks it which releases can still run",
        'say oldest_code = "NNNN": the head of the oldest code that can run on it',
    ),
    _ours(
        "oldest-code-raised",
        "an expand revision must let every release run that could run before it",
        "keep the oldest_code of the revision before; only a contract raises it",
    ),
    _ours(
        "oldest-code-too-old",
        "it allows a release that names what is gone, so a rollback would go to code that fails",
        "name the head of the first code that no longer uses it",
    ),
    _ours(
        "contract-before-expand",
        "one deploy would have to run a contract while the code that needs the old shape still serves",
        "ship the expand and its code first; put the contract behind every expand, for a later release",
    ),
    _ours(
        "revision-number",
        "older and newer are told by comparing four digits",
        "name it by the next number, in the file's name and as its revision: 0007_what_it_does.py",
    ),
    _ours(
        "revision-line",
        "revisions form one line; with two heads Alembic does not know where to go",
        "let down_revision name the revision right before it",
    ),
    _ours(
        "no-way-back",
        "nobody could tell at three in the morning what to do when it went wrong",
        'write downgrade(), or a docstring line "Downgrade: ...", or irreversible = "why" (in .sql: -- downgrade: ...)',
    ),
    _ours(
        "schema-line",
        "older code learns from schema_line that it can run on a schema it has never heard of",
        "end upgrade() with insert into schema_line values (revision, oldest_code), as the template does",
    ),
    _ours(
        "code-still-names",
        "the code in this checkout still names it, so every release there is would fail",
        "stop using it first, ship that, and take it away a release later",
    ),
    _ours(
        "old-writes-omit",
        "code that serves inserts rows without it and would be refused",
        "give it a constant default, or add it nullable and fill it; require it in a later contract",
    ),
    _ours(
        "code-still-writes-null",
        "the code in this checkout may leave it empty and would be refused",
        "let code always write it first (nullable=False in schema.py), ship that, then require it",
    ),
    _ours(
        "enum-value-renamed",
        "code that serves reads and writes the old value",
        "add a value beside it, let code write the new one, move the rows, and never name the old one again",
    ),
    _ours(
        "enum-value-used-at-once",
        "PostgreSQL refuses a new enum value in the transaction that added it",
        "add the value in a revision of its own, use it in the next",
    ),
    _ours(
        "trigger-on-live-table",
        "it runs inside every write of code that has never heard of it: one fault in it fails them all",
        "let new code do it; where it must be a trigger, rehearse it and accept this with a reason",
        "warning",
    ),
    _ours(
        "triggers-off",
        "with triggers off, foreign keys are not checked and wrong rows get in for good",
        "move the rows in an order that the constraints take",
    ),
    _ours(
        "lock-timeout-off",
        "all sessions queue behind a statement that waits for its lock without end",
        "leave lock_timeout as the migrations' role sets it (2 s, tried three times)",
    ),
    _ours(
        "statement-timeout-off",
        "a statement without a limit holds its locks as long as it likes",
        "name a statement_timeout of at most 5min, and work in batches that stay below it",
    ),
    _ours(
        "not-in-transaction",
        "PostgreSQL refuses it inside a transaction, and a revision is one",
        "with op.get_context().autocommit_block(): around it; it must be the only deed of its revision",
    ),
    _ours(
        "commits-itself",
        "half of the revision would stand if the rest fails, and Alembic believes none does",
        "let Alembic begin and commit; use autocommit_block() for what cannot be in a transaction",
    ),
    _ours(
        "lock-table",
        "everybody waits until the migration ends",
        "let each statement take the lock it needs; copy in batches with `for update skip locked`",
    ),
    _ours(
        "check-with-the-column",
        "nobody can read the table while every row is checked, although none has a value yet",
        "add the column alone; add the check NOT VALID in a contract, validate it in the revision after it",
    ),
    _ours(
        "rewrites-table",
        "it locks the table while it writes all of it anew",
        "do it on a copy, or by pg_repack, outside of a deploy; refresh a view concurrently",
    ),
    _ours(
        "lock-held-during-data",
        "the table is altered first, so nobody can read it while its rows are changed",
        "alter in one revision, change rows in the next",
    ),
    _ours(
        "delete-without-where",
        "it takes every row, and a flip back brings none of them back",
        "name the rows, in batches; take a whole table away by a contract that drops it",
    ),
    _ours(
        "truncate",
        "it takes every row under a lock that stops all reads, and a flip back brings none back",
        "delete the rows you mean in batches; take a whole table away by a contract that drops it",
    ),
    _ours(
        "update-without-where",
        "it locks every row until the end and writes the whole table a second time",
        "batches of some thousand rows, each its own transaction: where id in (select ... limit 5000)",
    ),
    _ours(
        "many-rows-at-once",
        "that many rows stay locked until the end, and writes to them wait",
        "batches of some thousand rows, each its own transaction: where id in (select ... limit 5000)",
    ),
    _ours(
        "index-on-big-table",
        "writes wait while the index is built over that many rows",
        "create index concurrently, in an autocommit_block()",
    ),
    _ours(
        "cannot-judge",
        "the lint does not see into it",
        "write plain SQL; where that is not possible, accept this with a reason",
    ),
    _ours(
        "accepted-without-reason",
        "an exception that nobody explained cannot be judged a year later",
        "accept RULE: one sentence that says why it is safe here",
    ),
)

SQUAWK = (
    _locks(
        "syntax-error",
        "PostgreSQL would refuse it",
        "mend it, then lint again",
    ),
    _locks(
        "adding-field-with-default",
        "a default that differs from row to row (or a generated column) writes the table anew under a lock",
        "add the column nullable, set the default for new rows, fill the old ones in batches",
    ),
    _locks(
        "adding-foreign-key-constraint",
        "both tables refuse writes while every row is checked",
        "add it NOT VALID in a contract, VALIDATE CONSTRAINT in the revision after it",
    ),
    _locks(
        "adding-not-nullable-field",
        "nobody can read the table while every row is checked",
        "check (c is not null) NOT VALID, validate it in the next revision, then SET NOT NULL, which is at once",
    ),
    _locks(
        "adding-required-field",
        "rows that are there have no value for it, and older code inserts none",
        "give it a constant default, or add it nullable and fill it; require it in a later contract",
    ),
    _locks(
        "adding-serial-primary-key-field",
        "nobody can read the table while the key is built",
        "add a bigint column, fill it in batches, build a unique index concurrently, then primary key using index",
    ),
    _locks(
        "ban-alter-domain-with-add-constraint",
        "every column of the domain is checked under a lock",
        "a check constraint on the column, NOT VALID first",
    ),
    _locks(
        "ban-alter-database-options",
        "it changes every session of every release",
        "the parameter group in terraform/modules/database",
    ),
    _locks(
        "ban-alter-role-options",
        "it changes every session of every release; rmu makes the roles",
        "templates/host/rmu_host/roles.py, by rmu infra apply",
    ),
    _locks(
        "ban-alter-system-options",
        "RDS refuses it, and it changes the server for everybody",
        "the parameter group in terraform/modules/database",
    ),
    _locks("ban-char-field", "it pads with blanks that code does not expect", "text, or varchar(n)", "warning"),
    _locks(
        "ban-concurrent-index-creation-in-transaction",
        "PostgreSQL refuses it inside a transaction, and a revision is one",
        "with op.get_context().autocommit_block(): around it; it must be the only deed of its revision",
    ),
    _locks(
        "ban-create-domain-with-constraint",
        "a constraint of a domain cannot be changed under traffic later",
        "a check constraint on the column",
    ),
    _locks(
        "ban-disable-trigger",
        "with triggers off, foreign keys are not checked and wrong rows get in for good",
        "move the rows in an order that the constraints take",
    ),
    _locks("ban-drop-database", "it is the end of everything in it", "rmu db restore --help, if you want another one"),
    _locks(
        "ban-truncate-cascade",
        "it empties every table that refers to this one, too",
        "delete the rows you mean in batches",
    ),
    _locks("ban-uncommitted-transaction", "what it does is undone when psql ends", "commit at the end"),
    _locks(
        "changing-column-type",
        "nobody can read the table while it is written anew, and older code expects the old type",
        "add a column of the new type, write both, copy in batches, drop the old one in a contract",
    ),
    _locks(
        "constraint-missing-not-valid",
        "writes wait while every row is checked",
        "add it NOT VALID in a contract, VALIDATE CONSTRAINT in the revision after it",
    ),
    _locks(
        "disallowed-unique-constraint",
        "nobody can read the table while the index is built",
        "create unique index concurrently, then add the constraint USING INDEX, in a contract",
    ),
    _locks("identifier-too-long", "PostgreSQL cuts it at 63 bytes, and two may become one", "a shorter name"),
    _locks("prefer-timestamp-tz", "it forgets the zone", "timestamptz: sa.DateTime(timezone=True)", "warning"),
    _locks(
        "renaming-column",
        "older code reads and writes the old name, newer code the new one, and both serve during a deploy",
        "add a column, write both, copy in batches, drop the old one in a contract",
    ),
    _locks(
        "renaming-table",
        "older code reads and writes the old name, newer code the new one, and both serve during a deploy",
        "keep the name; or make a new table, write both, copy in batches, drop the old one in a contract",
    ),
    _locks(
        "ban-set-schema",
        "code finds the table under its old schema only",
        "keep it where it is; or make a new table, write both, copy in batches, drop the old one in a contract",
    ),
    _locks(
        "require-concurrent-index-creation",
        "writes wait while the index is built",
        "create index concurrently, in an autocommit_block(): postgresql_concurrently=True",
    ),
    _locks(
        "require-concurrent-index-deletion",
        "nobody can read the table until it is gone",
        "drop index concurrently, in an autocommit_block(): postgresql_concurrently=True",
    ),
    _locks(
        "require-concurrent-partition-detach",
        "nobody can read the table until it is detached",
        "detach partition ... concurrently, in an autocommit_block()",
    ),
    _locks(
        "require-concurrent-reindex",
        "nobody can use the index while it is built anew",
        "reindex ... concurrently, in an autocommit_block()",
    ),
    _locks(
        "require-enum-value-ordering",
        "it lands at the end, wherever code expects it",
        "add value ... before or after another",
    ),
    _locks(
        "require-lock-timeout",
        "all sessions queue behind a statement that waits for its lock without end",
        "begin the file with set lock_timeout = '2s';",
    ),
    _locks(
        "require-statement-timeout",
        "a statement without a limit holds its locks as long as it likes",
        "begin the file with set statement_timeout = '30s';",
        "warning",
    ),
    _locks(
        "transaction-nesting",
        "there is one already; the inner COMMIT ends the outer one",
        "one begin, one commit; none at all in a revision",
    ),
    _breaks("ban-add-composite-attribute", "older code reads a value of another shape"),
    _breaks("ban-add-enum-value", "older code reads a value that it does not know", "text with a check constraint"),
    _breaks("ban-alter-extension", "functions that older code calls may change"),
    _breaks("ban-alter-function-options", "it changes what older code calls", "a function of a new name"),
    _breaks("ban-alter-generated-expression", "older code reads other values", "a column of a new name"),
    _breaks("ban-alter-identity", "inserts of older code may be refused"),
    _breaks("ban-alter-policy-condition", "older code sees other rows"),
    _breaks("ban-alter-policy-roles", "older code sees other rows"),
    _breaks("ban-alter-row-level-security", "older code may see no rows at all"),
    _breaks("ban-alter-sequence-values", "older code gets numbers that may be taken"),
    _breaks("ban-alter-view-options", "older code reads other rows", "a view of a new name"),
    _breaks("ban-create-policy", "older code sees other rows"),
    _breaks("ban-detach-inheritance", "older code no longer finds those rows"),
    _breaks("ban-drop-column", "older code reads and writes it"),
    _breaks("ban-drop-constraint", "older code may rely on it, as ON CONFLICT does"),
    _breaks("ban-drop-default", "older code inserts rows without it"),
    _breaks("ban-drop-domain", "older code may use it"),
    _breaks("ban-drop-extension", "functions and types that older code uses go with it"),
    _breaks("ban-drop-function", "older code may call it"),
    _breaks("ban-drop-generated-expression", "older code inserts rows without it"),
    _breaks("ban-drop-index", "older code may be slow without it, and ON CONFLICT fails without a unique one"),
    _breaks("ban-drop-not-null", "older code does not expect an empty value there"),
    _breaks("ban-drop-policy", "older code sees other rows"),
    _breaks("ban-drop-schema", "older code reads and writes what is in it"),
    _breaks("ban-drop-sequence", "older code may take numbers from it"),
    _breaks("ban-drop-table", "older code reads and writes it"),
    _breaks("ban-drop-trigger", "older code may rely on what it does"),
    _breaks("ban-drop-type", "older code may use it"),
    _breaks("ban-drop-view", "older code may read it"),
    _breaks("ban-new-write-restriction", "older code may write what it refuses, NOT VALID or not"),
    _breaks("ban-replace-view-function", "older code reads another answer", "a view or function of a new name"),
    _breaks("ban-replica-identity", "whoever follows the changes gets other ones"),
    _breaks("ban-revoke", "older code may need the right"),
    _breaks("ban-set-default", "rows that older code inserts get another value"),
    _breaks("renaming-object", "older code may name it, as ON CONFLICT ON CONSTRAINT does"),
)

SWITCHED_OFF = {
    "ban-add-column": "an expand does just that; our code names its columns",
    "prefer-bigint-over-int": "a count that stays small is no danger under traffic",
    "prefer-bigint-over-smallint": "a count that stays small is no danger under traffic",
    "prefer-identity": "taste; nothing of ours uses serial",
    "prefer-repack": "rewrites-table says it, for revisions too",
    "prefer-robust-stmts": "a revision is one transaction: it stands whole or not at all",
    "prefer-text-field": "a limit on what a stranger may store is wanted; changing one is changing-column-type",
    "require-table-schema": "there is one schema",
    "require-timeout-settings": "require-lock-timeout and require-statement-timeout are its two halves",
}
"""squawk's rules that do not speak here, each with the reason."""

RULES = {rule.name: rule for rule in (*OURS, *SQUAWK)}
ASKED = tuple(rule.name for rule in SQUAWK if rule.name != "syntax-error")
"""What squawk is asked for; syntax errors it always tells."""


def table() -> list[str]:
    """Write every rule as a row of Markdown."""
    rows = ["| rule | of | speaks in | why | the safe way |", "|---|---|---|---|---|"]
    for rule in sorted(RULES.values(), key=lambda r: (r.by, r.name)):
        phase = "expand" if rule.phase == "expand" else "both" + (" (warns)" if rule.severity == "warning" else "")
        rows.append(f"| `{rule.name}` | {rule.by} | {phase} | {rule.why} | {rule.safe_way} |")
    return rows


def off_table() -> list[str]:
    """Write the rules of squawk that are switched off as rows of Markdown."""
    rows = ["| switched off | because |", "|---|---|"]
    return rows + [f"| `{name}` | {why} |" for name, why in sorted(SWITCHED_OFF.items())]
