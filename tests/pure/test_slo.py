"""Objectives: what slo.yaml may say, the alarms it becomes, and what is left of budgets."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from ratemyunit_ops.burning import DAY, HOUR, MINUTE, as_tfvars, compiled, tiers
from ratemyunit_ops.cli import budgets
from ratemyunit_ops.cli.wire import Wired
from ratemyunit_ops.errors import Mistyped, Unreachable
from ratemyunit_ops.objectives import COUNTED, ELB, Objective, read_objectives
from ratemyunit_ops.reports.slo import Budget, Scope, gone, report_budgets, spent_between
from ratemyunit_ops.reports.slo_shown import percent, picture
from ratemyunit_ops.settings import load
from ratemyunit_ops.show.screen import Screen
from ratemyunit_ops.twin.gate.expressions import Given, evaluate
from tests.fakes.operator import SETTINGS, Operator, QuietScreen
from tests.fakes.world import FakeWorld

CHECKOUT = Path(__file__).parents[2]
SHIPPED = CHECKOUT / "terraform" / "slo.yaml"
OBJECTIVES = {o.name: o for o in read_objectives(SHIPPED)}
SCOPE = Scope(environment="test", balancer="app/rmu-test/1", targets="targetgroup/rmu-test/2")
BALANCER = {"LoadBalancer": "app/rmu-test/1"}
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
PLACES = {"alb_arn": f"{ARN}:loadbalancer/app/rmu-test/1", "target_group_arn": f"{ARN}:targetgroup/rmu-test/2"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "slo.yaml"


def refused(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(Mistyped) as why:
        read_objectives(file)
    assert why.value.next
    return why.value.what.removeprefix(f"{file}, ").removeprefix(f"{file} ")


def shipped(*changes: tuple[str, str]) -> str:
    """The first objective of the shipped file, with something in it changed."""
    text = SHIPPED.read_text().split("\n---\n")[0]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_reviews_four_objectives_are_shipped() -> None:
    said = {name: (o.target, o.window) for name, o in OBJECTIVES.items()}

    assert said == {
        "availability": (0.995, 30 * DAY),
        "search": (0.95, 7 * DAY),
        "errors": (0.99, HOUR),
        "scrapes": (0.8, DAY),
    }


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("openslo/v1", "openslo/v1alpha", "line 4: apiVersion: should be 'openslo/v1'"),
        ("kind: SLO", "kind: SLI", "line 5: kind: should be 'SLO'"),
        ("name: availability", "name: Availability", "line 7: metadata.name: "),
        ("targetPercent: 99.5", "targetPercent: 100", "line 46: spec.objectives.1.targetPercent: should be less than"),
        ("targetPercent: 99.5", "op: lt", "line 46: spec.objectives.1.op: rmu does not read this key"),
        ("30d", "1M", "line 42: spec.timeWindow.1.duration: should match pattern"),
        ("isRolling: true", "isRolling: false", "line 43: spec.timeWindow.1.isRolling: should be True"),
        ("Occurrences", "Timeslices", "line 44: spec.budgetingMethod: should be 'Occurrences'"),
        ("counter: false", "counter: true", "line 22: spec.indicator.spec.ratioMetric.counter: should be False"),
        ("        bad:", "        worse:", "line 23: spec.indicator.spec.ratioMetric.worse: rmu does not read"),
        ("rmu/fast: SEV-1", "rmu/fast: SEV-9", "line 10: metadata.annotations.rmu/fast: should be 'SEV-1'"),
        ("rmu/fast: SEV-1", "rmu/quick: SEV-1", "line 10: metadata.annotations.rmu/quick: rmu does not read this key"),
        ("    rmu/runbook: host-unresponsive\n", "", "line 9: metadata.annotations.rmu/runbook: is missing"),
        ("spec:\n  description", "spec: nothing\nmore:\n  description", "line 13: spec: should be a mapping"),
        ("kind: SLO", "kind: SLO\nkind: SLO", "line 6: kind: stands here twice (first in line 5)"),
        ("kind: SLO", "kind: [SLO", "line 6: no YAML: expected ',' or ']'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_key(file: Path, old: str, new: str, says: str) -> None:
    assert says in refused(file, shipped((old, new)))


def test_an_objective_that_no_metric_can_tell_of_is_refused_by_the_metrics_name(file: Path) -> None:
    said = refused(file, shipped(("metric: ProbeLost", "metric: HappyUsers")))

    assert "nothing here counts rmu/ENV HappyUsers, so this objective cannot be met; there is ProbeFailed" in said
    assert "HTTPCode_ELB_5XX_Count is counted of balancer, not of targets" in refused(
        file, shipped(("HTTPCode_ELB_5XX_Count, of: balancer", "HTTPCode_ELB_5XX_Count, of: targets"))
    )


def test_two_objectives_of_one_name_an_empty_file_and_no_file_are_refused(file: Path) -> None:
    assert "two objectives availability" in refused(file, shipped() + "\n---\n" + shipped())
    assert "holds no objective" in refused(file, "# nothing\n")
    with pytest.raises(Mistyped, match="cannot be read"):
        read_objectives(file.parent / "none.yaml")


def test_an_alias_is_refused_before_it_is_followed(file: Path) -> None:
    assert "(an alias)" in refused(file, "a: &a [1]\nb: *a\n")
    assert "(an alias)" in refused(file, "&a [*a]\n")


# -- the alarms --------------------------------------------------------------------------------------------------------


def test_thirty_days_get_the_workbooks_windows() -> None:
    assert [(t.burn, t.long, t.short) for t in tiers(OBJECTIVES["availability"])] == [
        (14.4, HOUR, 5 * MINUTE),
        (6, 6 * HOUR, 30 * MINUTE),
        (3, DAY, 2 * HOUR),
        (1, 3 * DAY, 6 * HOUR),
    ]


def test_a_week_gets_them_scaled_and_hours_get_windows_that_metrics_can_tell() -> None:
    week, hour = tiers(OBJECTIVES["search"]), tiers(OBJECTIVES["errors"])

    assert [(t.burn, t.long / MINUTE, t.short / MINUTE) for t in week] == [
        (14.4, 14, 2), (6, 84, 7), (3, 336, 28), (1, 1008, 84),
    ]  # fmt: skip
    assert [(t.burn, t.long / MINUTE, t.short / MINUTE) for t in hour] == [(3, 5, 1), (1, 60, 5)]


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_tier_can_be_reached_by_failing_alone(name: str) -> None:
    assert all(t.burn * OBJECTIVES[name].budget < 1 for t in tiers(OBJECTIVES[name]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"window": timedelta(minutes=30)}, "shorter than an hour"),
        ({"window": timedelta(days=90)}, "longer than CloudWatch's week"),
        ({"target": 0.6}, "even a total failure burns its budget only 2.5x"),
    ],
)
def test_an_objective_that_no_alarm_can_watch_is_refused_by_name(change: dict[str, object], says: str) -> None:
    objective = OBJECTIVES["availability"].model_copy(update=change)

    with pytest.raises(Mistyped, match="objective availability") as why:
        tiers(objective)

    assert says in why.value.what


def test_compiled_alarms_keep_cloudwatchs_limits() -> None:
    alarms = compiled(OBJECTIVES.values())

    for window in alarms["windows"].values():
        metrics = [q for q in window["queries"] if "metric" in q]
        assert len(metrics) <= 10 and len(window["queries"]) <= 20
        assert window["period"] % 60 == 0 and window["period"] <= 7 * 86400
        assert sum(q.get("returns", False) for q in window["queries"]) == 1
    named = {name for a in alarms["alarms"].values() for pair in a["any_of"] for name in pair}
    assert named == set(alarms["windows"])


def test_a_window_counts_the_least_events_only_where_it_is_long() -> None:
    windows = compiled([OBJECTIVES["availability"]])["windows"]

    asked = {name: windows[name]["queries"][-1]["expression"] for name in windows}

    assert asked["slo-availability-14.4x-1h"] == "IF(bad >= 5 AND bad > 0.072 * total, 1, 0)"
    assert asked["slo-availability-14.4x-5min"] == "IF(bad >= 1 AND bad > 0.072 * total, 1, 0)"


def test_only_what_pages_goes_to_the_critical_topic() -> None:
    alarms = compiled(OBJECTIVES.values())["alarms"]

    assert {name for name, a in alarms.items() if a["topic"] == "critical"} == {"slo-availability-fast"}
    assert all((a["severity"] == "SEV-1") == (a["topic"] == "critical") for a in alarms.values())


def test_the_local_aws_gets_short_periods_that_cloudwatch_knows() -> None:
    periods = {w["period"] for w in compiled(OBJECTIVES.values(), speed=60)["windows"].values()}

    assert all(p in (10, 20, 30) or p % 60 == 0 for p in periods)
    assert min(periods) == 10 and max(periods) == 72 * 60


@pytest.mark.parametrize("name", ["production", "staging", "twin"])
def test_the_committed_alarms_are_what_the_objectives_compile_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMU_CONFIG", str(CHECKOUT / "rmu.toml"))
    settings = load(name)

    fresh = as_tfvars(compiled(OBJECTIVES.values(), speed=settings.env.slo_speed))

    assert settings.slo_tfvars is not None
    assert settings.slo_tfvars.read_text() == fresh, f"rmu slo compile --env {name}"


def test_an_alarm_that_would_lead_to_no_runbook_is_not_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = OBJECTIVES["errors"].model_copy(update={"runbook": "no-such"})
    monkeypatch.setattr(budgets, "_read_once", lambda path: (lost,))

    with pytest.raises(Mistyped, match="objective errors names runbook no-such"):
        typed(FakeWorld(), "compile_alarms", {"tfvars": str(tmp_path / "some.tfvars")})


def test_every_metric_of_log_lines_that_may_be_counted_is_read_out_of_lines() -> None:
    filters = (CHECKOUT / "terraform" / "modules" / "logs" / "main.tf").read_text()

    made = set(re.findall(r'metric = "(\w+)"', filters))

    assert {metric for namespace, metric in COUNTED if not namespace} <= made


def test_compiling_writes_once_and_says_where_it_cannot(tmp_path: Path) -> None:
    where = {"tfvars": str(tmp_path / "some.tfvars")}
    first, second = (typed(FakeWorld(), "compile_alarms", where)[1].document for _ in range(2))

    assert first is not None and second is not None
    assert (first["changed"], second["changed"]) == (True, False)
    assert (tmp_path / "some.slo.tfvars.json").read_text() == as_tfvars(compiled(OBJECTIVES.values()))
    with pytest.raises(Mistyped, match="names no tfvars"):
        typed(FakeWorld(), "compile_alarms")
    with pytest.raises(Mistyped, match="there is no folder"):
        typed(FakeWorld(), "compile_alarms", {"tfvars": str(tmp_path / "none" / "some.tfvars")})
    (tmp_path / "other.slo.tfvars.json").mkdir()
    with pytest.raises(Mistyped, match="cannot be written: Is a directory"):
        typed(FakeWorld(), "compile_alarms", {"tfvars": str(tmp_path / "other.tfvars")})


def test_a_page_of_budgets_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")

    with pytest.raises(Mistyped, match="cannot be written") as why:
        typed(FakeWorld(), "show_budgets", html=tmp_path / "taken" / "slo.html")

    assert why.value.next.startswith("--html")


# -- the budgets -------------------------------------------------------------------------------------------------------


def count(w: FakeWorld, good: int, bad: int, *, ago: timedelta = MINUTE) -> None:
    """Let requests have been counted at a moment."""
    at = w.clock.now() - ago
    if good + bad:
        w.meters.measure(ELB, "RequestCount", good + bad, at=at, **BALANCER)
    if bad:
        w.meters.measure(ELB, "HTTPCode_Target_5XX_Count", bad, at=at, **BALANCER)


def counted_for_long(w: FakeWorld) -> FakeWorld:
    """Let this be no young environment: something was counted when the longest window began."""
    count(w, 1, 0, ago=30 * DAY)
    return w


def look(w: FakeWorld, name: str = "availability") -> Budget:
    return report_budgets(w.outside().metrics, SCOPE, [OBJECTIVES[name]], w.clock.now())[0]


def test_a_budget_is_what_may_be_bad_less_what_was() -> None:
    w = counted_for_long(FakeWorld())
    count(w, 99_899, 100, ago=10 * DAY)

    seen = look(w)

    assert (seen.verdict, seen.total, seen.bad, seen.since) == ("kept", 100_000, 100, None)
    assert seen.left == pytest.approx(0.8) and seen.good_ratio == pytest.approx(0.999)
    assert seen.burn is None and seen.runs_out is None


def test_what_is_older_than_the_window_is_forgiven() -> None:
    w = FakeWorld()
    count(w, 0, 500, ago=31 * DAY)
    count(w, 1000, 0)

    assert look(w).left == 1


def test_a_budget_that_is_gone_says_so_and_says_how_much_is_overdrawn() -> None:
    w = counted_for_long(FakeWorld())
    count(w, 999, 0, ago=10 * DAY)
    count(w, 990, 10, ago=2 * DAY)

    seen = look(w)

    assert seen.verdict == "gone" and seen.left == pytest.approx(0, abs=0.01)
    assert gone(w.outside().metrics, SCOPE, [OBJECTIVES["availability"]], w.clock.now()) == ("availability",)


def test_a_fast_burn_is_told_with_when_the_budget_would_be_gone() -> None:
    w = FakeWorld()
    count(w, 1_000_000, 0, ago=10 * DAY)
    for minutes in range(1, 30):
        count(w, 80, 20, ago=minutes * MINUTE)

    seen = look(w)

    assert seen.verdict == "burning" and seen.burns[0].too_fast
    assert seen.burn == pytest.approx(0.2 / 0.005) and seen.burn_over == "1h"
    assert seen.runs_out is not None and seen.left is not None
    assert seen.runs_out - w.clock.now() == pytest.approx(30 * DAY * seen.left / 40, abs=MINUTE)


def test_four_bad_requests_at_night_alarm_nobody() -> None:
    w = FakeWorld()
    count(w, 100_000, 0, ago=10 * DAY)
    count(w, 0, 4)

    seen = look(w)

    assert seen.verdict == "kept" and seen.burn is not None and seen.burn > 14.4


def test_a_probe_that_got_nowhere_counts_although_no_request_was_seen() -> None:
    w = FakeWorld()
    w.meters.measure("rmu/test", "ProbeLost", 1, at=w.clock.now() - MINUTE)

    seen = look(w)

    assert (seen.total, seen.bad) == (1, 1)


def test_a_budget_overdrawn_by_a_handful_is_not_called_gone() -> None:
    w = counted_for_long(FakeWorld())
    count(w, 107, 2)

    seen = look(w)

    assert seen.left is not None and seen.left < 0
    assert (seen.verdict, seen.why) == ("unknown", "2 bad ones are too few to tell")
    assert gone(w.outside().metrics, SCOPE, [OBJECTIVES["availability"]], w.clock.now()) == ()


def test_a_young_environment_has_not_spent_a_month_in_its_first_hours() -> None:
    w = FakeWorld()
    count(w, 180, 0, ago=8 * HOUR)
    count(w, 14, 6, ago=7 * HOUR)

    early = look(w)

    assert early.left == pytest.approx(1 - 6 / (0.005 * 200 * 30 * DAY / (8 * HOUR)))
    assert (early.verdict, early.why) == ("unknown", "too early to tell: 8h of 30d")
    assert gone(w.outside().metrics, SCOPE, [OBJECTIVES["availability"]], w.clock.now()) == ()

    count(w, 5000, 0)
    later = look(w)

    assert later.verdict == "kept" and later.since == w.clock.now() - 8 * HOUR
    assert spent_between(
        w.outside().metrics, SCOPE, [OBJECTIVES["availability"]], start=w.clock.now() - 7 * HOUR, end=w.clock.now()
    )[0].share == pytest.approx(1 - (later.left or 0))


def test_a_young_environment_that_answers_nobody_loses_its_budget_as_fast_as_an_old_one() -> None:
    w = FakeWorld()
    for minutes in range(1, 4 * 60 + 1):
        count(w, 0, 10, ago=minutes * MINUTE)

    seen = look(w)

    assert seen.verdict == "gone" and seen.left == pytest.approx(1 - 4 / 3.6)
    assert gone(w.outside().metrics, SCOPE, [OBJECTIVES["availability"]], w.clock.now()) == ("availability",)


def test_what_was_counted_before_the_window_makes_an_environment_old() -> None:
    w = FakeWorld()
    count(w, 1, 0, ago=40 * DAY)
    count(w, 1000, 10)

    seen = look(w)

    assert seen.since is None and seen.verdict == "gone"


def test_before_terraform_made_a_balancer_its_objectives_are_unknown_and_the_others_are_not() -> None:
    w = FakeWorld()
    w.meters.measure("rmu/test", "Scrapes", 10, at=w.clock.now() - MINUTE)

    seen = report_budgets(w.outside().metrics, Scope(environment="test"), list(OBJECTIVES.values()), w.clock.now())

    said = {b.name: (b.verdict, b.why) for b in seen}
    assert said["availability"] == ("unknown", "Terraform has written down no balancer yet")
    assert said["scrapes"] == ("kept", "")


def test_where_nothing_was_counted_or_nothing_answers_there_is_no_verdict() -> None:
    w = FakeWorld()
    silent = look(w)
    w.fail("metrics.data", Unreachable("cloudwatch does not answer", next=""))
    unread = look(w)

    assert (silent.verdict, silent.why) == ("unknown", "nothing was counted in 30d")
    assert (unread.verdict, unread.why) == ("unknown", "cloudwatch does not answer")


def test_an_incident_is_told_what_it_cost() -> None:
    w = counted_for_long(FakeWorld())
    count(w, 99_999, 0, ago=10 * DAY)
    count(w, 0, 100, ago=30 * MINUTE)
    now = w.clock.now()

    (spent,) = spent_between(w.outside().metrics, SCOPE, [OBJECTIVES["availability"]], start=now - HOUR, end=now)

    assert (spent.bad, spent.total) == (100, 100) and spent.share == pytest.approx(100 / (0.005 * 100_100))


def test_the_scope_is_read_off_terraforms_arns() -> None:

    assert Scope.of_places("test", PLACES) == SCOPE


def test_a_good_count_is_as_well_as_a_bad_one() -> None:
    told = OBJECTIVES["search"]
    turned: Objective = told.model_copy(update={"good": told.bad, "bad": ()})
    w = FakeWorld()
    w.meters.measure("rmu/test", "Searches", 10, at=w.clock.now() - MINUTE)
    w.meters.measure("rmu/test", "SearchesSlow", 8, at=w.clock.now() - MINUTE)

    (seen,) = report_budgets(w.outside().metrics, SCOPE, [turned], w.clock.now())

    assert seen.bad == 2
    assert compiled([turned])["windows"]["slo-search-1x-1.4h"]["queries"][-2]["expression"] == "SUM([m1, less])"


def test_no_window_bets_on_what_cloudwatch_makes_of_a_metric_that_was_never_there() -> None:
    windows = compiled(OBJECTIVES.values())["windows"]
    asked = {q["id"]: q["expression"] for q in windows["slo-errors-3x-5min"]["queries"] if "expression" in q}

    assert asked == {
        "total": "SUM([m1, m2])",
        "bad": "SUM([m3, m2])",
        "burning": "IF(bad >= 5 AND bad > 0.03 * total, 1, 0)",
    }
    assert all("FILL" not in q.get("expression", "") for w in windows.values() for q in w["queries"])


def test_a_window_whose_good_events_never_were_still_counts_the_bad_ones() -> None:
    told = OBJECTIVES["scrapes"]
    turned: Objective = told.model_copy(update={"good": told.bad, "bad": ()})
    queries = next(iter(compiled([turned])["windows"].values()))["queries"]
    values: dict[str, dict[int, float]] = {
        q["id"]: {60: 8.0} if q["metric"] == "Scrapes" else {} for q in queries if "metric" in q
    }
    metrics = list(values)

    for query in queries:
        if "expression" in query:
            values[query["id"]] = evaluate(query["expression"], Given(values, metrics, (60,), 60))

    assert values["burning"] == {60: 1.0}


# -- what is shown, and what a deploy makes of it ----------------------------------------------------------------------


def spent_world() -> FakeWorld:
    """A world whose v1 serves, and whose availability budget is gone."""
    w = counted_for_long(FakeWorld())
    w.places |= PLACES
    w.push("v1")
    w.push("v2")
    w.live("v1")
    count(w, 900, 100, ago=5 * DAY)
    return w


def typed(
    w: FakeWorld, command: str, env: dict[str, object] | None = None, **more: object
) -> tuple[object, QuietScreen]:
    """Type `rmu slo COMMAND`, or let a deploy look at budgets, with the settings changed so."""
    screen = QuietScreen()
    settings = SETTINGS.model_copy(update={"env": SETTINGS.env.model_copy(update=env or {})})
    wired = Wired(outside=w.outside(), settings=settings, screen=cast(Screen, screen), who="ann@laptop")
    return getattr(budgets, command)(wired, **more), screen


def test_a_gone_budget_is_shown_first_and_makes_check_exit_with_3() -> None:
    w = spent_world()

    code, checked = typed(w, "check_budgets")
    _, shown = typed(w, "show_budgets", html=None)

    assert code == 3 and checked.document is not None and checked.document["gone"] == ["availability"]
    assert shown.said[0].startswith("[bold]availability[/]") and "[red]gone[/]" in shown.said[0]
    assert "overdrawn by 1898 %" in shown.said[1] and "nothing is left" in shown.said[2]


def test_unknown_budgets_are_named_and_forgiven() -> None:
    code, said = typed(FakeWorld(), "check_budgets")

    assert code == 0 and "scrapes: unknown, nothing was counted in 1d" in said.said


def test_every_line_for_a_terminal_fits_80_columns() -> None:
    w = spent_world()
    for name in ("Searches", "SearchesSlow"):
        w.meters.measure("rmu/test", name, 1_234_567, at=w.clock.now() - HOUR)
    w.meters.measure("rmu/test", "Scrapes", 123, at=w.clock.now() - 23 * HOUR)
    w.meters.measure("rmu/test", "ScrapesFailed", 62, at=w.clock.now() - 90 * MINUTE)

    _, shown = typed(w, "show_budgets", html=None)

    assert max(len(re.sub(r"\[[^]]*\]", "", line)) for line in shown.said) <= 80


def test_the_page_draws_every_budget_and_says_where_there_is_no_verdict(tmp_path: Path) -> None:
    typed(spent_world(), "show_budgets", html=tmp_path / "slo.html")

    page = (tmp_path / "slo.html").read_text()

    assert "Objectives of test: 1 gone, 3 unknown" in page
    assert page.count("<svg") == 2 and page.count("No verdict: nothing was counted") == 3


def test_a_curve_far_below_nothing_is_cut_where_it_can_still_be_read() -> None:
    w = counted_for_long(FakeWorld())
    count(w, 190, 60)

    drawn = picture(look(w), OBJECTIVES["availability"], w.clock.now())

    assert drawn["now"] == 1 and drawn["zero"] == 0.5
    assert [level["label"] for level in drawn["levels"]] == ["100%", "0%", "-100%"]
    assert percent(46.809) == "4681 %" and percent(0.99999) == "99.999 %" and percent(0.5) == "50.0 %"


def test_a_deploy_warns_of_a_gone_budget_and_goes_on() -> None:
    w = spent_world()

    ended = Operator(w).deploy("v2")

    assert ended.code == 0
    assert "nothing is left of the budget of availability   (rmu slo show)" in ended.screen.said


def test_a_deploy_is_refused_where_settings_say_so_and_a_rollback_never(monkeypatch: pytest.MonkeyPatch) -> None:
    w = spent_world()
    w.beside("v2", running=True)
    strict = SETTINGS.model_copy(update={"env": SETTINGS.env.model_copy(update={"slo": "refuse"})})
    monkeypatch.setattr("tests.fakes.operator.SETTINGS", strict)

    refused, same = Operator(w).deploy("v2"), Operator(w).deploy("v1")
    back = Operator(w).rollback("v2")

    assert refused.code == 3 and "settings let no deploy spend more" in refused.why
    assert same.code == 0 and back.code == 0


def test_a_deploy_under_refuse_goes_on_where_budgets_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    w = spent_world()
    strict = SETTINGS.model_copy(update={"env": SETTINGS.env.model_copy(update={"slo": "refuse"})})
    monkeypatch.setattr("tests.fakes.operator.SETTINGS", strict)
    w.fail("metrics.data", Unreachable("cloudwatch does not answer", next=""))

    ended = Operator(w).deploy("v2")

    assert ended.code == 0
    assert "what is left of budgets is unknown: cloudwatch does not answer" in ended.screen.said
