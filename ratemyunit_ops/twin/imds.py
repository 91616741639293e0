"""Instance metadata, version 2, at 169.254.169.254 inside the namespace; the caller is known by its address.

It answers everything cloud-init asks for: a key that is slow or in error costs a boot half a minute. As on AWS a
token comes first, and answers leave with the instance's hop limit, so that a container behind a bridge of its own
gets none.
"""

import base64
import json
import re
import secrets
import socket
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Union
from urllib.parse import unquote

from ratemyunit_ops.twin import daemons
from ratemyunit_ops.twin.files import read_json, write_json
from ratemyunit_ops.twin.site import Site

Tree = dict[str, Union[str, bytes, "Tree"]]


@dataclass(frozen=True)
class Role:
    """Credentials of the instance's role, as `security-credentials/NAME` gives them."""

    name: str
    access_key_id: str
    secret_access_key: str
    token: str
    expiration: str  # ISO 8601, "2030-01-01T00:00:00Z"


@dataclass(frozen=True)
class Facts:
    """What one instance may learn about itself."""

    instance_id: str
    local_ipv4: str
    region: str = "us-east-1"
    availability_zone: str = "us-east-1a"
    account: str = "123456789012"
    ami_id: str = "ami-0000000000000twin"
    instance_type: str = "t3.micro"
    user_data: bytes = b""
    tags: dict[str, str] = field(default_factory=dict)
    role: Role | None = None
    instance_profile_arn: str = ""
    security_groups: tuple[str, ...] = ()
    hop_limit: int = 1


def start_imds(site: Site) -> None:
    """Start the metadata server; what it knows is read afresh at each request."""
    daemons.start(site, "imds", daemons.python("imds", site.imds, str(_facts_dir(site)), site.gate_inside))


def describe(site: Site, address: str, facts: Facts) -> None:
    """Say what the machine at this address may learn; before it boots, and again when something changes."""
    written = asdict(facts) | {"user_data": base64.b64encode(facts.user_data).decode()}
    write_json(_facts_dir(site) / f"{address}.json", written, mode=0o600)


def forget(site: Site, address: str) -> None:
    """Know nothing about an address any more."""
    (_facts_dir(site) / f"{address}.json").unlink(missing_ok=True)


def tree(facts: Facts) -> Tree:
    """Lay the facts out as the metadata service shows them."""
    document = json.dumps(_identity(facts), indent=2)
    whole: Tree = {"meta-data": _metadata(facts), "dynamic": {"instance-identity": {"document": document}}}
    if facts.user_data:
        whole["user-data"] = facts.user_data
    return whole


def look_up(top: Tree, path: str) -> bytes | None:
    """Answer a leaf's text, a directory's listing, or None; `path` is without the version."""
    here: str | bytes | Tree = top
    for part in [unquote(part) for part in path.split("/") if part]:
        if not isinstance(here, dict) or part not in here:
            return None
        here = here[part]
    if isinstance(here, dict):
        here = "\n".join(f"{name}/" if isinstance(below, dict) else name for name, below in here.items())
    return here if isinstance(here, bytes) else here.encode()


def _metadata(facts: Facts) -> Tree:
    name = f"ip-{facts.local_ipv4.replace('.', '-')}.ec2.internal"
    mac = mac_address(facts.local_ipv4)
    groups = "\n".join(facts.security_groups)
    interface: Tree = {
        "device-number": "0",
        "interface-id": f"eni-{facts.instance_id.removeprefix('i-')}",
        "local-hostname": name,
        "local-ipv4s": facts.local_ipv4,
        "mac": mac,
        "owner-id": facts.account,
        "security-groups": groups,
    }
    found: Tree = {
        "ami-id": facts.ami_id,
        "ami-launch-index": "0",
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": {"ami": "xvda", "root": "/dev/xvda"},
        "hostname": name,
        "instance-action": "none",
        "instance-id": facts.instance_id,
        "instance-life-cycle": "on-demand",
        "instance-type": facts.instance_type,
        "local-hostname": name,
        "local-ipv4": facts.local_ipv4,
        "mac": mac,
        "network": {"interfaces": {"macs": {mac: interface}}},
        "placement": {
            "availability-zone": facts.availability_zone,
            "region": facts.region,
        },
        "profile": "default-hvm",
        "reservation-id": f"r-{facts.instance_id.removeprefix('i-')}",
        "security-groups": groups,
        "services": {"domain": "amazonaws.com", "partition": "aws"},
        "system": "nitro",
    }
    if facts.tags:
        found["tags"] = {"instance": dict(facts.tags)}
    if facts.role is not None:
        found["iam"] = _iam(facts, facts.role)
    return found


