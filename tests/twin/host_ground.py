"""One host on a ground of its own: the twin's gate and registry, one machine born by our user data, no fleet.

What a test asks of the host goes the way SSM's document does: the whole program and one request, run as root.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import time
from pathlib import Path
from typing import Any

import boto3

from ratemyunit_ops import render
from ratemyunit_ops.twin import daemons, imds
from ratemyunit_ops.twin.base import ensure_base
from ratemyunit_ops.twin.down import lower_ground
from ratemyunit_ops.twin.ground import raise_ground
from ratemyunit_ops.twin.keepers.registry import start_registry
from ratemyunit_ops.twin.machine import Machine
from ratemyunit_ops.twin.site import Site
from ratemyunit_ops.twin.up import is_up
from tests.contract_app import image

READY = {"deadline_s": 40, "in_a_row": 3, "schema_head": "0001"}
DATABASE = {"identifier": "rmu-twin-db-1", "address": "db.example", "port": 5432}
SECRETS = ("db/master_password", "db/ops_password", "db/migrate_password", "db/app_password", "app/secret_key")
MIB = 1 << 20
Answer = dict[str, Any]


class HostGround:
    """The ground, its one host, and releases of the smallest app."""

    def __init__(self, site: Site, where: Path) -> None:
        self.site, self.where = site, where
        self.sequence = itertools.count(1)
        self.address = "10.77.1.5"
        self.machine = Machine(site, "i-0000000000000host")
        self.repository = f"{site.registry_host}/rmu-twin/app"
        self.digests: dict[str, str] = {}
        self._tar: Path | None = None
        self._program = render.host_program()

    def raise_up(self) -> None:
        """Start gate and registry, and put there what a host reads."""
        raise_ground(self.site)
        listen = ("--host", self.site.inner, "--port", str(self.site.gate_port))
        env = {"RMU_TWIN_REGISTRY": self.site.registry_inside}
        daemons.start(self.site, "gate", daemons.python("gate.server", *listen), env=env)
        start_registry(self.site)
        until = time.monotonic() + 60
        while not is_up(self.site) and time.monotonic() < until:
            time.sleep(0.2)
        for name in SECRETS:
            value = f"pw-{name.replace('/', '-')}"
            self.aws("ssm").put_parameter(Name=f"/rmu/twin/{name}", Value=value, Type="SecureString", Overwrite=True)
        keys = [("pk", "HASH"), ("sk", "RANGE")]
        self.aws("dynamodb").create_table(
            TableName="rmu-twin",
            KeySchema=[{"AttributeName": n, "KeyType": t} for n, t in keys],
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n, _ in keys],
            BillingMode="PAY_PER_REQUEST",
        )

    def aws(self, service: str) -> Any:
        """Return a client of the gate."""
        client: Any = boto3.client
        return client(
            service,
            endpoint_url=self.site.endpoint,
            region_name=self.site.region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def lower(self) -> None:
        """Take everything down again."""
        lower_ground(self.site)

    def born(self, memory: int = 1024 * MIB, name: str | None = None) -> float:
        """Power on a host (a fresh one, where a name is given); return the seconds until all of it was up."""
        if name:
            self.machine = Machine(self.site, name)
        values = {
            "env": "twin",
            "region": self.site.region,
            "table": "rmu-twin",
            "asg": "rmu-twin-hosts",
            "hook": "rmu-twin-boot",
            "repository": self.repository,
            "project": "rmu",
            "trusted_hops": 1,
            "measure_every": 10,
        }
        role = imds.Role("host", "AKIAHOST", "secret", "token", "2035-01-01T00:00:00Z")
        tags = {"rmu:role": "host"}
        facts = imds.Facts(self.machine.name, self.address, user_data=render.user_data(values), role=role, tags=tags)
        imds.describe(self.site, self.address, facts)
        self.machine.start(self.address, memory_bytes=memory)
        return self.machine.wait_up(120)

    def publish(self, *versions: str) -> None:
        """Push an image for each version."""
        if self._tar is None:
            self._tar = image.make(ensure_base(self.site, print), self.where)
        for version in versions:
            registry = f"localhost:{self.site.registry_outside}"
            self.digests[version] = image.push(self._tar, registry, version)

    def ref(self, version: str | None) -> Answer | None:
        """Name a release."""
        return {"version": version, "digest": self.digests[version]} if version else None

    def release(self, version: str, **config: str) -> Answer:
        """Describe a release as `prepare` and the ledger have it."""
        ref = {"version": version, "digest": self.digests[version]}
        return {**ref, "image": self.repository, "config": config, "secrets": ["secret_key"]}

    def ask(self, verb: str, timeout: float = 120, **body: Any) -> Answer:
        """Send one request to the host and return its answer."""
        fence = {"generation": 1, "sequence": next(self.sequence)}
        request = {"verb": verb, "run": "r-1", "not_after": time.time() + 60, "fence": fence, **body}
        program = base64.b64encode(gzip.compress(self._program)).decode()
        script = (
            'd=$(mktemp -d); read -r p; printf %s "$p" | base64 -d | gunzip > $d/rmu_host.pyz; python3 $d/rmu_host.pyz'
        )
        sent = f"{program}\n{json.dumps(request)}".encode()
        done = self.machine.run(["bash", "-c", script], input=sent, timeout=timeout)
        lines = done.stdout.decode().strip().splitlines()
        assert lines, f"{verb} gave no answer: {done.stderr.decode()}"
        answer: Answer = json.loads(lines[-1])
        return answer

    def prepare(self, version: str, **config: str) -> Answer:
        """Prepare a release."""
        return self.ask("prepare", release=self.release(version, **config), database=DATABASE)

    def start(self, version: str, **ready: Any) -> Answer:
        """Start a release."""
        return self.ask("start", release=self.ref(version), ready={**READY, **ready})

    def serve(self, version: str | None, backup: str | None = None, probe: Answer | None = None) -> Answer:
        """Send traffic to a release."""
        return self.ask("serve", release=self.ref(version), backup=self.ref(backup), probe=probe)

    def deploy(self, version: str, **config: str) -> None:
        """Bring a release to serving, with its worker."""
        for answer in (self.prepare(version, **config), self.start(version), self.serve(version)):
            assert answer["outcome"] in ("changed", "already"), answer
        answer = self.ask("worker", release=self.ref(version))
        assert answer["outcome"] == "changed", answer

    def point(self, version: str | None) -> None:
        """Write the live pointer and the release's record, as rmu does."""
        table = self.aws("dynamodb")
        items = [("pointer", "pointer", {"release": version, "database": DATABASE})]
        if version:
            items.append(("release", f"release#{version}", self.release(version)))
        for pk, sk, body in items:
            item = {"pk": {"S": pk}, "sk": {"S": sk}, "body": {"S": json.dumps(body)}}
            table.put_item(TableName="rmu-twin", Item=item)

    def shell(self, script: str, timeout: float = 60) -> str:
        """Run a script on the host as root; return what it printed."""
        done = self.machine.run(["bash", "-c", script], timeout=timeout)
        return done.stdout.decode() + done.stderr.decode()

    def served(self) -> str | None:
        """Ask the front port who serves."""
        try:
            found: str = json.loads(self.shell("curl -s -m 5 localhost:8080/version"))["version"]
        except (ValueError, LookupError):
            return None
        return found

    def unit(self, version: str) -> str:
        """Name the unit of the slot that holds a release."""
        slots = self.ask("survey")["slots"]
        return "rmu-" + next(name for name, slot in slots.items() if slot["release"] == version)

    def inside(self, *argv: str) -> list[str]:
        """Prefix a command so that it runs in the ground's network, beside the host."""
        return ["nsenter", f"--net={self.site.netns_file}", "--", *argv]
