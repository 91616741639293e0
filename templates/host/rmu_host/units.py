"""The text of a slot's Quadlet unit and of its environment. Rendered whole for one release, never edited."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .cloud import Cloud
from .machine import Machine
from .state import PORTS, WORKER_PORT, record, settings

PROGRAM = "/usr/local/lib/rmu/rmu_host.pyz"
REDIS = "redis://127.0.0.1:6379/0"
TRUST = "/etc/rmu/rds-ca.pem"
DATABASE = "ratemyunit"

# A newcomer is the first to go when memory runs out; `traffic.protect` turns the scale for what serves.
NEWCOMER = 500
SERVING = 0

# StopTimeout: podman's own default of 10 s would kill what still finishes its requests. ExecStartPre: no container
# runs without the guard of the metadata service; not by Requires=, since an upgrade that restarts nftables would then
# restart what serves. ExecStartPost: one that restarts by itself while it serves must not come back as a newcomer.
SLOT = """\
# Written whole by rmu for release {version}; edits are lost.
[Unit]
Description=rmu {slot}: {version}
Wants=nftables.service
After=network-online.target nftables.service redis-server.service

[Container]
ContainerName=rmu-{slot}
Image={image}@{digest}
Pull=never
Exec={role}
Network=host
User=10001
Group=10001
ReadOnly=true
Tmpfs=/tmp:rw,size={tmp},mode=1777
DropCapability=all
NoNewPrivileges=true
EnvironmentFile=/run/rmu/{slot}.env
Volume={trust}:{trust}:ro
LogDriver=journald
PodmanArgs=--oom-score-adj={newcomer}
StopTimeout=40

[Service]
ExecStartPre=/bin/sh -c 'nft list chain inet rmu output > /dev/null'
ExecStartPre=/usr/bin/python3 -I {program} environment {slot}
ExecStartPost=-/usr/bin/python3 -I {program} protect
ExecStopPost=/bin/rm -f /run/rmu/{slot}.env
Restart=always
RestartSec=2
TimeoutStartSec=90
TimeoutStopSec=45
OOMScoreAdjust={newcomer}
OOMPolicy={oom}
MemoryMax={memory}
"""


def unit(slot: str, release: dict[str, Any]) -> str:
    """Render the Quadlet unit of a slot (or of the worker) for one release."""
    worker = slot == "worker"
    return SLOT.format(
        slot=slot,
        version=release["version"],
        image=release["image"],
        digest=release["digest"],
        role="worker" if worker else "api",
        trust=TRUST,
        program=PROGRAM,
        newcomer=NEWCOMER,
        # Chromium's renderers die alone; a slot that lost its server is restarted whole.
        oom="continue" if worker else "stop",
        memory="60%" if worker else "45%",
        tmp="256m" if worker else "64m",
    )


def environment(slot: str, held: dict[str, Any], host: dict[str, Any], instance: str, cloud: Cloud) -> str:
    """Render the environment of a slot: config pinned to its release, credentials as they are today.

    Raises KeyError naming a secret that does not exist, ValueError naming one that an environment file cannot hold.
    """
    role = "migrate" if slot == "migrate" else "app"
    base = f"/rmu/{host['env']}"
    password = f"{base}/db/{role}_password"
    names = {name: name if name.startswith("/") else f"{base}/app/{name}" for name in held.get("secrets") or ()}
    secrets = cloud.parameters([password, *names.values()])
    values = {
        "REDIS_URL": REDIS,
        **(held.get("config") or {}),
        **{name.rsplit("/", 1)[-1].upper(): secrets[path] for name, path in names.items()},
        "DATABASE_URL": database_url(held["database"], f"rmu_{role}", secrets[password]),
        "DATABASE_ID": held["database"]["identifier"],
        "RELEASE_VERSION": held["release"],
        "RELEASE_DIGEST": held["digest"],
        "HOST_ID": instance,
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(PORTS.get(slot, WORKER_PORT)),
    }
    for name, value in values.items():
        if "\n" in str(value):
            raise ValueError(name)
    return "".join(f"{name}={value}\n" for name, value in values.items())


def database_url(database: dict[str, Any], role: str, password: str) -> str:
    """Spell the libpq URL of a database; the server's certificate is checked against the RDS bundle."""
    place = f"{database['address']}:{database['port']}/{DATABASE}"
    return f"postgresql://{role}:{quote(password, safe='')}@{place}?sslmode=verify-full&sslrootcert={TRUST}"


def write_environment(m: Machine, slot: str) -> None:
    """Write the environment of a slot into its tmpfs file: called by the unit before it starts.

    Raises SystemExit for a slot that holds nothing.
    """
    held = record(m, slot)
    if held is None:
        raise SystemExit(f"slot {slot} holds no release")
    host = settings(m)
    m.write(f"/run/rmu/{slot}.env", environment(slot, held, host, m.instance(), Cloud(host)), mode=0o600)
