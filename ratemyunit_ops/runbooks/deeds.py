"""What commands and statements do, told from their words: a look must not be a deed in disguise."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ratemyunit_ops.runbooks.binding import INPUT, VARIABLE
from ratemyunit_ops.runbooks.looking import not_a_look, options

SHELLS = frozenset({
    "sh", "bash", "dash", "zsh", "ksh", "ash", "busybox", "eval", "python", "python3", "perl", "ruby", "awk",
    "gawk", "mawk",
})  # fmt: skip
"""What would run a text as a program."""
WRAPPERS = frozenset({
    "env", "sudo", "su", "runuser", "nice", "ionice", "nohup", "xargs", "watch", "nsenter", "chroot", "setsid",
    "ssh", "systemd-run", "script", "stdbuf", "flock", "parallel", "command", "exec",
})  # fmt: skip
"""What would run another command, whose deeds nobody could tell. SSM runs as root; a deadline is the runbook's own."""
SQL_LOOKS = re.compile(r"\s*(select|with|values|table)\b", re.IGNORECASE)
SQL_DML = re.compile(
    r"\b(insert|update|delete|merge|truncate|alter|drop|create|grant|revoke|vacuum|reindex|cluster|copy|call|do|lock"
    r"|refresh|comment|security|reassign|set|reset|discard|notify|listen|begin|commit|rollback|prepare|execute)\b\s+\w",
    re.IGNORECASE,
)
SQL_ACTS = re.compile(
    r"\b(pg_(?:terminate|cancel)_backend|pg_(?:reload_conf|rotate_logfile|promote|switch_wal|backup_\w+|log_\w+"
    r"|(?:create|drop|replication|logical)_\w+|stat_reset\w*|stat_statements_reset|notify|(?:try_)?advisory_\w+)"
    r"|lo_\w+|dblink\w*|setval|nextval|set_config)\s*\(",
    re.IGNORECASE,
)
QUOTED = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"")
TEXTS = re.compile(r"'(?:[^']|'')*'")
RAW = re.compile(r"(?<![:\w]):(?!:)\"?([A-Za-z_]\w*)")
REPEATS = re.compile(r"(?<!\\)(?:[*+]|\{\d+,\d*\})")
WIDE = re.compile(r"(?:(?<!\\)\.|\\[SwWD]|\])(?:[*+]|\{\d+,\d*\})")


def of_command(argv: Sequence[str], *, changes: bool) -> str:
    """Say what is wrong with a command; empty where nothing is."""
    program = argv[0].rpartition("/")[2]
    if program == "timeout":
        seen = options(argv[1:], "fpvk:s:", "foreground preserve-status verbose kill-after= signal=", first=True)
        if seen is None or len(seen[1]) < 2:
            return "timeout is told a length of time and a command"
        return of_command(seen[1][1:], changes=changes)
    if program in SHELLS:
        return f"{program} runs a text as a program: say the command itself, as a list"
    if program in WRAPPERS:
        return f"{program} runs another command: say that one"
    if INPUT.fullmatch(argv[0]):
        return "an input cannot be the program"
    halves = [word for word in argv if "$" in word and not INPUT.fullmatch(word)]
    if halves:
        return f"{halves[0]!r}: an input is a whole argument, as $name"
    deed = "" if changes else not_a_look(argv)
    return f"changes: false, but {deed}" if deed else ""


def of_sql(sql: str, *, changes: bool, inputs: Sequence[str]) -> str:
    """Say what is wrong with a statement; empty where nothing is."""
    text = sql.strip().removesuffix(";")
    bare = QUOTED.sub("''", text)
    if "\\" in text:
        return "a backslash would be a command of psql"
    if "--" in bare or "/*" in bare or "$" in bare or ";" in bare:
        return "one statement, without comments and dollar quotes"
    raw = RAW.search(TEXTS.sub("''", text))
    if raw:
        return f":{raw[1]} would become a part of the statement: write :'{raw[1]}'"
    unknown = [name for name in VARIABLE.findall(sql) if name not in inputs]
    if unknown:
        return f"there is no input {unknown[0]}"
    if changes:
        return ""
    if not SQL_LOOKS.match(text) or SQL_DML.search(bare):
        return "this statement does more than look: say changes: true, in a remedy"
    acts = SQL_ACTS.search(bare)
    return f"{acts[1]}() acts, also in a read-only transaction: say changes: true, in a remedy" if acts else ""


def of_regex(text: str) -> str:
    """Say why a regex could take for ever, or is none; empty where it is bounded."""
    if len(text) > 200:
        return "a regex has at most 200 characters"
    try:
        form = re.compile(text)
    except re.error as why:
        return f"no regex: {why}"
    if form.groups > 1:
        return "a regex has one group at most: what it reads"
    if re.search(r"\)(?:[*+?]|\{)", text) or re.search(r"\\[1-9]|\(\?(?!:)", text):
        return "no group is repeated or referred to: such a regex may take for ever"
    if len(WIDE.findall(text)) > 2 or len(REPEATS.findall(text)) > 5:
        return "a regex repeats what may be anything at most twice: more may take for ever"
    return ""
