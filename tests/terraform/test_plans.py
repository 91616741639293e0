"""What production would be, read from Terraform's own plan of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.outside.terraform import Terraform
from tests.terraform.conftest import EDGE_SECRET, PASSWORD, ROOT, SOURCES, VARIABLES, Cloud, last_plan, nobody_listens

Resource = dict[str, Any]
Planned = Callable[[str], list[Resource]]


@pytest.fixture(scope="module")
def production_tfvars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Production's values with an image pinned, as they are once an account exists, and copies in another region."""
    text = (SOURCES / "env/production.tfvars").read_text()
    pinned = tmp_path_factory.mktemp("env") / "production.tfvars"
    copies = 'copies = { region = "ap-southeast-4" }\n'
    pinned.write_text(text.replace('ami_id = ""', 'ami_id = "ami-12c6146b"') + copies)
    return pinned


@pytest.fixture(scope="module")
def production(cloud: Cloud, work: Path, production_tfvars: Path) -> Terraform:
    terraform = cloud.terraform("production", work, tfvars=production_tfvars)
    terraform.apply("bootstrap", {"environment": "production", **VARIABLES}, nobody_listens)
    cloud.make_secrets("production")
    return terraform


@pytest.fixture(scope="module")
def plan(production: Terraform, work: Path) -> dict[str, Any]:
    production.plan("stack", {"environment": "production", **VARIABLES})
    return last_plan(work / "production")


@pytest.fixture(scope="module")
def planned(plan: dict[str, Any]) -> Planned:
    def of(kind: str) -> list[Resource]:
        found = [c["change"]["after"] for c in plan["resource_changes"] if c["type"] == kind and c["mode"] == "managed"]
        assert found, f"no {kind} is planned"
        return found

    return of


def test_an_image_that_nobody_pinned_is_refused_with_the_command_that_finds_one(
    cloud: Cloud, production: Terraform, work: Path
) -> None:
    as_shipped = cloud.terraform("production", work, tfvars=SOURCES / "env/production.tfvars")

    with pytest.raises(Refused, match="aws ec2 describe-images --owners 136693071363"):
        as_shipped.plan("stack", {"environment": "production", **VARIABLES})


def test_the_master_password_is_in_no_plan(plan: dict[str, Any], planned: Planned) -> None:
    assert planned("aws_db_instance")[0]["password_wo_version"] == 1
    assert PASSWORD not in json.dumps(plan)
    assert EDGE_SECRET in json.dumps(plan)  # so the search would have found it: this one cannot be kept out


def test_the_database_can_be_restored_and_not_be_lost(planned: Planned) -> None:
    database = planned("aws_db_instance")[0]

    assert database["identifier"] == "rmu-production-db-1"
    assert database["engine_version"] == "17"
    assert database["backup_retention_period"] == 7
    assert database["deletion_protection"] is True
    assert (database["skip_final_snapshot"], database["final_snapshot_identifier"]) == (
        False,
        "rmu-production-db-1-final",
    )
    assert database["delete_automated_backups"] is False
    assert database["publicly_accessible"] is False
    assert database["storage_encrypted"] is True
    assert set(database["enabled_cloudwatch_logs_exports"]) == {"postgresql", "upgrade"}


def test_the_two_windows_of_the_database_do_not_meet(planned: Planned) -> None:
    database = planned("aws_db_instance")[0]
    backup = database["backup_window"].split("-")
    maintenance = re.findall(r"\d\d:\d\d", database["maintenance_window"])

    assert backup[0] < backup[1] < maintenance[0] < maintenance[1]


def test_the_database_forces_tls_and_dates_every_row(planned: Planned) -> None:
    parameters = {p["name"]: (p["value"], p["apply_method"]) for p in planned("aws_db_parameter_group")[0]["parameter"]}

    assert parameters["rds.force_ssl"][0] == "1"
    assert parameters["track_commit_timestamp"] == ("1", "pending-reboot")


