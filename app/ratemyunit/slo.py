"""What the objectives count (terraform/slo.yaml), as the process itself sees it: events that count, and the good ones.

The alarms read the proxy's log, which also knows of requests that no process answered. These figures are for whoever
asks one process: a ratio of two counters, which adds up over processes and windows.
"""

from prometheus_client import Counter

SEARCHES = {"/api/units", "/search"}
SEARCH_WITHIN_S = 0.5
# Who asks whether we are well is no user.
PROBES = {"/livez", "/readyz", "/metrics"}

VALID = Counter("slo_valid_events_total", "Events that an objective counts", ["objective"])
GOOD = Counter("slo_good_events_total", "Events that were as the objective wants them", ["objective"])

# From the start, so that a ratio of nothing is 0 of 0 and not a series that is missing.
for _objective in ("errors", "search", "scrapes"):
    VALID.labels(_objective)
    GOOD.labels(_objective)


def request(route: str, status: int, seconds: float) -> None:
    """Count a request that was answered: without a 5xx it is good, and a search is good when it was quick."""
    if route in PROBES:
        return
    _count("errors", status < 500)
    if route in SEARCHES:
        _count("search", seconds <= SEARCH_WITHIN_S)


def scrape(ok: bool | None) -> None:
    """Count a scrape that ended; one that was given back has not."""
    if ok is not None:
        _count("scrapes", ok)


def _count(objective: str, good: bool) -> None:
    VALID.labels(objective).inc()
    if good:
        GOOD.labels(objective).inc()
