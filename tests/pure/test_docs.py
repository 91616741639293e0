"""What the documents say is so: links lead somewhere, commands exist, named tests exist."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from ratemyunit_ops.cli.main import app
from ratemyunit_ops.outside.aws.hosts import NEXT

CHECKOUT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)(#[^)\s]*)?\)")
HOLE = "NAME"
"""What stands for a value that a hint fills in."""
NO_COMMANDS = (
    *("rmu does not read", "rmu has no", "rmu twin CA"),
    *(f"rmu {HOLE}", f"rmu logs --{HOLE}", f"rmu runbook run {HOLE} {HOLE}"),
)
"""Sentences about rmu, and commands whose very words are filled in: what fills them has tests of its own."""
FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED_TEST = re.compile(r"\b((?:app/)?tests/[\w/]+\.py)::(test_\w+)")


def commands_in(text: str) -> Iterator[str]:
    """Find the `rmu` commands in fenced blocks: what a reader copies."""
    for block in FENCED.findall(text):
        for line in block.splitlines():
            found = re.match(r"(?:\$ )?(?:\.venv/bin/)?(rmu .*)", line.strip())
            if found:
                yield found[1]


def commands_named_in(text: str) -> Iterator[str]:
    """Find the `rmu` commands inside sentences and tables, each way of writing `this | that` on its own."""
    for command in re.findall(r"`(rmu [^`]+)`", FENCED.sub("", text)):
        words = " ".join(command.split())
        if words.endswith(")"):
            before, _, among = words[:-1].partition("(")
        else:
            at = words.split(" | ")[0].rfind(" ") + 1
            before, among = words[:at], words[at:]
        yield from (before + choice for choice in among.split(" | "))


@cache
def cli() -> Any:
    return typer.main.get_command(app)


def complaint(command: str, *, whole: bool = True) -> str | None:
    """Say why the CLI would not take these words; None when it would. What is not whole only names a command."""
    words = shlex.split(command, comments=True)[1:]
    node = cli()
    while getattr(node, "commands", None) and words and not words[0].startswith("-"):
        if words[0] not in node.commands:
            return f"there is no command {words[0]}"
        node = node.commands[words.pop(0)]
    options = {name: param for param in node.params for name in (*param.opts, *param.secondary_opts)}
    arguments = [param for param in node.params if param.param_type_name == "argument"]
    given: list[str] = []
    used: set[str] = set()
    while words:
        word = words.pop(0)
        if word == "--":
            given, words = [*given, *words], []
        elif word.startswith("-") and word != "--help":
            name = word.split("=")[0]
            if name not in options:
                return f"there is no option {name}"
            used.add(options[name].name)
            if "=" not in word and not getattr(options[name], "is_flag", False):
                words[:1] = []
        elif word == "--help":
            whole = False
        else:
            given.append(word)
    if len(given) > len(arguments) and not any(param.nargs == -1 for param in arguments):
        return f"{given[len(arguments)]} is one argument too many"
    needed = [*arguments[len(given) :], *(o for o in options.values() if o.param_type_name == "option")]
    missing = [(p.metavar or p.name).upper() for p in needed if p.required and p.name not in used]
    return f"{missing[0]} is missing" if whole and missing else None


def literal(node: ast.AST) -> str | None:
    """Read a text as it stands in the source, with a word in each hole; None where it is no text."""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal(part) or HOLE for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def hints_in(source: str) -> Iterator[str]:
    """Find the `rmu` commands among the texts of a module, each without what stands behind it."""
    nodes = list(ast.walk(ast.parse(source)))
    parts = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for text in (literal(node) for node in nodes if id(node) not in parts):
        if text and text.startswith("rmu ") and not text.startswith(NO_COMMANDS):
            yield re.split(r" {2,}|[;,] | \(", text)[0].strip()


@cache
def targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)(?: [a-z0-9 -]+)?:", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)) | set(
        re.findall(r"bench-[a-z]+", (CHECKOUT / "Makefile").read_text())
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    broken = [link for link, _ in LINK.findall(document.read_text()) if not (document.parent / link).exists()]

    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(CHECKOUT)))
def test_every_command_to_copy_is_taken_by_the_cli(document: Path) -> None:
    wrong = {c: why for c in commands_in(document.read_text()) if (why := complaint(c))}

    assert wrong == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(CHECKOUT)))
def test_every_command_named_in_a_sentence_is_taken_by_the_cli(document: Path) -> None:
    wrong = {c: why for c in commands_named_in(document.read_text()) if (why := complaint(c, whole=False))}

    assert wrong == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(CHECKOUT)))
def test_every_make_target_named_exists(document: Path) -> None:
    named = set(re.findall(r"`make ([a-z][a-z0-9-]*)`", document.read_text()))

    assert named <= targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(CHECKOUT)))
def test_every_test_named_exists(document: Path) -> None:
    missing = [
        f"{path}::{name}"
        for path, name in NAMED_TEST.findall(document.read_text())
        if not (CHECKOUT / path).is_file() or f"def {name}(" not in (CHECKOUT / path).read_text()
    ]

    assert missing == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert complaint("rmu deploy v1 --because x") is None
    assert complaint("rmu deplooy v1") == "there is no command deplooy"
    assert complaint("rmu deploy v1 --force") == "there is no option --force"
    assert complaint("rmu deploy v1 v2") == "v2 is one argument too many"
    assert complaint("rmu host replace") == "HOST is missing"
    assert complaint("rmu host replace", whole=False) is None
    assert complaint("rmu host replace --help") is None
    assert complaint("rmu exec --host i-1 -- tail -n 20 x") is None
    named = "`rmu twin up | down` and `rmu db restore (--latest | --tomorrow)`, not\n```\nrmu x `rmu y`\n```\n"
    assert [complaint(c, whole=False) for c in commands_named_in(named)] == [
        None,
        None,
        None,
        "there is no option --tomorrow",
    ]


def test_a_hint_is_found_wherever_it_stands() -> None:
    source = 'NEXT = {"x": "rmu logs"}\nfail(next=f"rmu show {run}   (or: {other})")\nsay("rmu has no nose")\n'

    assert list(hints_in(source)) == ["rmu logs", f"rmu show {HOLE}"]


def test_every_hint_of_an_error_is_taken_by_the_cli() -> None:
    modules = (CHECKOUT / "ratemyunit_ops").rglob("*.py")
    hints = {hint for source in modules for hint in hints_in(source.read_text())}

    assert len(hints) > 50
    assert {hint: why for hint in hints if (why := complaint(hint))} == {}


def test_every_code_by_which_a_host_says_no_has_a_hint_of_its_own() -> None:
    contract = (CHECKOUT / "docs" / "contract-host.md").read_text()
    answers = re.search(r"^Every answer: .*?^$", contract, re.MULTILINE | re.DOTALL)
    assert answers
    codes = {code for listed in re.findall(r": `(\w+ [\w\s]+)`", answers[0]) for code in listed.split()}

    assert len(codes) > 25
    assert codes == set(NEXT)


def test_every_page_that_a_hint_sends_to_has_what_it_names() -> None:
    text = "".join(source.read_text() for source in (CHECKOUT / "ratemyunit_ops").rglob("*.py"))
    named = set(re.findall(r"\((docs/[\w-]+\.md)(?:, “([^”]+)”)?", text))

    assert ("docs/break-glass.md", "A statement by hand") in named
    assert [(page, part) for page, part in named if part not in (CHECKOUT / page).read_text()] == []


def stops(walk: Path) -> dict[Path, list[str]]:
    """Read the walk: which functions or classes of which file."""
    found = re.findall(r"^Read (.+?) in\s+\[[^]]+\]\(([^)]+)\)", walk.read_text(), re.MULTILINE | re.DOTALL)
    return {(walk.parent / link).resolve(): re.findall(r"`(\w+)`", names) for names, link in found}


def lengths(source: Path) -> dict[str, int]:
    """Count the lines of every function and class of a file."""
    nodes = ast.walk(ast.parse(source.read_text()))
    named = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    return {n.name: (n.end_lineno or n.lineno) - n.lineno + 1 for n in named}


def test_one_deploy_is_a_walk_of_eight_files_and_six_hundred_lines_at_most() -> None:
    walk = stops(CHECKOUT / "docs" / "one-deploy.md")

    read = [lengths(source)[name] for source, names in walk.items() for name in names]

    assert 4 < len(walk) <= 8
    assert 200 < sum(read) <= 600


def test_the_walk_ends_where_the_map_key_is_set() -> None:
    last, read = list(stops(CHECKOUT / "docs" / "one-deploy.md").items())[-1]

    sets = [n for n in ast.walk(ast.parse(last.read_text())) if isinstance(n, ast.FunctionDef) and n.name in read]
    assert any("set map" in (literal(part) or "") for n in sets for part in ast.walk(n))


def test_every_surprise_of_aws_names_the_test_that_remembers_it() -> None:
    lines = (CHECKOUT / "docs" / "cursed.md").read_text().splitlines()
    surprises = [line for line in lines if line.startswith("- ")]

    assert surprises
    assert [
        line for line in surprises if not re.match(r"- \d{4}-\d\d-\d\d ", line) or not NAMED_TEST.search(line)
    ] == []


ANSWERED = re.compile(r"::test_\w+`|`tests/|\]\([^)]+\)|`make [a-z-]+`|\blater\b|\bsee \w+")
"""What the last cell of a line may hold: a test, a link, a target, where else it is answered, or that it is not yet."""


def test_every_item_of_the_ledger_stands_in_the_contract() -> None:
    code = [CHECKOUT / "ratemyunit_ops/records.py", CHECKOUT / "ratemyunit_ops/engine/journal.py"]
    told = set(
        re.findall(r"^\| [^|]+ \| `([^`]+)` \| ", (CHECKOUT / "docs/contract-host.md").read_text(), re.MULTILINE)
    )
    keys = {key for file in code for key in re.findall(r'pk=f?"([^"]+)"', file.read_text())}

    assert len(keys) > 10, "the keys were not found"
    assert {re.sub(r"\{[^}]*(run|incident)[^}]*\}", lambda m: m[1].upper(), key) for key in keys} - told == set()


def test_every_finding_of_the_review_names_what_shows_its_answer_or_says_later() -> None:
    lines = (CHECKOUT / "docs" / "review-answers.md").read_text().splitlines()
    rows = [re.split(r" *\| *", line.strip("| ")) for line in lines if line.startswith("| ")]
    findings = [row for row in rows if len(row) == 3 and row[0] != "finding"]

    assert len(findings) > 80
    assert [row[0] for row in findings if not (ANSWERED.search(row[2]) or ANSWERED.match(row[1]))] == []
