"""Alarms of what goes by the day: backups, certificate, drill. A day of alarms is 260 s here, and days may pass.

The twin's own keepers make the events: RDS takes its automated backups or none, a certificate ends soon, the
schedule fires. Nothing puts a point. As in test_alarms.py, each mail's runbook has to name what was broken.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator

import pytest

from ratemyunit_ops.twin.fault_account import self_signed
from ratemyunit_ops.twin.inner import call
from tests.twin.driver import CHECKOUT, Stack, raised_stack, wait_until
from tests.twin.ward import EMAIL, Ward

pytestmark = [pytest.mark.twin, pytest.mark.long]

TFVARS = CHECKOUT / "terraform" / "env" / "twin.tfvars"
LASTS, FEW = 120, 20  # days of the certificate; 21 are few
NAME = "rmu.example.org"
OVERDUE = "rmu-twin-drill-overdue"


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A twin whose alarms of the day look every 10 s, whose front door has a certificate, backed up every minute."""
    with raised_stack("daily", 9640, tmp_path_factory.mktemp("daily"), prepare=by_the_day) as stack:
        call(stack.site, "confirm", EMAIL)
        stack.rmu("twin", "fault", "backup-every", "60")
        ward = Ward(stack)
        yield ward
        ward.keep()


def by_the_day(stack: Stack) -> None:
    made, key = self_signed(NAME, datetime.timedelta(days=LASTS))
    arn = stack.aws("acm").import_certificate(Certificate=made, PrivateKey=key)["CertificateArn"]
    text = TFVARS.read_text().replace("alarms = {", "alarms = {\n  daily_period = 10")
    own = stack.where / "daily.tfvars"
    own.write_text(f'{text}\ncertificate_arn = "{arn}"\n')
    stack.config = stack.settings("rmu.toml", tfvars=str(own))


def imported(stack: Stack, days: float) -> None:
    """Let the certificate of the front door be one that ends in some days."""
    acm = stack.aws("acm")
    [row] = acm.list_certificates()["CertificateSummaryList"]
    made, key = self_signed(NAME, datetime.timedelta(days=days))
    acm.import_certificate(CertificateArn=row["CertificateArn"], Certificate=made, PrivateKey=key)


def reminders(stack: Stack) -> list[str]:
    """Answer what was brought of the drill's reminder."""
    return [one["message"] for one in call(stack.site, "deliveries") if one["message"].startswith(OVERDUE)]


def test_a_quarter_without_a_drill_is_told_once_and_again_after_a_week(ward: Ward) -> None:
    stack = ward.stack

    with stack.fault("days-pass", "90"):
        time.sleep(10)
        early = reminders(stack)
    with stack.fault("days-pass", "92"):
        wait_until(lambda: reminders(stack), 20, "the reminder")
        time.sleep(5)
        due = reminders(stack)
        with stack.fault("days-pass", "99"):
            wait_until(lambda: len(reminders(stack)) > 1, 20, "the next week's")

    assert (early, len(due)) == ([], 1)
    assert "severity: SEV-3. next: rmu dr drill --env twin" in due[0]


def test_a_certificate_that_nobody_renewed_pages_three_weeks_before_its_end(ward: Ward) -> None:
    wait_until(lambda: ward.alarms()["certificate-expiring"]["StateValue"] == "OK", 60, "its days to be known")

    causes = {"certificate-expiring": "imported-ends"}
    with ward.expects("certificate-expiring", causes=causes, besides=("backups-late",)):
        ward.by(lambda: imported(ward.stack, FEW), lambda: imported(ward.stack, LASTS))


def test_a_database_that_is_no_more_backed_up_pages_after_a_day_and_two_hours(ward: Ward) -> None:
    wait_until(lambda: ward.alarms()["backups-late"]["StateValue"] == "OK", 180, "the first backups")

    with ward.expects("backups-late", causes={"backups-late": "backups-late"}):
        ward.fault("backups-late")
