"""Secrets in SSM: made once for a run, never told."""

from __future__ import annotations

import json

from ratemyunit_ops.outside.aws.secrets import SsmSecrets
from ratemyunit_ops.outside.aws.session import Account


def value_of(account: Account, name: str) -> str:
    answer = account.ask("ssm", "GetParameter", Name=name, WithDecryption=True)
    return str(answer["Parameter"]["Value"])


def test_a_secret_gets_one_new_value_from_a_run_however_often_it_is_asked(account: Account, environment: str) -> None:
    secrets, path = SsmSecrets(account, environment), f"/rmu/{environment}/app/secret_key"
    secrets.ensure(["app/secret_key"])
    first = value_of(account, path)

    made = secrets.renew("app/secret_key", run="r-1")
    second = value_of(account, path)
    again = secrets.renew("app/secret_key", run="r-1")

    assert second not in (first, "")
    assert (made["outcome"], again["outcome"], value_of(account, path)) == ("changed", "already", second)
    assert second not in json.dumps([made, again])
    assert secrets.renewed("app/secret_key", run="r-1")
    assert not secrets.renewed("app/secret_key", run="r-2")
