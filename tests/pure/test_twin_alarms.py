"""How the twin's CloudWatch decides (points missing and read again, percentiles, metric math, composite rules), when
its schedules fire, what it counts of a balancer's requests; and that no test does its work for it."""

import itertools
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ratemyunit_ops.twin.gate.cron import due
from ratemyunit_ops.twin.gate.evaluation import Terms, decide, holds
from ratemyunit_ops.twin.gate.expressions import Given, Wrong, evaluate, parse
from ratemyunit_ops.twin.gate.metrics import Row, Span, Store, key_of
from ratemyunit_ops.twin.keepers.balancer_config import backend_of
from ratemyunit_ops.twin.keepers.requests import Counts, points_of, told

TESTS = Path(__file__).parents[1]
KEPT = None
LACKING = "INSUFFICIENT_DATA"
KEY = key_of("Test", "Wait", {"Host": "a"})


def read(row: str) -> list[float | None]:
    return [{"0": 0.0, "X": 1.0, "-": None}[mark] for mark in row.split()]


# The tables of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html: points,
# the oldest first, then the state by missing, ignore, breaching, notBreaching.
THREE_OF_THREE = [
    ("0 - X - X", "OK", "OK", "OK", "OK"),
    ("0 - - - -", "OK", "OK", "OK", "OK"),
    ("- - - - -", LACKING, KEPT, "ALARM", "OK"),
    ("0 X X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("- - X - -", "ALARM", KEPT, "ALARM", "OK"),
]
TWO_OF_THREE = [
    ("0 - X - X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 0 X 0 X", "ALARM", "ALARM", "ALARM", "ALARM"),
    ("0 - X - -", "OK", "OK", "ALARM", "OK"),
    ("- - - - 0", "OK", "OK", "ALARM", "OK"),
    ("- - - X -", "ALARM", KEPT, "ALARM", "OK"),
]
CASES = [
    pytest.param(m, row, missing, states[at], id=f"{m} of 3: {row} {missing}")
    for m, rows in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
    for row, *states in rows
    for at, missing in enumerate(("missing", "ignore", "breaching", "notBreaching"))
]


@pytest.mark.parametrize(("m", "row", "missing", "state"), CASES)
def test_an_alarm_treats_missing_points_as_the_guides_tables_say(
    m: int, row: str, missing: str, state: str | None
) -> None:
    terms = Terms("GreaterThanThreshold", 0.5, m, 3, missing)

    assert decide(terms, read(row)).state == state


@pytest.mark.parametrize("row", ["- - - - X", "- - - X -"])
def test_a_young_breach_among_missing_points_waits_for_the_next_one(row: str) -> None:
    assert decide(Terms("GreaterThanThreshold", 0.5, 3, 3), read(row)).state == "OK"


@pytest.mark.parametrize(
    ("comparison", "value", "breaches"),
    [
        ("GreaterThanThreshold", 5, False),
        ("GreaterThanOrEqualToThreshold", 5, True),
        ("LessThanThreshold", 5, False),
        ("LessThanOrEqualToThreshold", 5, True),
    ],
)
def test_the_threshold_itself_counts_as_the_comparison_says(comparison: str, value: float, breaches: bool) -> None:
    assert Terms(comparison, 5, 1, 1).breaches(value) is breaches


def test_the_reason_names_the_points_and_what_was_filled_in() -> None:
    verdict = decide(Terms("LessThanThreshold", 1, 2, 3, "breaching"), read("- - - - 0"))

    assert verdict.reason == (
        "Threshold Crossed: 1 datapoint [0] was less than the threshold (1) "
        "and 2 missing datapoints treated as [Breaching]."
    )


@pytest.mark.parametrize(
    ("rule", "true"),
    [
        ("ALARM(a)", True),
        ('ALARM("a") AND ALARM("b")', False),
        ('(ALARM("a") AND ALARM("b")) OR (ALARM("a") AND OK("b"))', True),
        ("NOT ALARM(a) OR NOT OK(b)", False),
        ('ALARM("arn:aws:cloudwatch:us-east-1:123456789012:alarm:a") AND TRUE', True),
        ("INSUFFICIENT_DATA(nobody) AND NOT FALSE", True),
    ],
)
def test_a_composite_rule_is_read_as_it_is_written(rule: str, true: bool) -> None:
    assert holds(rule, {"a": "ALARM", "b": "OK"}) is true


@pytest.mark.parametrize("rule", ["", "ALARM(a", "ALARM(a) b", "BROKEN(a)", "ALARM(a) AND"])
def test_a_composite_rule_that_cannot_be_read_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        holds(rule, {})


def given(**results: dict[int, float] | float) -> Given:
    return Given(results, [id for id, one in results.items() if isinstance(one, dict)], [0, 10, 20], 10)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3 - 8 / 4", 5.0),
        ("-2 ^ 2 + (1 - 1)", 4.0),
        ("a + b", {0: 11.0, 10: 2.0, 20: 33.0}),
        ("a + nothing", {}),
        ("SUM([a, nothing])", {0: 1.0, 10: 2.0, 20: 3.0}),
        ("a < b", {0: 1.0, 10: 0.0, 20: 1.0}),
        ("100 * a / b", {0: 10.0, 20: 10.0}),
        ("a / (a - 1)", {10: 2.0, 20: 1.5}),
        ("a > 1 AND a < 3", {0: 0.0, 10: 1.0, 20: 0.0}),
        ("NOT a OR b == 30", {0: 0.0, 10: 0.0, 20: 1.0}),
        ("FILL(b, 0)", {0: 10.0, 10: 0.0, 20: 30.0}),
        ("FILL(b, REPEAT)", {0: 10.0, 10: 10.0, 20: 30.0}),
        ("FILL(nothing, 7)", {}),
        ("IF(a >= 2, b, -1)", {0: -1.0, 10: 0.0, 20: 30.0}),
        ("IF(a < 2, 5, b)", {0: 5.0, 20: 30.0}),
        ("IF(FILL(b,0) >= 5 AND FILL(b,0) > 3 * a, 1, 0)", {0: 1.0, 10: 0.0, 20: 1.0}),
        ("SUM([a, b])", {0: 11.0, 10: 2.0, 20: 33.0}),
        ("MAX(METRICS())", {0: 10.0, 10: 2.0, 20: 30.0}),
        ("SUM(a) / AVG(a)", 3.0),
        ("MIN([a, 2]) + ABS(-1)", {0: 2.0, 10: 3.0, 20: 3.0}),
        ("PERIOD(a) * TIME_SERIES(2)", {0: 20.0, 10: 20.0, 20: 20.0}),
    ],
)
def test_metric_math_comes_to_what_it_says(expression: str, value: object) -> None:
    series = {"a": {0: 1.0, 10: 2.0, 20: 3.0}, "b": {0: 10.0, 20: 30.0}, "nothing": {}}

    assert evaluate(expression, given(**series)) == value  # type: ignore[arg-type]


