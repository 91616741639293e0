"""`rmu web budget`: what a browser tells becomes figures, and figures are held to limits."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.cli.weighing import Asked, weigh
from ratemyunit_ops.errors import Mistyped, Refused, Unreachable
from ratemyunit_ops.outside.chromium import is_page, load
from ratemyunit_ops.ports import PageLoad, Phone, Transfer
from ratemyunit_ops.reports.page_load import Limits, figures, interactive, table
from tests.fakes.browser import FakeBrowser, RecordedTalk, a_load

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "golden/page_load_as_chromium_told_it.json").read_text())
PHONE = Phone(latency=timedelta(milliseconds=562), down_kbit=1475, up_kbit=675, slower=4)
LIMITS = Limits(bytes=500_000, lcp_ms=2500, tti_ms=3000)
PATIENCE = timedelta(seconds=45)


def recorded(**answers: Any) -> dict[str, Any]:
    changed = copy.deepcopy(RECORDED)
    changed["answers"].update(answers)
    return changed


def loaded(recording: dict[str, Any]) -> PageLoad:
    return load(RecordedTalk(recording), recording["url"], PHONE, patience=PATIENCE)


def asked(*urls: str, loads: int = 1) -> Asked:
    return Asked(urls=list(urls), loads=loads, limits=LIMITS, phone=PHONE)


def test_what_chromium_told_becomes_the_load_of_a_page() -> None:
    found = loaded(RECORDED)

    assert [(t.url.rpartition("/")[2], t.bytes) for t in found.transfers] == [
        ("page", 131 + 2749),
        ("a.js", 280),
        ("a.css", 10153),
        ("icon.svg", 182),
    ]
    assert found.first_paint_ms == found.largest_paint_ms == 2384.0
    assert [round(end) for _, end in found.long_tasks] == [1752, 2558, 3390, 3474]
    assert interactive(found) == found.long_tasks[-1][1]
    # The page's clock began 9 ms before its first request.
    assert [round(t.began_ms) for t in found.transfers[:1]] == [9]


def test_the_browser_is_slowed_and_its_cache_off_before_it_sets_out() -> None:
    talk = RecordedTalk(RECORDED)

    load(talk, RECORDED["url"], PHONE, patience=PATIENCE)

    orders = [method for method, _ in talk.asked]
    told = dict(talk.asked)
    before = orders[: orders.index("Page.navigate")]
    assert {"Network.setCacheDisabled", "Emulation.setCPUThrottlingRate"} <= set(before)
    assert told["Network.emulateNetworkConditions"]["latency"] == 562
    assert told["Network.emulateNetworkConditions"]["downloadThroughput"] == 1475 * 125
    assert told["Emulation.setCPUThrottlingRate"] == {"rate": 4}


def test_a_page_that_does_not_open_or_answers_an_error_is_not_measured() -> None:
    refused = recorded(**{"Page.navigate": {"errorText": "net::ERR_CONNECTION_REFUSED"}})
    broken = recorded()
    for event in broken["events"]:
        if event["method"] == "Network.responseReceived" and event["params"]["type"] == "Document":
            event["params"]["response"]["status"] = 503

    with pytest.raises(Unreachable, match="cannot be opened: net::ERR_CONNECTION_REFUSED"):
        loaded(refused)
    with pytest.raises(Unreachable, match="answered 503"):
        loaded(broken)


def test_a_request_that_never_ends_is_watched_to_the_end_of_patience_only() -> None:
    open_ended = recorded()
    open_ended["events"] = [e for e in open_ended["events"] if e["method"] != "Network.loadingFinished"]
    talk = RecordedTalk(open_ended)

    found = load(talk, RECORDED["url"], PHONE, patience=PATIENCE)

    assert talk.now() >= PATIENCE.total_seconds()
    assert all(t.ended_ms is None for t in found.transfers)
    assert interactive(found) is None


def test_a_page_whose_script_was_kept_from_looking_is_refused() -> None:
    with pytest.raises(Refused, match="does not tell"):
        loaded(recorded(**{"Runtime.evaluate": {"exceptionDetails": {}}}))


@pytest.mark.parametrize(
    ("changed", "tti"),
    [
        ({}, 950),
        ({"parsed_ms": 1300.0}, 1300),
        ({"long_tasks": ((100.0, 300.0),)}, 950),
        ({"long_tasks": ((1000.0, 1400.0),)}, 1400),
        ({"long_tasks": ((1000.0, 1400.0), (4000.0, 4100.0))}, 4100),
        ({"long_tasks": ((1000.0, 1400.0), (6500.0, 6600.0))}, 1400),
        ({"long_tasks": ((5000.0, 5100.0), (9000.0, 9100.0))}, None),
        ({"first_paint_ms": None}, None),
        ({"parsed_ms": None}, None),
        ({"watched_ms": 4000.0}, None),
    ],
    ids=str,
)
def test_a_page_can_be_used_after_the_last_long_task_before_five_quiet_seconds(
    changed: dict[str, Any], tti: float | None
) -> None:
    assert interactive(a_load(**changed)) == tti


def test_three_requests_at_once_keep_a_page_from_being_quiet_and_two_do_not() -> None:
    slow = [Transfer(url=f"https://a.example/{n}", began_ms=1000, ended_ms=6000, bytes=1) for n in range(3)]
    tasks = ((3000.0, 3100.0),)

    assert interactive(a_load(transfers=tuple(slow[:2]), long_tasks=tasks)) == 3100
    assert interactive(a_load(transfers=tuple(slow), long_tasks=tasks, watched_ms=20_000.0)) == 3100
    assert interactive(a_load(transfers=tuple(slow), watched_ms=10_000.0)) is None


@pytest.mark.parametrize(
    ("changed", "above"),
    [
        ({}, ()),
        ({"transfers": (Transfer(url="https://a.example/", began_ms=0, ended_ms=1, bytes=500_000),)}, ("weight",)),
        ({"transfers": (Transfer(url="https://a.example/", began_ms=0, ended_ms=1, bytes=499_999),)}, ()),
        ({"largest_paint_ms": 2500.0}, ("lcp",)),
        ({"largest_paint_ms": None}, ("lcp",)),
        ({"long_tasks": ((2900.0, 3000.0),)}, ("tti",)),
        ({"watched_ms": 1000.0}, ("tti",)),
    ],
    ids=str,
)
def test_a_figure_must_stay_below_its_limit(changed: dict[str, Any], above: tuple[str, ...]) -> None:
    assert figures([a_load(**changed)], LIMITS).above == above


def test_the_middle_of_the_loads_counts_and_one_that_never_painted_is_the_slowest() -> None:
    times: tuple[float | None, ...] = (1000.0, None, 1200.0)

    found = figures([a_load(largest_paint_ms=t) for t in times], LIMITS)

    assert (found.loads, found.lcp_ms, found.above) == (3, 1200, ())
    assert figures([a_load(largest_paint_ms=t) for t in (None, None, 1.0)], LIMITS).lcp_ms is None


def test_people_read_every_page_and_the_budget_below() -> None:
    page = figures([a_load(largest_paint_ms=2600.0)], LIMITS)

    assert table([page], LIMITS) == [
        ("9.0 kB", "2.60 s", "0.95 s", "1", "lcp", "https://a.example/"),
        ("< 500.0 kB", "< 2.50 s", "< 3.00 s", "", "", "the budget"),
    ]


def test_the_exit_code_says_whether_every_page_keeps_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = a_load(), a_load(largest_paint_ms=4000.0)

    kept = weigh(asked("https://a.example/"), as_json=True, browser=FakeBrowser([good]))
    capsys.readouterr()
    above = weigh(asked("https://a.example/", "https://a.example/b"), as_json=True, browser=FakeBrowser([good, bad]))
    said = json.loads(capsys.readouterr().out)

    assert (kept, above) == (0, 3)
    assert said["above"] == ["https://a.example/b"]
    assert [p["above"] for p in said["pages"]] == [[], ["lcp"]]
    assert said["limits"] == {"bytes": 500_000, "lcp_ms": 2500, "tti_ms": 3000}
    assert said["phone"] == {"latency_ms": 562, "down_kbit": 1475, "up_kbit": 675, "slower": 4}


def test_each_page_is_loaded_as_often_as_asked() -> None:
    browser = FakeBrowser([a_load()] * 6)

    weigh(asked("https://a.example/", "https://b.example/", loads=3), as_json=True, browser=browser)

    assert browser.phones == [PHONE] * 6


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "ftp://a.example",
        "file:///etc/passwd",
        "https://",
        "http://a:port/",
        "http://a/ b",
        "http://[",
        "http://a/\u202e",
    ],
)
def test_what_is_no_page_is_refused_before_any_browser_starts(url: str) -> None:
    browser = FakeBrowser([])

    with pytest.raises(Mistyped, match="is no page"):
        weigh(asked("https://a.example/", url), as_json=True, browser=browser)

    assert browser.phones == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080", "https://a.example/search?q=é", "HTTPS://A.EXAMPLE/"])
def test_pages_are_told_from_what_is_none(url: str) -> None:
    assert is_page(url)