def test_nothing_is_open_to_the_world_inwards(planned: Planned) -> None:
    for rule in planned("aws_vpc_security_group_ingress_rule"):
        assert rule["cidr_ipv4"] is None and rule["cidr_ipv6"] is None, rule
    entries = [e["cidr"] for e in planned("aws_ec2_managed_prefix_list")[0]["entry"]]
    assert len(entries) == 15
    assert all(int(cidr.split("/")[1]) >= 12 for cidr in entries)


def test_hosts_admit_the_balancer_and_for_ssh_the_endpoint_alone(plan: dict[str, Any], planned: Planned) -> None:
    ingress = {
        c["address"]: c["change"]["after"] for c in plan["resource_changes"] if c["type"].endswith("ingress_rule")
    }

    hosts = ingress.pop("module.web.aws_vpc_security_group_ingress_rule.host_from_balancer")
    assert (hosts["from_port"], hosts["to_port"]) == (8080, 8080)
    assert {(r["from_port"], a.split(".")[1]) for a, r in ingress.items()} == {
        (5432, "database"),
        (80, "edge"),
        (5432, "drill"),
        (22, "rescue"),
    }


def test_a_drill_is_reached_by_nobody_and_reaches_nothing_that_serves(plan: dict[str, Any]) -> None:
    """Who is admitted by whom, as the expressions say it: ids are not known before the apply."""
    modules = plan["configuration"]["root_module"]["module_calls"]
    admitted = {
        (name, resource["name"], tuple(sorted(resource["expressions"]["referenced_security_group_id"]["references"])))
        for name, call in modules.items()
        for resource in call["module"]["resources"]
        if resource["type"] == "aws_vpc_security_group_ingress_rule"
        and "referenced_security_group_id" in resource["expressions"]
    }

    of_a_drill = {(module, name) for module, name, groups in admitted if module == "drill"}
    assert of_a_drill == {("drill", "database_from_host")}
    assert next(tuple(sorted(groups)) for module, name, groups in admitted if module == "drill") == (
        "aws_security_group.host",
        "aws_security_group.host.id",
    )
    for module, name, groups in admitted:
        assert module == "drill" or not any("drill" in group for group in groups), name


def test_a_drills_host_goes_out_for_aws_and_to_its_own_database_only(plan: dict[str, Any]) -> None:
    rules = [
        c["change"]["after"]
        for c in plan["resource_changes"]
        if c["type"] == "aws_vpc_security_group_egress_rule" and c["address"].startswith("module.drill.")
    ]

    assert {(r["from_port"], r["cidr_ipv4"]) for r in rules} == {(80, "0.0.0.0/0"), (443, "0.0.0.0/0"), (5432, None)}


def test_somebody_is_reminded_after_a_quarter_without_a_drill(planned: Planned) -> None:
    reminder = planned("aws_scheduler_schedule")[0]

    assert (reminder["name"], reminder["schedule_expression"]) == ("rmu-production-drill", "rate(7 days)")
    assert "91 days" in reminder["target"][0]["input"]
    assert "rmu dr drill --env production" in reminder["target"][0]["input"]


def test_a_lost_region_leaves_backups_and_images_in_another(planned: Planned) -> None:
    copy = planned("aws_dlm_lifecycle_policy")[0]["policy_details"][0]["schedule"][0]["cross_region_copy_rule"][0]
    images = planned("aws_ecr_replication_configuration")[0]["replication_configuration"][0]["rule"][0]

    assert (copy["target"], copy["encrypted"]) == ("ap-southeast-4", True)
    assert planned("aws_db_instance_automated_backups_replication")[0]["retention_period"] == 7
    assert images["destination"][0]["region"] == "ap-southeast-4"
    assert images["repository_filter"][0]["filter"] == "rmu-production/"


def test_containers_cannot_reach_the_hosts_credentials_by_distance(planned: Planned) -> None:
    metadata = planned("aws_launch_template")[0]["metadata_options"][0]

    assert metadata["http_tokens"] == "required"
    assert metadata["http_put_response_hop_limit"] == 1


def test_a_busy_host_is_slowed_not_billed(planned: Planned) -> None:
    assert planned("aws_launch_template")[0]["credit_specification"] == [{"cpu_credits": "standard"}]


