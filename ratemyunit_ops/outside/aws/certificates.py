"""The account's certificates, as ACM knows them. Read only: ACM renews them, or a person imports others."""

from __future__ import annotations

from datetime import datetime, timedelta

from ratemyunit_ops.model import CertificateView
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.ports import Clock

DAY = timedelta(days=1)
# Left out, a listing has RSA 2048 alone.
KEYS = {"keyTypes": ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]}


class AcmCertificates:
    """The certificates of a region."""

    def __init__(self, account: Account, clock: Clock) -> None:
        self._account = account
        self._clock = clock

    def all(self) -> tuple[CertificateView, ...]:
        """Describe every certificate, the first to end first."""
        listed = self._account.pages("acm", "ListCertificates", "CertificateSummaryList", Includes=KEYS)
        found = [self._one(row["CertificateArn"]) for row in listed]
        return tuple(sorted(found, key=lambda c: (c.days_left is None, c.days_left or 0.0)))

    def _one(self, arn: str) -> CertificateView:
        row = self._account.ask("acm", "DescribeCertificate", CertificateArn=arn)["Certificate"]
        ends: datetime | None = row.get("NotAfter")
        return CertificateView(
            arn=arn,
            domain=row.get("DomainName", ""),
            status=row.get("Status", ""),
            imported=row.get("Type") == "IMPORTED",
            renewal=row.get("RenewalSummary", {}).get("RenewalStatus", ""),
            days_left=round((ends - self._clock.now()) / DAY, 1) if ends else None,
            used=bool(row.get("InUseBy")),
        )