def _iam(facts: Facts, role: Role) -> Tree:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    credentials = {
        "Code": "Success",
        "LastUpdated": now,
        "Type": "AWS-HMAC",
        "AccessKeyId": role.access_key_id,
        "SecretAccessKey": role.secret_access_key,
        "Token": role.token,
        "Expiration": role.expiration,
    }
    info = {"Code": "Success", "LastUpdated": now, "InstanceProfileArn": facts.instance_profile_arn}
    return {"info": json.dumps(info), "security-credentials": {role.name: json.dumps(credentials)}}


def _identity(facts: Facts) -> dict[str, str]:
    return {
        "accountId": facts.account,
        "architecture": "x86_64",
        "availabilityZone": facts.availability_zone,
        "imageId": facts.ami_id,
        "instanceId": facts.instance_id,
        "instanceType": facts.instance_type,
        "privateIp": facts.local_ipv4,
        "region": facts.region,
        "version": "2017-09-30",
    }


def mac_address(address: str) -> str:
    """Derive the network card's address from the IPv4 one, so that both sides know it unasked."""
    return "02:52:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def _facts_dir(site: Site) -> Path:
    return site.state_dir / "imds"


def _read_facts(directory: Path, address: str) -> Facts | None:
    written: dict[str, Any] | None = read_json(directory / f"{address}.json", None)
    if written is None:
        return None
    written["user_data"] = base64.b64decode(written["user_data"])
    written["security_groups"] = tuple(written["security_groups"])
    written["role"] = Role(**written["role"]) if written["role"] else None
    return Facts(**written)


class _Metadata(BaseHTTPRequestHandler):
    """One request. Tokens live in the server: a restart of it costs each caller one 401 and a new token."""

    protocol_version = "HTTP/1.1"
    directory: Path
    gate: str
    tokens: ClassVar[dict[str, tuple[str, float]]] = {}  # token -> caller, expiry

    def do_PUT(self) -> None:
        ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        facts = self._facts()
        if facts is None or self.path != "/latest/api/token":
            self._answer(404)
        elif self.headers.get("X-Forwarded-For"):
            self._answer(403)
        elif not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
            self._answer(400)
        else:
            token = secrets.token_urlsafe(40)
            self.tokens[token] = (self.client_address[0], time.monotonic() + int(ttl))
            self._answer(200, token.encode(), {"X-aws-ec2-metadata-token-ttl-seconds": ttl})

    def do_GET(self) -> None:
        facts = self._facts()
        caller, expiry = self.tokens.get(self.headers.get("X-aws-ec2-metadata-token", ""), ("", 0.0))
        path = re.sub(r"^/(latest|1\.0|\d{4}-\d\d-\d\d)(/|$)", "", self.path)
        if facts is None or path == self.path:
            self._answer(404)
        elif caller != self.client_address[0] or expiry < time.monotonic():
            self._answer(401)
        else:
            keys = re.fullmatch(r"meta-data/managed-ssh-keys/active-keys/([a-z_][a-z0-9_-]*)/?", path)
            found = self._keys(facts, keys[1]) if keys else look_up(tree(facts), path)
            self._answer(404 if found is None else 200, found or b"")

    def log_message(self, format: str, *args: Any) -> None:
        print(self.client_address[0], format % args, flush=True)

    def _keys(self, facts: Facts, user: str) -> bytes | None:
        """Ask the gate for the keys that Instance Connect was given; they live too short to be kept in a file."""
        body = json.dumps({"instance": facts.instance_id, "user": user}).encode()
        try:
            with urllib.request.urlopen(f"http://{self.gate}/twin/ssh-keys", body, timeout=5) as answer:
                text: str = json.loads(answer.read())
        except OSError:
            return None
        return text.encode() or None

    def _facts(self) -> Facts | None:
        facts = _read_facts(self.directory, self.client_address[0])
        if facts is not None:
            self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, facts.hop_limit)
        return facts

    def _answer(self, code: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), "Content-Type": "text/plain", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def main(address: str, directory: str, gate: str) -> None:
    """Serve metadata until killed."""
    _Metadata.directory, _Metadata.gate = Path(directory), gate
    ThreadingHTTPServer((address, 80), _Metadata).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
