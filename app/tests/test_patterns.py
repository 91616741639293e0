"""Patterns that people give: linear or refused, beside Python's own `re`, which they keep busy for good."""

import signal
import subprocess
import sys
import time

import patient
import pytest

from ratemyunit.scraper import patterns
from ratemyunit.scraper.patterns import PatternRefused
from ratemyunit.scraper.rules import Rules

# Each with a text that no match is found in. Taken from published lists of such patterns and their usual variations.
CORPUS = [
    (r"(a+)+$", "a" * 40 + "!"),
    (r"([a-zA-Z]+)*$", "a" * 40 + "!"),
    (r"(a|aa)+$", "a" * 60 + "!"),
    (r"(a|a?)+$", "a" * 40 + "!"),
    (r"(.*a){20}$", "a" * 60 + "!"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 60),
    (r"^(a+)+b", "a" * 40),
    (r"^(a*)*b", "a" * 40),
    (r"^(a*)+b", "a" * 40),
    (r"^(a+)*b", "a" * 40),
    (r"^(a|b|ab)*c", "ab" * 40),
    (r"^(\w+\s?)*$", "word " * 12 + "!"),
    (r"^(\d+)*x", "1" * 40),
    (r"^(\d|\d\d)+x", "1" * 60),
    (r"^([0-9]+-?)+x", "1" * 40),
    (r"^(\w|\d)+\.$", "1" * 40),
    (r"^(\s+)*x", " " * 40),
    (r"^([^,]+,?)+;", "a" * 40),
    (r"^(.+)+,$", "a" * 40),
    (r"^(.*)*,$", "a" * 40),
    (r"^((ab)*)*c", "ab" * 30),
    (r"^((a+)b?)+c", "a" * 40),
    (r"^(([a-z]+)_?)+!", "a" * 40),
    (r"(x+x+)+y", "x" * 40),
    (r"^(x+)*(x+)*y", "x" * 36),
    (r"^(?:a+)+b", "a" * 40),
    (r"^(?:(?:a+)+)+b", "a" * 36),
    (r"^(a+){1,40}b", "a" * 36),
    (r"^(a{1,9}){1,20}b", "a" * 60),
    (r"^(aa|a){1,60}b", "a" * 60),
    (r"^([A-Z]{2,8}\d*)+-$", "ABCDEFGHIJ" * 6),
    (r"^([A-Z]+[0-9]*)+ - ", "COMP" * 12),
    (r"^(/[a-z]*)*\.html$", "/" * 40 + "!"),
    (r"^(/?[a-z]+)+\.html$", "a" * 40),
    (r"^(https?://)?([\w-]+\.?)+/$", "a" * 40),
    (r"^([\w.-]+)+@uni\.example$", "a" * 40),
    (r"^([a-z0-9]+([-._][a-z0-9]+)*)+@", "a" * 40),
    (r"^((\w+)-?)+:$", "a" * 40),
    (r"^<(\w+\s*)+>$", "<" + "a" * 40),
    (r"<([a-z]+ ?)+/>", "<" + "a" * 40),
    (r"^\"([^\"\\]|\\.|[^\"])*;", '"' + "a" * 40),
    (r"^'(?:[^'\\]|[^'])*;", "'" + "a" * 40),
    (r"^(?i)(k+)+b", "k" * 40),
    (r"(?i)^(a+)+b", "A" * 40),
    (r"^(é+)+x", "é" * 40),
    (r"^([à-ÿ]+)+x", "é" * 40),
    (r"^(\p{L}+)+x", "é" * 40),
    (r"^([[:alpha:]]+)+x", "a" * 40),
    (r"^(a+)+\1b", "a" * 40),
    (r"^(?=(a+)+b)a", "a" * 40),
    (r"^(?!(a+)+c)b", "a" * 40),
    (r"(?<=(a+)+)b", "a" * 40),
    (r"^(?>a+)+b", "a" * 40),
    (r"^(a++)+b", "a" * 40),
    (r"^((a{0,999}){0,999}){0,999}b", "a" * 40),
    (r"^(((((a{9}){9}){9}){9}){9}){9}b", "a" * 40),
    (r"^(\w{0,1000}){0,1000}x", "a" * 40),
    (r"(.*)*x", "a" * 40),
    (r"^(.*?)*x", "a" * 40),
    (r"^(\S+\s*)+;$", "word " * 12),
    (r"^(?:(\w+)\s?)+\|$", "word " * 12),
    (r"^(\w+[.-]?)*@", "a" * 40),
    (r"^(\w\w?)+!", "a" * 60),
    (r"^(\D+)*\d", "a" * 40),
    (r"^(x?x?)+y", "x" * 40),
    (r"^(([A-Z]{4})?\d*)+ -$", "COMP1010" * 8),
    (r"^(\(?\d+\)?)+ cp$", "1" * 40),
]
# What only backtracking can match, and repetitions whose program would be too big.
REFUSED = {
    r"^(a+)+\1b",
    r"^(?=(a+)+b)a",
    r"^(?!(a+)+c)b",
    r"(?<=(a+)+)b",
    r"^(?>a+)+b",
    r"^(a++)+b",
    r"^((a{0,999}){0,999}){0,999}b",
    r"^(((((a{9}){9}){9}){9}){9}){9}b",
    r"^(\w{0,1000}){0,1000}x",
}
# Other engines hang on these; Python's compiles them to something tame, or not at all.
TAME_FOR_PYTHON = {
    r"^(\w|\d)+\.$",
    r"^(/[a-z]*)*\.html$",
    r"^(?i)(k+)+b",
    r"^(\p{L}+)+x",
    r"^([[:alpha:]]+)+x",
    r"(?<=(a+)+)b",
    r"^(?>a+)+b",
    r"^(a++)+b",
    r"^(((((a{9}){9}){9}){9}){9}){9}b",
}
HANGING = [(pattern, text) for pattern, text in CORPUS if pattern not in TAME_FOR_PYTHON]
LONG = 50_000
HANGS_S = 0.3


