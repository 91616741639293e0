"""What a twin is made of right now: addresses, hosts, databases, as other programs read it."""

import json
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.twin import door
from ratemyunit_ops.twin.inner import call, client
from ratemyunit_ops.twin.site import Site
from ratemyunit_ops.twin.up import is_up

ENVIRONMENT = "twin"


def status(site: Site) -> dict[str, Any]:
    """Describe a twin.

    Raises Refused when it does not run.
    """
    if not is_up(site):
        raise Refused(f"the twin {site.name} does not run", next="rmu twin up")
    wanted = call(site, "wanted")
    return {
        "name": site.name,
        "endpoint": site.endpoint,
        "region": site.region,
        "front_door": f"http://127.0.0.1:{site.front_door_port}",
        "hosts": _hosts(wanted),
        "databases": _databases(site, wanted),
        "registry": f"127.0.0.1:{site.registry_outside}",
    }


def _hosts(wanted: dict[str, Any]) -> list[dict[str, Any]]:
    members = {one["id"]: one for group in wanted["groups"] for one in group["instances"]}
    rows = [
        {
            "id": row["id"],
            "address": row["address"],
            "type": row["type"],
            "machine": row["machine"],
            "lifecycle": members.get(row["id"], {}).get("lifecycle"),
            "targets": members.get(row["id"], {}).get("targets", []),
        }
        for row in wanted["instances"]
        if row["state"] not in ("terminated", "shutting-down")
    ]
    # Those in service first: one that drains is still listed.
    return sorted(rows, key=lambda row: row["lifecycle"] != "InService")


def _databases(site: Site, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    live = _live_database(site)
    password = _app_password(site)
    ports = {address: port for port, address in door.published(site).items()}
    rows = []
    for row in wanted["databases"]:
        port = ports.get(f"{row['machine_address']}:{row['port']}")
        url = None
        if port is not None and password is not None:
            url = f"postgresql://rmu_app:{quote(password, safe='')}@127.0.0.1:{port}/{row['database']}?sslmode=require"
        rows.append({"identifier": row["id"], "status": row["status"], "port": port, "url": url})
    return sorted(rows, key=lambda row: row["identifier"] != live)


def _live_database(site: Site) -> str | None:
    """Read the live pointer; before the first deploy there is none."""
    key = {"pk": {"S": "pointer"}, "sk": {"S": "pointer"}}
    try:
        item = client(site, "dynamodb").get_item(TableName=f"rmu-{ENVIRONMENT}", Key=key, ConsistentRead=True)
    except ClientError:
        return None
    if "Item" not in item:
        return None
    pointer = json.loads(item["Item"]["body"]["S"])
    found: str | None = (pointer.get("database") or {}).get("identifier")
    return found


def _app_password(site: Site) -> str | None:
    name = f"/rmu/{ENVIRONMENT}/db/app_password"
    try:
        value: str = client(site, "ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    except ClientError:
        return None
    return value
