"""Which commands only look, told from their words. A list of those that do: what is not on it may change something.

A program stands here with the options that it may be given. An option that is not named may write a file, send
something, or run another program; so may one that is shortened, which is why none may be.
"""

from __future__ import annotations

import getopt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ratemyunit_ops.runbooks.binding import INPUT

FOLDERS = frozenset({"", "/bin", "/usr/bin", "/sbin", "/usr/sbin"})
"""Where a program is the one of its name."""
ONLY_LOOK = frozenset({
    "cat", "cmp", "cut", "df", "diff", "dig", "dpkg-query", "du", "echo", "egrep", "false", "fgrep", "findmnt",
    "free", "getent", "grep", "groups", "head", "id", "iostat", "last", "ls", "lsblk", "lscpu", "lsmod", "md5sum",
    "mpstat", "netstat", "nl", "nproc", "nslookup", "pgrep", "ping", "ps", "readlink", "realpath",
    "sha256sum", "stat", "systemd-cgls", "tac", "tail", "test", "top", "true", "uname", "uptime", "vmstat", "w", "wc",
    "who", "whoami", "zcat", "zgrep",
})  # fmt: skip
"""Programs that change nothing, whatever they are told."""

Operands = Callable[[Sequence[str]], bool]
Given = Sequence[tuple[str, str]]


def _any(words: object) -> bool:
    return True


def _none(words: Sequence[str]) -> bool:
    return not words


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True)
class Options:
    """Options as `getopt` writes them (`:` and `=` where a value follows), and what may stand beside them."""

    short: str = ""
    long: str = ""
    operands: Operands = _any
    given: Callable[[Given], bool] = _any
    first: bool = False
    """Whether options end at the first word that is none."""


def sub(known: Mapping[str, frozenset[str] | None], *, none: bool = False) -> Operands:
    """Let the first word be one of these, and the second, where some are named, one of those."""

    def fits(words: Sequence[str]) -> bool:
        if not words:
            return none
        name = words[0].lower()
        if name not in known:
            return False
        second = known[name]
        return second is None or (words[1].lower() if len(words) > 1 else "") in second

    return fits


def words_of(text: str) -> dict[str, frozenset[str] | None]:
    """Read `status show config:get,list`: a word, and after a colon the words of which one has to follow."""
    pairs = (one.partition(":") for one in text.split())
    return {name: frozenset(second.split(",")) if second else None for name, _, second in pairs}


def _ip(words: Sequence[str]) -> bool:
    asked = [w for w in words if w not in OF_ADDRESSES]
    objects = {"a", "addr", "address", "l", "link", "r", "route", "n", "neigh", "rule"}
    return bool(asked) and asked[0] in objects and (len(asked) == 1 or asked[1] in {"show", "list", "ls", "get"})


OF_ADDRESSES = _set("-s -stats -br -brief -d -details -o -j -4 -6")


def _web(words: Sequence[str]) -> bool:
    """Let it ask servers of the web alone: curl speaks protocols, too, by which an address is a command."""
    return bool(words) and all(w.startswith(("http://", "https://")) for w in words)


def _gets(given: Given) -> bool:
    values = [(name.lstrip("-"), value) for name, value in given]
    nowhere = all(value in {"/dev/null", "-"} for name, value in values if name in {"o", "output"})
    gets = all(value in {"GET", "HEAD"} for name, value in values if name in {"X", "request"})
    told = [value for name, value in values if name in {"w", "write-out"}]
    return nowhere and gets and not any("%output" in value or value.startswith(("@", "$")) for value in told)


def _sed(words: Sequence[str]) -> bool:
    return bool(words) and re.fullmatch(r"\d+(,(\d+|\$))?p", words[0]) is not None


def _find(words: Sequence[str]) -> bool:
    return all(w in FINDS or re.fullmatch(r"-\d+\w?", w) or not w.startswith("-") for w in words)


FINDS = _set(
    "-H -L -P -name -iname -path -type -size -mtime -mmin -atime -amin -ctime -cmin -newer -maxdepth -mindepth -xdev"
    " -mount -print -print0 -ls -printf -user -group -perm -empty -o -a -not -or -and -prune -regex -links -inum"
)


def _openssl(words: Sequence[str]) -> bool:
    wanted = {"x509": OF_CERTIFICATES, "s_client": OF_CONNECTIONS, "version": frozenset({"-a"})}
    known = wanted.get(words[0] if words else "", frozenset())
    return bool(known) and all(w in known or not w.startswith("-") for w in words[1:])


OF_CERTIFICATES = _set(
    "-in -inform -noout -text -enddate -startdate -dates -subject -issuer -serial -fingerprint -checkend -checkhost"
    " -ext"
)
OF_CONNECTIONS = _set("-connect -servername -showcerts -brief -verify_return_error")