def test_the_corpus_is_no_small_one() -> None:
    assert len({pattern for pattern, _ in HANGING}) >= 50
    assert {pattern for pattern, _ in CORPUS} > REFUSED | TAME_FOR_PYTHON


@pytest.mark.parametrize(("pattern", "text"), CORPUS, ids=[pattern for pattern, _ in CORPUS])
def test_high_2_a_cunning_pattern_is_linear_or_refused(pattern: str, text: str) -> None:
    began, refused = time.process_time(), False
    try:
        Rules(follow=pattern).check()
        patterns.matches(pattern, text * (LONG // len(text)))
    except PatternRefused as why:
        refused = True
        assert str(why)

    assert time.process_time() - began < 2  # 50,000 characters, a lot more than any `re` gets through
    assert refused == (pattern in REFUSED)


@pytest.mark.parametrize(
    "refused", [r"(a)\1", r"(?=a)", r"(?<!a)b", r"(?>a)", r"(", r"a{1001}", "a" * 301, r"\C+[", "*"]
)
def test_what_only_backtracking_can_match_and_what_is_malformed_is_refused_in_words(refused: str) -> None:
    with pytest.raises(PatternRefused, match="refused|at most"):
        patterns.compiled(refused)


@pytest.mark.parametrize(("pattern", "text"), HANGING, ids=[pattern for pattern, _ in HANGING])
def test_pythons_own_re_hangs_on_a_short_text(pattern: str, text: str) -> None:
    # Match as most programs do, for as long as it may compute; a process ends by the signal, whatever `re` does.
    naive = f"import re, signal, sys; signal.setitimer(signal.ITIMER_PROF, {HANGS_S}); re.search(*sys.argv[1:])"

    done = subprocess.run([sys.executable, "-I", "-S", "-c", naive, pattern, text], check=False, timeout=patient.LONG)

    assert len(text) <= 100
    assert done.returncode == -signal.SIGPROF


def test_the_first_group_or_all_of_a_match_is_taken() -> None:
    assert patterns.taken(r"^([A-Z]{4}\d{4})\b", "COMP1010 (6 cp)") == "COMP1010"
    assert patterns.taken(r"[A-Z]{4}\d{4}", "Unit COMP1010") == "COMP1010"
    assert patterns.taken("", "as it is") == "as it is"
    assert patterns.taken("nothing", "of it") == ""