def test_everything_born_of_the_template_carries_the_hosts_tags(planned: Planned) -> None:
    expected = {
        "Name": "rmu-production-host",
        "rmu:env": "production",
        "rmu:role": "host",
        "rmu:managed-by": "terraform",
    }
    specifications = {s["resource_type"]: s["tags"] for s in planned("aws_launch_template")[0]["tag_specifications"]}
    tags = planned("aws_autoscaling_group")[0]["tag"]

    assert specifications == dict.fromkeys(("instance", "network-interface", "volume"), expected)
    assert all(t["propagate_at_launch"] for t in tags)
    assert {t["key"]: t["value"] for t in tags} == expected


def test_the_group_holds_one_host_and_throws_away_one_that_does_not_boot(planned: Planned) -> None:
    group = planned("aws_autoscaling_group")[0]

    assert (group["name"], group["min_size"], group["max_size"]) == ("rmu-production-hosts", 1, 1)
    assert (group["health_check_type"], group["health_check_grace_period"]) == ("ELB", 300)
    assert not group["force_delete"]
    hook = group["initial_lifecycle_hook"][0]
    assert (hook["name"], hook["heartbeat_timeout"], hook["default_result"]) == ("rmu-production-boot", 900, "ABANDON")


def test_f39_the_balancer_asks_haproxy_how_it_is_and_nobody_else(planned: Planned) -> None:
    group = planned("aws_lb_target_group")[0]
    check = group["health_check"][0]

    assert (group["port"], check["path"], check["port"]) == (8080, "/rmu-health", "traffic-port")
    assert (check["interval"], check["healthy_threshold"], check["unhealthy_threshold"]) == (5, 2, 2)
    assert int(group["deregistration_delay"]) == 30


def test_the_front_door_is_shut_without_the_edges_header(planned: Planned) -> None:
    assert planned("aws_lb_listener")[0]["default_action"][0]["fixed_response"][0]["status_code"] == "403"
    condition = planned("aws_lb_listener_rule")[0]["condition"][0]["http_header"][0]
    assert condition["http_header_name"] == "X-Rmu-Edge"


def test_f30_no_lifecycle_rule_can_expire_what_is_kept(planned: Planned) -> None:
    rules = json.loads(planned("aws_ecr_lifecycle_policy")[0]["policy"])["rules"]
    first, *rest = sorted(rules, key=lambda rule: rule["rulePriority"])

    assert first["selection"]["tagPrefixList"] == ["keep-"]
    assert first["selection"]["countType"] == "imageCountMoreThan"
    assert first["selection"]["countNumber"] >= 100_000  # more than a repository may hold
    assert all(rule["rulePriority"] > first["rulePriority"] for rule in rest)
    assert planned("aws_ecr_repository")[0]["image_tag_mutability"] == "IMMUTABLE"
    assert planned("aws_ecr_repository")[0]["force_delete"] is False


Spoken = tuple[list[int], int, str, str, str]
PERIODS: dict[str, Spoken] = {  # points, seconds between them, missing data, topic, severity
    "backups-late": ([26, 26], 3600, "notBreaching", "alerts", "SEV-2"),
    "certificate-expiring": ([1, 1], 3600, "ignore", "alerts", "SEV-2"),
    "connections-high": ([2, 3], 60, "notBreaching", "alerts", "SEV-2"),
    "cpu-high": ([2, 2], 300, "missing", "alerts", "SEV-3"),
    "cpu-throttled": ([2, 3], 300, "notBreaching", "alerts", "SEV-3"),
    "database-cpu-high": ([2, 2], 300, "missing", "alerts", "SEV-3"),
    "database-silent": ([2, 2], 120, "breaching", "critical", "SEV-1"),
    "database-storage-low": ([1, 1], 300, "ignore", "critical", "SEV-1"),
    "disk-full": ([2, 2], 300, "missing", "alerts", "SEV-2"),
    "errors-at-the-balancer": ([2, 3], 60, "notBreaching", "critical", "SEV-1"),
    "errors-of-the-app": ([2, 3], 60, "notBreaching", "alerts", "SEV-2"),
    "hosts-silent": ([2, 2], 120, "breaching", "critical", "SEV-1"),
    "latency-high": ([2, 3], 60, "notBreaching", "alerts", "SEV-2"),
    "memory-high": ([2, 2], 300, "missing", "alerts", "SEV-2"),
    "no-healthy-host": ([2, 3], 60, "breaching", "critical", "SEV-1"),
    "probe-failing": ([2, 3], 60, "notBreaching", "critical", "SEV-1"),
    "probe-silent": ([3, 3], 120, "breaching", "alerts", "SEV-2"),
    "queue-stalled": ([2, 2], 300, "notBreaching", "alerts", "SEV-2"),
    "status-check-failed": ([2, 2], 60, "ignore", "critical", "SEV-1"),
    "worker-idle": ([6, 6], 300, "notBreaching", "alerts", "SEV-3"),
}
SAID = re.compile(r"(.+)\. severity: (SEV-[123])\. next: rmu runbook run ([a-z-]+) --env production")
SILENCE = {"alarm": "breaching", "fine": "notBreaching", "unknown": "missing", "as it was": "ignore"}