def _lsof(words: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-[nPlt]+|\+L1?|-i\S*|-[puc]|[^-+].*", w) for w in words)


def _forms(words: Sequence[str]) -> bool:
    return all(w.startswith("+") for w in words)


def _reads(words: Sequence[str]) -> bool:
    return all("=" not in w and not INPUT.fullmatch(w) for w in words)


BY_WORDS: dict[str, Operands] = {"find": _find, "ip": _ip, "lsof": _lsof, "openssl": _openssl}
"""Programs whose options are whole words with one dash: what to ask of all their words."""
READS: dict[str, Options] = {
    "curl": Options(
        "sSfkIiLGvm:w:o:H:A:X:46",
        "silent show-error fail insecure head include location get verbose max-time= connect-timeout= write-out="
        " output= header= user-agent= request= compressed retry= resolve= http1.1 ipv4 ipv6",
        _web,
        _gets,
    ),
    "date": Options("uRId:r:", "utc iso-8601 rfc-3339= date= reference=", _forms),
    "dmesg": Options("THxtrukl:f:L", "ctime human decode kernel userspace level= facility= since= until=", _none),
    "hostname": Options("fsiIAdy", "fqdn short ip-address all-ip-addresses domain", _none),
    "hostnamectl": Options("", "no-pager", sub(words_of("status"), none=True)),
    "journalctl": Options(
        "u:S:U:n:o:g:rb:kp:t:xqeal",
        "unit= since= until= lines= output= grep= case-sensitive= reverse boot dmesg priority= identifier= catalog"
        " quiet utc all full no-pager no-full no-hostname output-fields= disk-usage list-boots",
    ),
    "podman": Options(
        "",
        "log-level=",
        sub(
            words_of(
                "ps images logs inspect stats info version top port diff events history system:df"
                " container:ls,list,ps,inspect,logs,stats,top image:ls,list,inspect,history volume:ls,inspect"
                " network:ls,inspect"
            )
        ),
        first=True,
    ),
    "redis-cli": Options(
        "h:p:n:s:t:",
        "raw json no-auth-warning",
        sub(
            words_of(
                "ping info dbsize lastsave role time ttl pttl type exists strlen llen lrange hlen scard zcard xlen scan"
                " memory:stats,usage,doctor client:list,info,id slowlog:get,len latency:latest,history,doctor"
                " config:get"
            )
        ),
        first=True,
    ),
    "resolvectl": Options("", "no-pager", sub(words_of("status query statistics"), none=True)),
    "sed": Options("n", "quiet silent", _sed),
    "sort": Options("bdfghiMnrRVuck:t:s", "numeric-sort reverse unique human-numeric-sort key= field-separator="),
    "ss": Options("tulnpaemisoxwH460", "tcp udp listening numeric processes all summary no-header memory info"),
    "sysctl": Options("naeNbr:", "all values names pattern=", _reads),
    "systemctl": Options(
        "at:p:P:qlrn:o:",
        "all type= state= property= value plain no-legend no-pager quiet full failed recursive lines= output=",
        sub(
            words_of(
                "status show is-active is-failed is-enabled is-system-running list-units list-unit-files list-timers"
                " list-jobs list-sockets list-dependencies cat get-default"
            ),
            none=True,
        ),
    ),
    "timedatectl": Options("", "no-pager", sub(words_of("status show timesync-status"), none=True)),
}
"""Programs of which only what stands here looks."""


def not_a_look(argv: Sequence[str]) -> str:
    """Say why a command is not known to change nothing; empty where it is."""
    folder, _, program = argv[0].rpartition("/")
    if program == "psql":
        return "psql runs any statement: write it as sql"
    if folder in FOLDERS and (program in ONLY_LOOK or _looks(program, argv[1:])):
        return ""
    known = program in READS or program in BY_WORDS
    return f"{'this ' if known else ''}{program} is not on the list of what only looks: say changes: true, in a remedy"


def _looks(program: str, words: Sequence[str]) -> bool:
    if program in BY_WORDS:
        return BY_WORDS[program](words)
    told = READS.get(program)
    seen = options(words, told.short, told.long, first=told.first) if told is not None else None
    return told is not None and seen is not None and told.given(seen[0]) and told.operands(seen[1])


def options(words: Sequence[str], short: str, long: str, *, first: bool) -> tuple[Given, list[str]] | None:
    """Take options and the other words apart; None where an option is not one of these, or is shortened.

    `first`: options end at the first word that is none. Else they may stand anywhere, and `--` is not taken.
    """
    known, left = long.split(), list(words)
    given: list[tuple[str, str]] = []
    others: list[str] = []
    if not first and "--" in left:
        return None
    while left:
        try:
            more, rest = getopt.getopt(left, short, known)
        except getopt.GetoptError:
            return None
        if _shortened(left[: len(left) - len(rest)], known):
            return None
        given += more
        if first:
            return given, rest
        others, left = [*others, *rest[:1]], rest[1:]
    return given, others


def _shortened(words: Sequence[str], known: Sequence[str]) -> bool:
    names = {f"--{one.removesuffix('=')}" for one in known}
    return any(w.startswith("--") and w != "--" and w.partition("=")[0] not in names for w in words)
