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
    "sts:GetCallerIdentity": set(),  # nobody can be kept from it
}
THE_OWNERS = {"ssm:GetParameters", "ssm:PutParameter"}
"""Secrets are made by `rmu infra`, which is the account owner's."""


def granted(file: str) -> set[str]:
    return set(re.findall(r'"([a-z0-9]+:[A-Z]\w+)"', (ACCESS / file).read_text()))


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
    assert needed - granted("people.tf") == set()


def test_the_hosts_role_allows_every_call_that_the_host_program_makes() -> None:
    source = (shipped("templates") / "host/rmu_host/cloud.py").read_text()
    methods = re.findall(r"(?:ssm|autoscaling|_client\(\"\w+\"\))\.(\w+)\(", source)
    allowed = {action.split(":")[1] for action in granted("host.tf")}

    assert {"get_parameters", "get_item", "batch_get_image", "complete_lifecycle_action"} == set(methods)
    assert {method.title().replace("_", "") for method in methods} <= allowed


def test_nobody_who_deploys_can_read_a_secret_delete_an_image_or_take_a_record_away() -> None:
    everything = (ACCESS / "people.tf").read_text()

    assert not {"ecr:BatchDeleteImage", "dynamodb:DeleteItem", "kms:Decrypt"} & granted("people.tf")
    for statement in re.findall(r"statement \{\n(.*?)\n  \}", everything, re.S):
        if "ssm:GetParameter" in statement:
            assert "/places" in statement and "/app" not in statement and "/db" not in statement
