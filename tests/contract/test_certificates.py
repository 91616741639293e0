"""Certificates as ACM tells them."""

from __future__ import annotations

from datetime import timedelta

from ratemyunit_ops.outside.aws.certificates import AcmCertificates
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.clock import SystemClock
from ratemyunit_ops.twin.fault_account import self_signed


def test_certificates_are_told_with_the_days_that_they_have_left_the_first_to_end_first(account: Account) -> None:
    for days in (300, 6):
        made, key = self_signed(f"in-{days}.example.org", timedelta(days=days))
        account.act("acm", "ImportCertificate", Certificate=made, PrivateKey=key)

    mine = [c for c in AcmCertificates(account, SystemClock()).all() if c.domain.startswith("in-")]

    assert [c.domain for c in mine] == ["in-6.example.org", "in-300.example.org"]
    assert mine[0].days_left is not None and 5.8 < mine[0].days_left <= 6
    assert mine[0].imported and not mine[0].used
