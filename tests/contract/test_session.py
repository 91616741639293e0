"""AWS's errors at the border: each becomes one of ours, with what to type next."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ratemyunit_ops.errors import Mistyped, Refused, Unreachable
from ratemyunit_ops.outside.aws.identity import StsIdentity
from ratemyunit_ops.outside.aws.session import Account, LostAnswer, Said
from tests.contract.stand_in import StandIn, error


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Take every source of credentials away."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def test_the_caller_and_the_account_are_named(account: Account) -> None:
    identity = StsIdentity(account)

    assert identity.account() == "123456789012"
    assert identity.who()


def test_expired_credentials_name_the_login(aws: StandIn) -> None:
    account = Account(region="us-east-1", endpoint=aws.endpoint, access_key="x", secret="x")
    aws.faults.instead["GetItem"] = [error("ExpiredTokenException", "The security token is expired")]

    with pytest.raises(Mistyped, match="ExpiredToken"):
        account.ask("dynamodb", "GetItem", TableName="t", Key={"pk": {"S": "x"}})


@pytest.mark.usefixtures("nobody")
def test_a_profile_that_is_not_there_names_the_login(aws: StandIn) -> None:
    with pytest.raises(Mistyped) as why:
        StsIdentity(Account(region="us-east-1", endpoint=aws.endpoint, profile="rmu-production")).who()

    assert why.value.next == "aws sso login --profile rmu-production"


@pytest.mark.usefixtures("nobody")
def test_an_sso_session_that_was_never_begun_names_the_login(aws: StandIn, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile p]\nsso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n"
        "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n"
    )

    with pytest.raises(Mistyped) as why:
        StsIdentity(Account(region="us-east-1", endpoint=aws.endpoint, profile="p")).who()

    assert why.value.next == "aws sso login --profile p"


@pytest.mark.usefixtures("nobody")
def test_no_credentials_at_all_is_the_operators_to_mend(aws: StandIn) -> None:
    with pytest.raises(Mistyped, match="no valid credentials"):
        StsIdentity(Account(region="us-east-1", endpoint=aws.endpoint)).who()


def test_what_the_caller_may_not_do_is_named(account: Account, aws: StandIn) -> None:
    aws.faults.instead["PutItem"] = [error("AccessDeniedException", "no identity-based policy allows it")]

    with pytest.raises(Refused, match="may not dynamodb:PutItem"):
        account.act("dynamodb", "PutItem", TableName="t", Item={"pk": {"S": "x"}})


def test_throttling_is_waited_out(account: Account, aws: StandIn) -> None:
    aws.faults.instead["DescribeParameters"] = [error("ThrottlingException", "Rate exceeded")]

    assert "Parameters" in account.ask("ssm", "DescribeParameters")
    assert aws.counts["DescribeParameters"] == 2


def test_endless_throttling_changes_nothing(account: Account, aws: StandIn) -> None:
    aws.faults.instead["DescribeParameters"] = [error("ThrottlingException", "Rate exceeded")] * 9

    with pytest.raises(Unreachable, match="throttled"):
        account.ask("ssm", "DescribeParameters")

    assert aws.counts["DescribeParameters"] == 3


def test_a_code_of_the_services_own_is_passed_on_as_a_code(account: Account) -> None:
    with pytest.raises(Said) as why:
        account.ask("ssm", "GetParameter", Name="/nothing/here")

    assert why.value.code == "ParameterNotFound"


def test_a_read_whose_answers_are_lost_changed_nothing(account: Account, aws: StandIn) -> None:
    aws.faults.lose["DescribeParameters"] = 3

    with pytest.raises(Unreachable):
        account.ask("ssm", "DescribeParameters")


def test_a_change_whose_answers_are_lost_may_have_happened(account: Account, aws: StandIn) -> None:
    aws.faults.lose["DeleteParameter"] = 3

    with pytest.raises(LostAnswer, match="never came"):
        account.act("ssm", "DeleteParameter", Name="/nothing/here")


def test_an_endpoint_nobody_serves_names_what_starts_it() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{free.getsockname()[1]}"
    account = Account(region="us-east-1", endpoint=endpoint, access_key="x", secret="x", start_hint="rmu twin up")

    with pytest.raises(Unreachable) as why:
        account.act("ssm", "DeleteParameter", Name="/x")

    assert why.value.next == "rmu twin up"


def test_a_secret_key_is_never_shown() -> None:
    assert "hunter2" not in repr(Account(region="us-east-1", access_key="a", secret="hunter2"))
