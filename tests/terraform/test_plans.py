"""What production would be, read from Terraform's own plan of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.outside.terraform import Terraform
from tests.terraform.conftest import EDGE_SECRET, PASSWORD, ROOT, SOURCES, VARIABLES, Cloud, nobody_listens

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
    shown = (work / "production" / "stack-show.log").read_text()
    return dict(json.loads(shown))


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


def test_hosts_admit_the_balancer_alone(plan: dict[str, Any], planned: Planned) -> None:
    ingress = {
        c["address"]: c["change"]["after"] for c in plan["resource_changes"] if c["type"].endswith("ingress_rule")
    }

    hosts = ingress.pop("module.web.aws_vpc_security_group_ingress_rule.host_from_balancer")
    assert (hosts["from_port"], hosts["to_port"]) == (8080, 8080)
    assert {(r["from_port"], a.split(".")[1]) for a, r in ingress.items()} == {
        (5432, "database"),
        (80, "edge"),
        (5432, "drill"),
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


def test_alarms_keep_productions_periods_and_speak_to_somebody(planned: Planned) -> None:
    alarms = {a["alarm_name"].removeprefix("rmu-production-"): a for a in planned("aws_cloudwatch_metric_alarm")}

    assert {name: a["period"] for name, a in alarms.items()} == {
        "cpu-high": 300,
        "memory-high": 300,
        "status-check-failed": 60,
        "database-cpu-high": 300,
        "database-storage-low": 300,
        "no-healthy-host": 60,
        "hosts-silent": 60,
        "database-silent": 60,
        "errors-at-the-balancer": 60,
        "errors-of-the-app": 60,
    }
    silent = {name for name, a in alarms.items() if a["treat_missing_data"] == "breaching"}
    assert silent == {"no-healthy-host", "hosts-silent", "database-silent"}
    # By its group: an instance id would die with its instance. The balancer's own are known only once it is made.
    for name in ("cpu-high", "memory-high", "status-check-failed", "hosts-silent"):
        assert alarms[name]["dimensions"] == {"AutoScalingGroupName": "rmu-production-hosts"}


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
