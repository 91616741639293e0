"""CI's way: no terminal, no questions, short credentials by environment alone, one JSON document to read."""

from __future__ import annotations

import json

import pytest

from tests.twin.driver import Stack

pytestmark = pytest.mark.twin
BECAUSE = "build 4711 of main"


def ci(stack: Stack) -> dict[str, str]:
    """Make a job's environment: short credentials of a role, and settings that hold no keys and want a reason."""
    config = stack.settings("ci.toml", credentials=None, confirm=True)
    given = stack.aws("sts").assume_role_with_web_identity(
        RoleArn=stack.aws("iam").get_role(RoleName="rmu-twin-ci")["Role"]["Arn"],
        RoleSessionName="job-4711",
        WebIdentityToken="header.payload.signature",  # the twin believes any; what comes back has the shape of AWS's
    )["Credentials"]
    assert given["AccessKeyId"].startswith("ASIA")
    return {
        **stack.environ(config),
        "HOME": str(stack.where),
        "CI": "true",
        "RMU_ENV": "twin",
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def test_ci_deploys_and_rolls_back_with_short_credentials_and_no_terminal(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    environ, words = ci(stack), ("--no-input", "--yes", "--because", BECAUSE)

    with stack.no_drop():
        deployed = stack.rmu("deploy", new, "--no-probe", *words, environ=environ)
        back = stack.rmu("rollback", *words, environ=environ)

    assert (deployed["outcome"], deployed["release"]) == ("done", new)
    assert (back["outcome"], back["release"]) == ("done", live)
    assert json.loads(deployed.stdout) == deployed.document
    assert all(json.loads(line) for line in deployed.stderr.splitlines())
    runs = {run["run"]: run for run in stack.rmu("history", environ=environ)["runs"]}
    assert {runs[one["run"]]["because"] for one in (deployed, back)} == {BECAUSE}
    for secret in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert environ[secret] not in deployed.stdout + deployed.stderr + back.stdout + back.stderr
    stack.serves_alone(live)


def test_nobody_is_asked_where_nobody_can_answer(stack: Stack) -> None:
    live, new = stack.live(), stack.push()
    environ = ci(stack)

    no_reason = stack.rmu("deploy", new, "--no-input", "--yes", environ=environ, expect=2)
    no_consent = stack.rmu("deploy", new, "--no-input", "--because", BECAUSE, environ=environ, expect=3)

    assert no_reason["next"] == "add --because 'WHY'"
    assert no_consent["next"] == "add --yes, or answer y on a terminal"
    for refused in (no_reason, no_consent):
        assert [json.loads(line).get("what") for line in refused.stderr.splitlines()][-1] == refused["what"]
        assert {"run", "release", "seconds", "phases", "probe", "ssm_commands"} <= set(refused.document)
    stack.serves_alone(live)
