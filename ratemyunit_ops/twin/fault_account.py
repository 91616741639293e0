"""What breaks in the account rather than on a machine: a certificate, a secret, SNS, the region."""

import datetime
import secrets
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.twin import door
from ratemyunit_ops.twin.certs import key_text, pem
from ratemyunit_ops.twin.fault_parts import Fault, database_of, number
from ratemyunit_ops.twin.inner import call, client
from ratemyunit_ops.twin.keepers import postgres
from ratemyunit_ops.twin.site import Site

NAMES = "/rmu/twin"
PASSWORD = "db/app_password"  # noqa: S105  (a name)
TAG = {"Key": "twin-fault", "Value": "certificate-expiring"}
DAYS = 10


def _certificate(site: Site, target: str | None) -> str:
    days = number(target or str(DAYS))
    made, key = self_signed("rmu.example.org", datetime.timedelta(days=days))
    answer = client(site, "acm").import_certificate(Certificate=made, PrivateKey=key, Tags=[TAG])
    return f"{answer['CertificateArn']} ends in {days:g} days"


def _uncertificate(site: Site, _: str | None) -> str:
    acm = client(site, "acm")
    for row in acm.list_certificates()["CertificateSummaryList"]:
        if TAG in acm.list_tags_for_certificate(CertificateArn=row["CertificateArn"]).get("Tags", []):
            acm.delete_certificate(CertificateArn=row["CertificateArn"])
    return "the certificate is gone"


def self_signed(name: str, lasts: datetime.timedelta) -> tuple[bytes, bytes]:
    """Make a certificate that signs itself, and its key, as ACM takes them."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    draft = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    draft = draft.serial_number(x509.random_serial_number())
    draft = draft.not_valid_before(now - datetime.timedelta(days=80)).not_valid_after(now + lasts)
    signed = draft.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return pem(signed.sign(key, hashes.SHA256())), key_text(key)


def _rotate(site: Site, target: str | None) -> str:
    """Give a secret a new value as somebody would who forgets what holds the old one."""
    ssm, name = client(site, "ssm"), f"{NAMES}/{target or PASSWORD}"
    found = {row["Name"] for row in ssm.get_parameters(Names=[name], WithDecryption=False)["Parameters"]}
    if name not in found:
        raise Refused(f"there is no secret {name}", next="rmu infra bootstrap")
    value = secrets.token_urlsafe(24)
    ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
    _let_in(site, name, value)
    return f"{name} has another value, and nothing that runs knows it"


def _unrotate(site: Site, target: str | None) -> str:
    ssm, name = client(site, "ssm"), f"{NAMES}/{target or PASSWORD}"
    history: list[dict[str, Any]] = ssm.get_parameter_history(Name=name, WithDecryption=True)["Parameters"]
    if len(history) < 2:
        raise Refused(f"{name} was never rotated", next="rmu twin fault secret-rotated")
    value = history[-2]["Value"]
    ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)
    _let_in(site, name, value)
    return f"{name} has the value before its last again"


def _let_in(site: Site, name: str, value: str) -> None:
    """Give the application's role its new password too, and end its sessions: the next one needs it."""
    if not name.endswith(PASSWORD):
        return
    postgres.tell(
        database_of(site, None),
        f"alter role rmu_app password '{value}';\n"
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rmu_app';\n",
    )


def _lose_region(site: Site, _: str | None) -> str:
    door.shut(site)
    return f"nothing of {site.region} answers: neither its API nor the front door"


def _find_region(site: Site, _: str | None) -> str:
    door.reopen(site)
    return f"{site.region} answers again"


def _sns_refuses(site: Site, _: str | None) -> str:
    call(site, "sns-refuses", True)
    return "SNS refuses every message"


def _sns_takes(site: Site, _: str | None) -> str:
    call(site, "sns-refuses", False)
    return "SNS takes messages again"


FAULTS = {
    "certificate-expiring": Fault(
        "put a certificate into ACM that ends in TARGET days (else 10)", _certificate, _uncertificate
    ),
    "secret-rotated": Fault(
        "give a secret (TARGET, else db/app_password) a new value behind the application's back", _rotate, _unrotate
    ),
    "sns-refuses": Fault("let SNS refuse every message", _sns_refuses, _sns_takes),
    "region-lost": Fault(
        "lose the region: its API and its front door answer nobody outside", _lose_region, _find_region
    ),
}