def period_of(alarm: Resource) -> int:
    """Tell the seconds between an alarm's points; the metrics of an expression share theirs."""
    inside = {m["period"] for query in alarm["metric_query"] or [] for m in query["metric"]}
    assert len(inside) <= 1
    return int(alarm["period"] or inside.pop())


def metrics_of(alarm: Resource) -> list[tuple[str, str]]:
    """Tell the namespaces and names of what an alarm looks at."""
    inside = [(m["namespace"], m["metric_name"]) for query in alarm["metric_query"] or [] for m in query["metric"]]
    return inside or [(alarm["namespace"], alarm["metric_name"])]


@pytest.fixture(scope="module")
def whole(cloud: Cloud, production: Terraform, work: Path, production_tfvars: Path) -> Planned:
    """Production with all that is optional: a certificate, Slack, objectives."""
    text = production_tfvars.read_text().replace('certificate_arn = ""', f'certificate_arn = "{CERTIFICATE}"')
    slack = 'emails = ["a@example.org"]\n  slack_webhook = "/rmu/production/slack/webhook"'
    values = production_tfvars.with_name("whole.tfvars")
    values.write_text(text.replace("emails = []", slack) + SLO_ALARMS)
    cloud.account.act(
        "ssm",
        "PutParameter",
        Name="/rmu/production/slack/webhook",
        Value=WEBHOOK,
        Type="SecureString",
        Overwrite=True,
    )
    terraform = cloud.terraform("production", work, tfvars=values)
    terraform.plan("stack", {"environment": "production", **VARIABLES})
    plan = last_plan(work / "production")
    return lambda kind: [c["change"]["after"] for c in plan["resource_changes"] if c["type"] == kind]


CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/7e7a28d2-163f-4b8f-b9cd-822f96c08d6a"
WEBHOOK = "https://hooks.slack.example/services/T0/B0/secret"
SLO_ALARMS = """
slo_alarms = {
  windows = {
    slo-searches-14x-1h = {
      says    = "Searches burn 14 times their budget, over an hour"
      period  = 3600
      queries = [
        { id = "bad", metric = "SearchesSlow" },
        { id = "all", metric = "RequestCount", namespace = "AWS/ApplicationELB", of = "balancer" },
        { id = "burn", expression = "IF(all > 20, bad / all > 0.07, 0)", returns = true },
      ]
    }
    slo-searches-14x-5m = {
      says    = "Searches burn 14 times their budget, over five minutes"
      period  = 300
      queries = [{ id = "bad", metric = "SearchesSlow" }, { id = "burn", expression = "bad > 3", returns = true }]
    }
  }
  alarms = {
    slo-searches-fast = {
      says     = "Searches are slow"
      severity = "SEV-1"
      runbook  = "host-unresponsive"
      topic    = "critical"
      any_of   = [["slo-searches-14x-1h", "slo-searches-14x-5m"]]
    }
  }
}
"""


def loud(planned: Planned) -> dict[str, Resource]:
    """Find the alarms that tell somebody, by name; a window of an objective tells nobody."""
    named = {a["alarm_name"].removeprefix("rmu-production-"): a for a in planned("aws_cloudwatch_metric_alarm")}
    return {name: alarm for name, alarm in named.items() if not name.startswith("slo-")}