@pytest.mark.parametrize("expression", ["", "a +", "(a", "a b", "FILL(a)", "Upper", "LOG(a)", "a ; b", "IF(a)", "1/0"])
def test_metric_math_that_means_nothing_is_refused(expression: str) -> None:
    with pytest.raises(Wrong):
        evaluate(expression, given(a={0: 1.0}))


def test_an_expression_tells_which_ids_it_names() -> None:
    assert parse("IF(bad > 0.1 * total, e1, SUM(METRICS()))")[1] == {"bad", "total", "e1"}


def test_statistics_are_of_the_period_and_of_exactly_these_dimensions() -> None:
    store = Store()
    for second, value in ((100, 1.0), (101, 2.0), (112, 9.0)):
        store.put(KEY, value, at=second)
    store.put(key_of("Test", "Wait", {}), 77.0, at=101)

    found = {name: store.points(KEY, name, Span(100, 120, 10)) for name in ("Sum", "SampleCount", "Average", "Maximum")}

    assert found["Sum"] == {100: 3.0, 110: 9.0}
    assert found["SampleCount"] == {100: 2.0, 110: 1.0}
    assert found["Average"][100] == 1.5
    assert found["Maximum"][100] == 2.0


def test_a_percentile_is_a_value_that_so_many_are_not_above() -> None:
    row = Row()
    for value in range(1, 101):
        row.add(float(value))

    assert [row.statistic(name) for name in ("p50", "p99", "p99.9", "p100", "nonsense")] == [50, 99, 100, 100, None]


def test_old_points_are_joined_and_then_dropped_and_no_sum_is_lost() -> None:
    store, now = Store(), 200_000
    ages = [10, 11, 1000, 1001, 1009, 20_000, 20_030, 90_000]
    for age in ages:
        store.put(KEY, 1.0, at=now - age)

    store.age(now)

    kept = store.points(KEY, "Sum", Span(now - 86_400, now, 86_400))
    rows = store.points(KEY, "Sum", Span(now - 86_400, now, 1))
    assert kept == {now - 86_400: 7.0}
    assert len(rows) == 6
    assert store.age(now + 90_000) is None and store.names() == []


