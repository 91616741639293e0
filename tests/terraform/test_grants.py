"""What the code calls and what the roles allow, held against each other: the twin believes every caller."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ratemyunit_ops.outside import aws
from ratemyunit_ops.shipped import shipped

ACCESS = shipped("terraform") / "modules/access"
ADAPTERS = Path(aws.__file__).parent
WRAPPERS = {"registry.py": "ecr", "ledger.py": "dynamodb"}
"""Adapters that name the service once, not at each call."""
STANDS_FOR = {
    "dynamodb:TransactWriteItems": {"dynamodb:ConditionCheckItem", "dynamodb:PutItem"},
    "elbv2:DescribeTargetHealth": {"elasticloadbalancing:DescribeTargetHealth"},
    "s3:ListObjectsV2": {"s3:ListBucket"},
    "sts:GetCallerIdentity": set(),  # nobody can be kept from it
}
THE_OWNERS = {"ssm:GetParameters", "ssm:PutParameter"}
"""Secrets are made by `rmu infra`, which is the account owner's."""


def granted(file: str) -> set[str]:
    return set(re.findall(r'"([a-z0-9-]+:[A-Z]\w+)"', (ACCESS / file).read_text()))


def called(adapter: Path) -> Iterator[str]:
    """Name every operation an adapter calls, as IAM names its permission."""
    tree = ast.parse(adapter.read_text())
    words = {n.targets[0].id: n.value.value for n in tree.body if is_word(n)}  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        said = [a.value if isinstance(a, ast.Constant) else words.get(getattr(a, "id", "")) for a in node.args[:2]]
        if node.func.attr in {"ask", "act", "pages"} and len(said) == 2 and None not in said:
            yield f"{said[0]}:{said[1]}"
        elif node.func.attr in {"_ask", "_call"} and adapter.name in WRAPPERS and isinstance(said[0], str):
            yield f"{WRAPPERS[adapter.name]}:{said[0]}"


def is_word(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.targets[0], ast.Name)
    )


def test_the_operators_role_allows_every_call_that_the_adapters_make() -> None:
    calls = {call for file in ADAPTERS.glob("*.py") for call in called(file)}
    needed = {action for call in calls for action in STANDS_FOR.get(call, {call})} - THE_OWNERS

    assert len(needed) > 20, "the calls were not found"
    assert needed - granted("people.tf") - granted("respond.tf") - granted("rescue.tf") == set()


def test_the_hosts_role_allows_every_call_that_the_host_program_makes() -> None:
    host = shipped("templates") / "host/rmu_host"
    source = "".join((host / name).read_text() for name in ("cloud.py", "data_bucket.py"))
    methods = re.findall(r"(?:ssm|s3|autoscaling|_client\(\"\w+\"\))\.(\w+)\(", source)
    allowed = {action.split(":")[1] for action in granted("host.tf")}

    assert {
        "batch_get_image",
        "complete_lifecycle_action",
        "get_item",
        "get_object",
        "get_parameters",
        "put_item",
        "put_object",
    } == set(methods)
    assert {method.title().replace("_", "") for method in methods} <= allowed


def statements(role: str) -> list[str]:
    """List the statements of one role's policy, as they are written."""
    document = re.search(rf'data "aws_iam_policy_document" "{role}" \{{\n(.*?)\n\}}', people(), re.S)
    assert document is not None
    return re.findall(r"  statement \{\n(.*?)\n  \}", document[1], re.S)


def people() -> str:
    return (ACCESS / "people.tf").read_text()


def test_nobody_who_deploys_can_read_a_secret_delete_an_image_or_take_a_record_away() -> None:
    taken = granted("people.tf") | granted("respond.tf")

    assert not {"ecr:BatchDeleteImage", "dynamodb:DeleteItem", "kms:Decrypt"} & taken
    for statement in statements("deploy"):
        if "ssm:GetParameter" in statement:
            assert "/places" in statement and "/app" not in statement and "/db" not in statement


def test_an_operator_reads_one_secret_to_set_it_again_after_a_restore() -> None:
    secrets = [s for s in statements("operate") if "ssm:GetParameter" in s]

    assert len(secrets) == 1
    assert re.findall(r"_arn\.secrets\}([^\"]*)", secrets[0]) == ["/db/master_password"]


def test_a_database_is_deleted_by_an_operator_alone_and_only_one_that_a_run_made_or_that_was_retired() -> None:
    deletions = [s for s in statements("operate") if "rds:DeleteDBInstance" in s]

    assert [re.findall(r'variable = "([^"]+)"', s) for s in deletions] == [
        ["aws:ResourceTag/rmu:run"],
        ["aws:ResourceTag/rmu:retired"],
    ]
    assert not any("rds:" in s and "Describe" not in s for s in statements("deploy"))


def test_the_glass_is_broken_by_operators_alone_as_one_user_on_one_port_of_their_own_hosts() -> None:
    rescue = (ACCESS / "rescue.tf").read_text()

    assert re.findall(r"^    rescue +=", people(), re.M) and people().count("aws_iam_policy.rescue") == 1
    push, tunnel = re.findall(r"  statement \{\n(.*?)\n  \}", rescue, re.S)[:2]
    assert re.findall(r'"(ec2:osuser|aws:ResourceTag/[\w:]+)"', push) == [
        "ec2:osuser",
        "aws:ResourceTag/rmu:env",
        "aws:ResourceTag/rmu:role",
    ]
    assert "aws:ResourceTag/rmu:env" in tunnel and 'values   = ["22"]' in tunnel


def test_a_host_writes_nothing_into_the_ledger_but_its_own_kind_of_key() -> None:
    writing = [
        s for s in re.findall(r"  statement \{\n(.*?)\n  \}", (ACCESS / "host.tf").read_text(), re.S) if "PutItem" in s
    ]

    assert len(writing) == 1
    assert 'values   = ["host_key"]' in writing[0] and "dynamodb:LeadingKeys" in writing[0]


def test_rows_that_a_salvage_found_are_not_for_ci() -> None:
    assert any("/salvage/*" in s for s in statements("operate"))
    for statement in statements("deploy"):
        if "s3:" in statement:
            assert re.findall(r"_arn\.bucket\}([^\"]*)", statement) == ["/runs/*"]
