"""The twin's certificate authority and what it signs. Made once in the cache; every base trusts it."""

import datetime
import fcntl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ratemyunit_ops.twin.files import write_whole
from ratemyunit_ops.twin.site import Site

_YEARS = datetime.timedelta(days=3650)
_CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rmu twin CA (this machine only)")])


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, both PEM."""

    certificate: Path
    key: Path


def authority(site: Site) -> Pair:
    """Answer the twin's CA; make it if it is not there yet."""
    where = site.cache_dir / "ca"
    pair = Pair(where / "ca.pem", where / "ca.key")
    where.mkdir(parents=True, exist_ok=True)
    with (where / "lock").open("w") as lock:  # two twins may come up at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not pair.certificate.exists():
            _make_authority(pair)
    return pair


def issue(site: Site, label: str, names: list[str]) -> Pair:
    """Sign a server certificate for these names (an RDS endpoint, a load balancer); the same label is reused."""
    where = site.state_dir / "certs"
    pair = Pair(where / f"{label}.pem", where / f"{label}.key")
    if not pair.certificate.exists():
        _sign(authority(site), pair, names)
    return pair


def _make_authority(pair: Pair) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    draft = _draft(_CA_NAME, key).issuer_name(_CA_NAME)
    draft = draft.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    signed = draft.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    write_whole(pair.key, key_text(key), mode=0o600)
    write_whole(pair.certificate, pem(signed))


def _sign(ca: Pair, pair: Pair, names: list[str]) -> None:
    issuer = x509.load_pem_x509_certificate(ca.certificate.read_bytes())
    issuer_key = serialization.load_pem_private_key(ca.key.read_bytes(), password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    # A common name holds 64 characters at most; clients read the alternative names.
    draft = _draft(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]), key)
    draft = draft.issuer_name(issuer.subject)
    draft = draft.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    draft = draft.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    draft = draft.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    # Python 3.13 refuses a chain whose authority key identifier is missing.
    around = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    signed = draft.add_extension(around, critical=False).sign(issuer_key, hashes.SHA256())
    write_whole(pair.key, key_text(key), mode=0o600)
    write_whole(pair.certificate, pem(signed))


def _draft(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def pem(certificate: x509.Certificate) -> bytes:
    """Spell a certificate as files hold it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Spell a private key as files hold it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
