"""What commands and statements are known to do, told from their words: a look must not be a deed in disguise."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ratemyunit_ops.runbooks.binding import INPUT, VARIABLE

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
CHANGERS = frozenset({
    "kill", "killall", "pkill", "rm", "rmdir", "mv", "cp", "ln", "dd", "tee", "truncate", "shred", "install",
    "touch", "mkdir", "mktemp", "chmod", "chown", "chattr", "fallocate", "fstrim", "mount", "umount", "losetup",
    "wipefs", "reboot", "shutdown", "poweroff", "halt", "init", "telinit", "swapon", "swapoff", "useradd",
    "usermod", "userdel", "apt", "apt-get", "dpkg", "pip", "snap", "crontab", "at", "logrotate", "sync",
    "hostnamectl", "passwd", "rsync", "iptables", "nft", "tc", "ifconfig", "ifup", "ifdown", "modprobe", "insmod",
    "rmmod", "pg_ctl", "dropdb", "createdb", "pg_restore", "wget", "scp", "patch", "unlink", "renice", "loginctl",
    "udevadm", "certbot",
})  # fmt: skip
"""Programs that change something whatever they are told."""
READS_OF: dict[str, frozenset[str]] = {
    "systemctl": frozenset(
        {"status", "show", "is-active", "is-failed", "is-enabled", "list-units", "list-timers", "list-jobs", "cat"}
        | {"list-unit-files", "list-dependencies", "is-system-running", "--failed", "get-default"}
    ),
    "podman": frozenset(
        {"ps", "images", "logs", "inspect", "stats", "info", "version", "top", "port", "diff", "events", "history"}
    ),
    "docker": frozenset({"ps", "images", "logs", "inspect", "stats", "info", "version", "top", "port", "diff"}),
    "ip": frozenset({"addr", "link", "route", "neigh", "rule", "-s", "-br", "a", "r"}),
    "redis-cli": frozenset({"ping", "info", "dbsize", "llen", "memory", "client", "slowlog", "latency", "time", "ttl"}),
    "timedatectl": frozenset({"status", "show"}),
    "resolvectl": frozenset({"status", "query", "statistics"}),
    "aws": frozenset(),
    "git": frozenset({"status", "log", "show", "rev-parse"}),
}
"""Programs of which only these sub-commands look; of `ip`, what follows must not be add, del, set or flush."""
WRITING = re.compile(
    r"--(vacuum|rotate|flush|relinquish|sync|setup-keys|update-catalog|delete|clear|truncate|write|in-place)"
)
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
    if program == "timeout" and len(argv) > 2 and not argv[1].startswith("-"):
        return of_command(argv[2:], changes=changes)
    if program in SHELLS:
        return f"{program} runs a text as a program: say the command itself, as a list"
    if program in WRAPPERS:
        return f"{program} runs another command: say that one"
    if INPUT.fullmatch(argv[0]):
        return "an input cannot be the program"
    halves = [word for word in argv if "$" in word and not INPUT.fullmatch(word)]
    if halves:
        return f"{halves[0]!r}: an input is a whole argument, as $name"
    deed = "" if changes else deed_of(program, argv[1:])
    return f"changes: false, but {deed}" if deed else ""


def deed_of(program: str, words: Sequence[str]) -> str:
    """Name what a command changes; empty where nothing is known of it."""
    if program in CHANGERS:
        return f"{program} changes something"
    if program == "psql":
        return "psql runs any statement: write it as sql"
    if program in READS_OF:
        sub = next((w for w in words if not w.startswith("-")), words[0] if words else "")
        known = {sub, sub.lower()} & READS_OF[program] or (
            {*words} & READS_OF[program] if program == "systemctl" else ()
        )
        if not known or (program == "ip" and {*words} & {"add", "del", "delete", "set", "flush", "change", "replace"}):
            return f"{program} {sub} changes something".rstrip()
    acts, says = BY_WORDS.get(program, (_writes, f"this {program} changes something"))
    return says if acts(words) else ""


def _writes(words: Sequence[str]) -> bool:
    return any(WRITING.match(word) for word in words)


CURL = re.compile(r"-(?:[A-Za-z]*[dFToOX]|-data.*|-form.*|-upload-file|-output|-remote-name|-request)\b")
BY_WORDS: dict[str, tuple[Callable[[Sequence[str]], bool], str]] = {
    "curl": (lambda words: any(CURL.match(w) for w in words) and "/dev/null" not in words, "this curl sends or writes"),
    "find": (
        lambda words: any(w.startswith(("-exec", "-ok", "-delete", "-fprint", "-fls")) for w in words),
        "this find does more than look",
    ),
    "sed": (lambda words: any(re.match(r"-[a-zA-Z]*i|--in-place", w) for w in words), "sed -i writes into files"),
    "sysctl": (
        lambda words: any(w in {"-w", "-p", "--write", "--load", "--system"} or "=" in w for w in words),
        "this sysctl sets something",
    ),
    "date": (lambda words: any(w == "-s" or w.startswith("--set") for w in words), "this date sets the clock"),
    "dmesg": (
        lambda words: any(w in {"-c", "-C", "-n", "-D", "-E", "--clear", "--read-clear"} for w in words),
        "this dmesg changes what the kernel tells",
    ),
    "openssl": (lambda words: "-out" in words, "openssl -out writes a file"),
    "sort": (lambda words: any(w.startswith("-o") for w in words), "sort -o writes a file"),
}
"""Programs that look or change as their words say: what to ask of the words, and what is said of those that change."""


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