def test_alarms_keep_productions_periods_and_speak_to_somebody(whole: Planned) -> None:
    spoken: dict[str, Spoken] = {}
    for name, alarm in loud(whole).items():
        said = SAID.fullmatch(alarm["alarm_description"])
        assert said, alarm["alarm_description"]
        points = [alarm["datapoints_to_alarm"], alarm["evaluation_periods"]]
        topic = "critical" if said[2] == "SEV-1" else "alerts"
        spoken[name] = (points, period_of(alarm), alarm["treat_missing_data"], topic, said[2])

    assert spoken == PERIODS


def test_no_page_tells_good_news_because_numbers_came_back(whole: Planned) -> None:
    """From INSUFFICIENT_DATA to OK is told to the topic as well, and `critical` wakes."""
    pages = {name: alarm["treat_missing_data"] for name, alarm in loud(whole).items() if PERIODS[name][4] == "SEV-1"}

    assert pages and "missing" not in pages.values(), pages


@pytest.mark.parametrize(
    ("size", "many"), [("db.t3.micro", 60), ("db.t4g.small", 140), ("db.m5.large", 621), ("db.r6g.2xlarge", 3750)]
)
def test_sessions_are_many_at_three_quarters_of_what_the_class_takes(size: str, many: int, tmp_path: Path) -> None:
    shutil.copy(SOURCES / "modules/watch/sessions.tf", tmp_path)
    given = 'variable "alarms" {\n  default = { connections = null }\n}\nvariable "database_class" {}\n'
    (tmp_path / "variables.tf").write_text(given)

    argv = ["terraform", "console", "-var", f"database_class={size}"]
    answer = subprocess.run(argv, input="local._many", capture_output=True, text=True, check=True, cwd=tmp_path)

    assert int(answer.stdout) == many


@pytest.mark.parametrize(
    ("size", "baseline"), [("t3.micro", 10), ("t3.small", 20), ("t4g.large", 30), ("t3a.xlarge", 40), ("m5.large", 100)]
)
def test_a_throttled_host_is_held_at_its_types_baseline(size: str, baseline: int, tmp_path: Path) -> None:
    shutil.copy(SOURCES / "modules/watch/credits.tf", tmp_path)
    (tmp_path / "variables.tf").write_text('variable "instance_type" {}\n')

    argv = ["terraform", "console", "-var", f"instance_type={size}"]
    answer = subprocess.run(argv, input="local._baseline", capture_output=True, text=True, check=True, cwd=tmp_path)

    assert int(answer.stdout) == baseline


def test_a_handful_of_requests_a_minute_is_too_few_to_call_answers_slow(planned: Planned) -> None:
    queries = {q["id"]: q for q in loud(planned)["latency-high"]["metric_query"]}

    assert queries["e"]["expression"] == "IF(b >= 20, a, 0)"
    assert [(m["metric_name"], m["stat"]) for id in "ab" for m in queries[id]["metric"]] == [
        ("TargetResponseTime", "p95"),
        ("RequestCount", "Sum"),
    ]


def test_a_host_without_credits_that_rests_is_not_called_throttled(planned: Planned) -> None:
    queries = {q["id"]: q for q in loud(planned)["cpu-throttled"]["metric_query"]}

    assert queries["e"]["expression"] == "IF(a < 5 AND b > 18, 1, 0)"
    assert [queries[id]["metric"][0]["metric_name"] for id in "ab"] == ["CPUCreditBalance", "CPUUtilization"]


def test_an_alarm_tells_the_topic_of_its_severity(plan: dict[str, Any]) -> None:
    """The topics' ARNs are not known before the apply: the expression says which one."""
    source = (SOURCES / "modules/watch/alarms.tf").read_text()
    topics = set(re.findall(r'severity = "(SEV-\d)".*topic = "(\w+)"', source))

    assert topics == {("SEV-1", "critical"), ("SEV-2", "alerts"), ("SEV-3", "alerts")}


def test_a_zone_without_a_host_says_nothing_of_the_one_that_has_it(planned: Planned) -> None:
    """Minimum is that of the balancer node that sees the fewest."""
    assert loud(planned)["no-healthy-host"]["statistic"] == "Maximum"