def test_a_points_order_of_arrival_does_not_matter() -> None:
    for order in itertools.permutations((100, 105, 111)):
        store = Store()
        for second in order:
            store.put(KEY, float(second), at=second)

        assert store.points(KEY, "Maximum", Span(100, 120, 10)) == {100: 105.0, 110: 111.0}


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("expression", "before", "fires"),
    [
        ("at(2026-03-02T10:00:00)", "2026-03-02T09:59:59", "2026-03-02T10:00:00"),
        ("rate(15 minutes)", "2026-03-01T00:29:59", "2026-03-01T00:30:00"),
        ("rate(1 hour)", "2026-03-01T00:59:59", "2026-03-01T01:00:01"),
        ("rate(7 days)", "2026-03-07T23:59:59", "2026-03-08T00:00:00"),
        ("cron(30 2 * * ? *)", "2026-03-05T02:29:59", "2026-03-05T02:30:00"),
        ("cron(0/10 8-17 ? * MON-FRI *)", "2026-03-06T16:49:59", "2026-03-06T16:50:02"),
        ("cron(0 0 L * ? 2026)", "2026-03-30T23:59:59", "2026-03-31T00:00:00"),
        ("cron(0 12 1,15 JAN,MAR ? *)", "2026-03-15T11:59:59", "2026-03-15T12:00:00"),
    ],
)
def test_a_schedule_fires_when_it_says_and_once(expression: str, before: str, fires: str) -> None:
    last, now, start = unix(before), unix(fires), unix("2026-03-01T00:00:00")

    assert due(expression, last, now, start=start)
    assert not due(expression, last - 5, last, start=start)
    assert not due(expression, now, now + 5, start=start)


def test_a_rate_begins_with_its_start_and_not_before() -> None:
    start = unix("2026-03-01T00:00:00")

    assert not due("rate(5 minutes)", start - 600, start - 1, start=start)
    assert due("rate(5 minutes)", start - 1, start, start=start)


ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/rmu-twin/6d0ecf831eec9f09"
ROW = {
    "arn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/rmu-twin/50dc6c495c0c9188",
    "region": "us-east-1",
    "target_groups": {ARN: {}},
}


@pytest.mark.parametrize(
    ("line", "counted"),
    [
        ("{tg} s1 200 12", {"RequestCount": 1, "TargetResponseTime": 0.012, "HTTPCode_Target_2XX_Count": 1}),
        ("{tg}-open s1 503 4", {"RequestCount": 1, "TargetResponseTime": 0.004, "HTTPCode_Target_5XX_Count": 1}),
        ("{tg} s1 502 -1", {"RequestCount": 1, "HTTPCode_ELB_5XX_Count": 1, "HTTPCode_ELB_502_Count": 1}),
        ("{tg} <NOSRV> 503 -1", {"HTTPCode_ELB_5XX_Count": 1, "HTTPCode_ELB_503_Count": 1}),
        ("port80 <NOSRV> 403 -1", {"HTTPCode_ELB_4XX_Count": 1}),
        ("port80 <NOSRV> -1 -1", {}),
        ("not a line", {}),
    ],
)
def test_a_request_is_counted_as_the_targets_or_the_balancers_own(line: str, counted: dict[str, float]) -> None:
    found = told(line.format(tg=backend_of(ARN)), 100)

    assert {name: value for _, _, name, value in found} == counted


def test_requests_become_points_of_the_balancer_and_of_its_target_group() -> None:
    counts = Counts(told(f"{backend_of(ARN)} s1 200 12", 100) * 3)

    [whole, part] = [one for one in points_of(ROW, counts) if one["name"] == "RequestCount"]

    assert (whole["times"], whole["at"]) == (3, 100)
    assert whole["dimensions"] == {"LoadBalancer": "app/rmu-twin/50dc6c495c0c9188"}
    assert part["dimensions"]["TargetGroup"] == "targetgroup/rmu-twin/6d0ecf831eec9f09"


def test_no_proof_of_an_alarm_puts_a_point_or_a_state() -> None:
    of_cloudwatch_itself = {"test_gate.py", "test_gate_alarms.py", "test_gate_slo.py"}
    calls = re.compile("(put|set)_(metric_data|alarm_state)|(Put|Set)(MetricData|AlarmState)")

    doing = {file.name for file in TESTS.rglob("*.py") if calls.search(file.read_text())}

    assert doing == of_cloudwatch_itself
