"""What /metrics tells of the objectives: which events count, and which of them were good."""

import re

import pytest
from conftest import APP
from prometheus_client import REGISTRY

from ratemyunit import slo

OBJECTIVES = APP.parent / "terraform/slo.yaml"


def counted(objective: str) -> tuple[float, float]:
    """Tell how many events of an objective counted, and how many were good."""
    names = ("slo_valid_events_total", "slo_good_events_total")
    valid, good = (REGISTRY.get_sample_value(name, {"objective": objective}) for name in names)
    assert valid is not None and good is not None, objective
    return valid, good


@pytest.mark.parametrize(
    ("route", "status", "seconds", "errors", "search"),
    [
        ("/api/units", 200, 0.1, (1, 1), (1, 1)),
        ("/search", 200, 0.499, (1, 1), (1, 1)),
        ("/api/units", 200, 0.501, (1, 1), (1, 0)),
        ("/api/units", 503, 0.1, (1, 0), (1, 1)),
        ("/api/units/{unit_id}", 404, 3.0, (1, 1), (0, 0)),
        ("unmatched", 404, 0.1, (1, 1), (0, 0)),
        ("/readyz", 503, 0.1, (0, 0), (0, 0)),
        ("/livez", 200, 0.1, (0, 0), (0, 0)),
    ],
)
def test_a_request_counts_for_the_objectives_that_are_about_it(
    route: str, status: int, seconds: float, errors: tuple[int, int], search: tuple[int, int]
) -> None:
    before = {name: counted(name) for name in ("errors", "search", "scrapes")}

    slo.request(route, status, seconds)

    added = {name: tuple(now - then for now, then in zip(counted(name), before[name], strict=True)) for name in before}
    assert added == {"errors": errors, "search": search, "scrapes": (0, 0)}


@pytest.mark.parametrize(("ok", "added"), [(True, (1, 1)), (False, (1, 0)), (None, (0, 0))])
def test_a_scrape_counts_unless_it_was_given_back(ok: bool | None, added: tuple[int, int]) -> None:
    valid, good = counted("scrapes")

    slo.scrape(ok)

    assert counted("scrapes") == (valid + added[0], good + added[1])


def test_the_objectives_and_the_limit_are_those_that_the_alarms_have() -> None:
    written = OBJECTIVES.read_text()
    named = set(re.findall(r"^  name: (\w+)$", written, re.MULTILINE))

    # Availability is the front door's: of a request that no process answered, no process can tell.
    assert named - {"availability"} == {"errors", "search", "scrapes"}
    assert f"within {slo.SEARCH_WITHIN_S * 1000:.0f} ms" in written
