"""Who we are to AWS."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from ratemyunit_ops.outside.aws.session import Account


class StsIdentity:
    """The caller, as STS names it."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def who(self) -> str:
        """Name the caller: a role and its session, or a user. Raises Mistyped without valid credentials."""
        return str(self._caller["Arn"]).split(":")[-1]

    def account(self) -> str:
        """Name the account we reach."""
        return str(self._caller["Account"])

    def plan(self) -> Literal["free", "paid"]:
        """Tell whether the account is one of AWS's free plan, which caps what it may hold."""
        return "free" if self._account.ask("freetier", "GetAccountPlanState")["accountPlanType"] == "FREE" else "paid"

    def expires(self) -> datetime | None:
        """Tell when our credentials end; None where they do not, or where nobody can tell."""
        return self._account.credentials_end()

    @cached_property
    def _caller(self) -> dict[str, Any]:
        return self._account.ask("sts", "GetCallerIdentity")
