"""BUG-CRITICAL-002: a range of codes is counted before anything is made of it."""

import multiprocessing
import resource
import time

import pytest
from patient import LONG

from ratemyunit.scraper import ranges
from ratemyunit.scraper.ranges import RangeRefused

PAGE = "https://uni.example/units/{code}"
HUGE = ["COMP0-999999999", "COMP1000-99999999", "COMP1-2001", "AB000000000-000002000"]


@pytest.mark.parametrize("span", HUGE)
def test_bug_critical_002_a_huge_range_is_refused_before_anything_is_expanded(span: str) -> None:
    began = time.process_time()

    with pytest.raises(RangeRefused, match="at most 2000"):
        ranges.urls(PAGE, span)

    assert time.process_time() - began < 0.1


def test_bug_critical_002_a_naive_expansion_runs_out_of_memory() -> None:
    process = multiprocessing.get_context("spawn").Process(target=naive_in_a_small_room, args=(HUGE[0],))
    process.start()
    process.join(LONG)
    ended = process.exitcode
    process.kill()

    assert ended not in (0, None)


def naive_in_a_small_room(span: str) -> None:
    """Expand as the first version did, with the memory that a small host has left."""
    resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))
    first, last = (int(number) for number in span.removeprefix("COMP").split("-"))
    assert [f"https://uni.example/units/COMP{number}" for number in range(first, last + 1)]


@pytest.mark.parametrize(
    "span",
    [
        *("", "COMP", "COMP1000", "COMP1000-", "COMP-1000", "1000-1999", "comp1000-1999", "COMP1000-1999-2999"),
        *("COMP1e3-1e9", "COMP-1--5", "COMP1000 - 1999", "COMP١٠٠٠-١٩٩٩", "COMP1000-1999\n", "C1-2", "COMP2000-1000"),
        *("COMP9223372036854775807-9223372036854775808", "COMP" + "1" * 5000 + "-2", "CO\x00MP1-2", "CÔMP1-2"),
    ],
)
def test_what_is_no_range_is_refused(span: str) -> None:
    with pytest.raises(RangeRefused):
        ranges.urls(PAGE, span)


def test_a_range_names_each_code_once_with_its_zeros() -> None:
    assert list(ranges.urls(PAGE, "COMP0998-1001")) == [
        f"https://uni.example/units/COMP{n}" for n in ("0998", "0999", "1000", "1001")
    ]
    assert ranges.count("COMP1000-1999") == 1000
    assert ranges.count("COMP1000-2999") == ranges.MOST


@pytest.mark.parametrize("template", ["https://uni.example/", "https://uni.example/{code}/{code}", "{CODE}"])
def test_the_address_of_a_range_has_the_code_in_it_once(template: str) -> None:
    with pytest.raises(RangeRefused, match="once"):
        ranges.urls(template, "COMP1000-1001")