def test_without_a_certificate_none_is_watched(planned: Planned) -> None:
    assert set(PERIODS) - set(loud(planned)) == {"certificate-expiring"}


def test_hosts_are_watched_by_their_group_and_numbers_from_lines_without_dimensions(planned: Planned) -> None:
    for alarm in loud(planned).values():
        for query in [alarm, *(m for q in alarm["metric_query"] or [] for m in q["metric"])]:
            if query.get("namespace") in {"AWS/EC2", "CWAgent"}:
                assert query["dimensions"] == {"AutoScalingGroupName": "rmu-production-hosts"}
            elif query.get("namespace") == "rmu/production":
                assert not query["dimensions"]


def test_every_number_that_an_alarm_reads_out_of_lines_is_made_by_a_filter(whole: Planned) -> None:
    made = {m["name"] for f in whole("aws_cloudwatch_log_metric_filter") for m in f["metric_transformation"]}
    read = {
        name
        for alarm in whole("aws_cloudwatch_metric_alarm")
        for namespace, name in metrics_of(alarm)
        if namespace == "rmu/production"
    }

    assert read and read <= made


def test_the_page_of_alarms_says_what_terraform_says(whole: Planned) -> None:
    page = (ROOT / "docs/alarms.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page, re.M))

    assert set(rows) == set(loud(whole))
    for name, alarm in loud(whole).items():
        fires, points, silence, severity, runbook, _ = rows[name].split(" | ")
        said = SAID.fullmatch(alarm["alarm_description"])
        assert said and (severity, runbook) == (said[2], f"`{said[3]}`")
        of, among, seconds = re.fullmatch(r"(\d+) of (\d+) x (\d+) s", points).groups()  # type: ignore[union-attr]
        assert ([int(of), int(among)], int(seconds)) == PERIODS[name][:2]
        assert SILENCE[silence] == alarm["treat_missing_data"]
        sign = {"GreaterThanThreshold": ">", "LessThanThreshold": "<"}[alarm["comparison_operator"]]
        assert f" {sign} {alarm['threshold']:g}" in fires or f" {sign} {int(alarm['threshold'])}" in fires
        assert all(metric in fires for _, metric in metrics_of(alarm))


def test_groups_forget_and_are_made_for_all_that_is_logged(planned: Planned) -> None:
    groups = {g["name"]: g["retention_in_days"] for g in planned("aws_cloudwatch_log_group")}

    ours = {f"/rmu/production/{name}" for name in ("app", "events", "host", "proxy")}
    rds = {f"/aws/rds/instance/rmu-production-db-1/{name}" for name in ("postgresql", "upgrade")}
    assert set(groups) == ours | rds
    assert set(groups.values()) == {30}


def test_events_of_databases_and_hosts_may_be_written_into_their_group(planned: Planned) -> None:
    rules = {r["name"]: json.loads(r["event_pattern"]) for r in planned("aws_cloudwatch_event_rule")}

    assert rules["rmu-production-database-events"]["detail"] == {"SourceIdentifier": [{"prefix": "rmu-production-"}]}
    assert rules["rmu-production-hosts-events"]["detail"] == {"AutoScalingGroupName": ["rmu-production-hosts"]}
    assert len(planned("aws_cloudwatch_log_resource_policy")) == 1


def test_the_policy_of_the_events_group_bounds_the_writing_and_not_the_making_of_streams(plan: dict[str, Any]) -> None:
    """The plan knows no ARN yet, and so no policy: read what it is made of."""
    logs = plan["configuration"]["root_module"]["module_calls"]["logs"]["module"]["resources"]
    policy = next(r for r in logs if r["type"] == "aws_iam_policy_document")["expressions"]["statement"]

    bounded = {action: bool(s.get("condition")) for s in policy for action in s["actions"]["constant_value"]}

    assert bounded == {"logs:CreateLogStream": False, "logs:PutLogEvents": True}


def test_slack_hears_alarms_that_fire_and_clear_and_incidents_but_no_window_of_an_objective(whole: Planned) -> None:
    rules = {r["name"]: json.loads(r["event_pattern"]) for r in whole("aws_cloudwatch_event_rule")}
    slack = {name.removeprefix("rmu-production-slack-"): rule for name, rule in rules.items() if "slack" in name}
    parts = {"rmu-production-slo-searches-14x-1h", "rmu-production-slo-searches-14x-5m"}

    assert set(slack) == {"alarm-fired", "alarm-cleared", "incident"}
    assert parts < set(slack["alarm-fired"]["detail"]["alarmName"][0]["anything-but"])
    assert slack["alarm-cleared"]["detail"]["previousState"] == {"value": ["ALARM"]}
    assert slack["incident"]["detail"] == {"environment": ["production"]}
    assert all(len(json.dumps(rule)) < 2048 for rule in slack.values())
    assert whole("aws_cloudwatch_event_api_destination")[0]["invocation_endpoint"] == WEBHOOK


def test_what_slack_is_sent_is_json_whatever_the_words_are(whole: Planned) -> None:
    """EventBridge escapes nothing that a template puts inside quotes; a name of ours needs none."""
    targets = [one["input_transformer"][0] for one in whole("aws_cloudwatch_event_target") if one["input_transformer"]]
    words = 'the "front" door\n1. rmu incident ack'

    for target in targets:
        filled = target["input_template"].replace("<name>", "rmu-production-disk-full")
        for place in target["input_paths"].keys() - {"name"}:
            filled = filled.replace(f"<{place}>", json.dumps(words))
        sent = json.loads(filled)
        assert words in (sent["text"], *(one["text"] for one in sent.get("attachments", ())))

    assert len(targets) == 3


def test_without_a_webhook_nothing_of_slack_is_made(plan: dict[str, Any]) -> None:
    made = [c["address"] for c in plan["resource_changes"] if c["mode"] == "managed"]

    assert not [address for address in made if address.startswith("module.watch.") and "slack" in address]


def test_an_objectives_alarm_is_made_of_windows_that_tell_nobody(whole: Planned) -> None:
    windows = [a for a in whole("aws_cloudwatch_metric_alarm") if "-slo-" in a["alarm_name"]]
    objective = whole("aws_cloudwatch_composite_alarm")[0]

    assert [w.get("alarm_actions") for w in windows] == [None, None]
    assert sorted(period_of(w) for w in windows) == [300, 3600]
    assert objective["alarm_name"] == "rmu-production-slo-searches-fast"
    assert objective["alarm_rule"] == (
        '(ALARM("rmu-production-slo-searches-14x-1h") AND ALARM("rmu-production-slo-searches-14x-5m"))'
    )
    assert SAID.fullmatch(objective["alarm_description"])


def test_images_of_the_host_are_made_daily_without_a_reboot_and_seven_are_kept(planned: Planned) -> None:
    policy = planned("aws_dlm_lifecycle_policy")[0]["policy_details"][0]

    assert (policy["policy_type"], policy["resource_types"]) == ("IMAGE_MANAGEMENT", ["INSTANCE"])
    assert policy["target_tags"] == {"Name": "rmu-production-host"}
    assert policy["parameters"][0]["no_reboot"] is True
    assert policy["schedule"][0]["retain_rule"][0]["count"] == 7


def test_every_place_of_the_contract_is_written_and_no_other(planned: Planned) -> None:
    contract = (ROOT / "docs/contract-host.md").read_text()
    section = contract.split("Terraform writes `/rmu/ENV/places/KEY`", 1)[1].split("No verb but", 1)[0]
    keys = set(re.findall(r"`([a-z_]+)`", section.split("Keys:", 1)[1]))

    names = {p["name"] for p in planned("aws_ssm_parameter")}

    assert names == {f"/rmu/production/places/{key}" for key in keys}


def test_everything_that_takes_tags_is_tagged(plan: dict[str, Any]) -> None:
    untagged = [
        c["address"]
        for c in plan["resource_changes"]
        if "tags_all" in (c["change"]["after"] or {})
        and not {"rmu:env": "production", "rmu:managed-by": "terraform"}.items()
        <= (c["change"]["after"]["tags_all"] or {}).items()
    ]

    assert untagged == []
