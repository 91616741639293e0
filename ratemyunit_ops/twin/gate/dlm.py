"""Data Lifecycle Manager, which moto lacks whole: policies are kept, as asked, under their ids, and can be made to run.

A policy that runs makes an image of every instance it means; the keeper copies the disk, and only then is it available.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.ec2.models import ec2_backends
from moto.moto_api._internal import mock_random

from ratemyunit_ops.twin.gate.agent import body_of, reply
from ratemyunit_ops.twin.gate.mend import ACCOUNT

POLICIES: dict[str, dict[str, Any]] = {}
PENDING: dict[str, str] = {}
"""Image -> the instance whose disk it will be a copy of."""


def is_asked(environ: dict[str, Any]) -> bool:
    """Tell whether a request is signed for DLM."""
    return "/dlm/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")


def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve one call of the DLM API."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].strip("/")
    kind, _, rest = path.partition("/")
    if kind == "tags":
        return _tags(environ, start_response, method, unquote(rest))
    if method == "POST":
        return reply(start_response, {"PolicyId": _create(_region(environ), body_of(environ))})
    if not rest:
        wanted = parse_qs(environ.get("QUERY_STRING", "")).get("policyIds", list(POLICIES))
        return reply(start_response, {"Policies": [_summary(POLICIES[id]) for id in wanted if id in POLICIES]})
    if rest not in POLICIES:
        return _not_found(start_response, rest)
    if method == "PATCH":
        POLICIES[rest].update(body_of(environ), DateModified=_now())
    elif method == "DELETE":
        del POLICIES[rest]
    return reply(start_response, {"Policy": POLICIES[rest]} if method == "GET" else {})


def run() -> list[str]:
    """Run every enabled image policy now, as its schedule would; answer the images that are being made."""
    made = []
    for policy in [one for one in POLICIES.values() if one["State"] == "ENABLED"]:
        region, details = policy["PolicyArn"].split(":")[3], policy["PolicyDetails"]
        if details["PolicyType"] != "IMAGE_MANAGEMENT":
            continue
        wanted = {(tag["Key"], tag["Value"]) for tag in details["TargetTags"]}
        for one in list(ec2_backends[ACCOUNT][region].all_instances()):
            tags = {(tag["key"], tag["value"]) for tag in one.get_tags()}
            if tags & wanted and one.state == "running":
                made += [_image(one, policy["PolicyId"], schedule) for schedule in details["Schedules"]]
    return made


def wanted() -> dict[str, str]:
    """Answer the images whose disks have to be copied, each with its instance."""
    return dict(PENDING)


def taken(images: list[str]) -> None:
    """Let images be available: their disks are there."""
    for id in images:
        PENDING.pop(id, None)
        for backend in list(ec2_backends[ACCOUNT].values()):
            if id in backend.amis:
                backend.amis[id].state = "available"


def _image(instance: Any, policy: str, schedule: dict[str, Any]) -> str:
    own = [{"Key": tag["key"], "Value": tag["value"]} for tag in instance.get_tags()] if schedule["CopyTags"] else []
    more = schedule.get("TagsToAdd", [])
    tags = [tag for tag in [*own, *more] if not tag["Key"].startswith("aws:")]
    name = f"{policy}_{instance.id}_{_now()}"
    made = instance.ec2_backend.create_image(
        instance.id, name, "made by DLM", [{"ResourceType": "image", "Tags": tags}]
    )
    made.state = "pending"
    PENDING[made.id] = instance.id
    return str(made.id)


def _create(region: str, asked: dict[str, Any]) -> str:
    id = f"policy-{mock_random.get_random_hex(17)}"
    details = {"PolicyType": "EBS_SNAPSHOT_MANAGEMENT", "ResourceLocations": ["CLOUD"], **asked["PolicyDetails"]}
    for schedule in details.get("Schedules", []):
        if "CronExpression" not in schedule.get("CreateRule", {}):
            schedule.get("CreateRule", {}).setdefault("Location", "CLOUD")
    POLICIES[id] = {
        "PolicyId": id,
        "PolicyArn": f"arn:aws:dlm:{region}:{ACCOUNT}:policy/{id}",
        "Description": asked["Description"],
        "State": asked["State"],
        "ExecutionRoleArn": asked["ExecutionRoleArn"],
        "DateCreated": _now(),
        "DateModified": _now(),
        "PolicyDetails": details,
        "Tags": asked.get("Tags", {}),
    }
    return id


def _tags(environ: dict[str, Any], start_response: Any, method: str, arn: str) -> Iterable[bytes]:
    policy = POLICIES.get(arn.rpartition("/")[2])
    if policy is None:
        return _not_found(start_response, arn)
    if method == "POST":
        policy["Tags"].update(body_of(environ)["Tags"])
    elif method == "DELETE":
        for key in parse_qs(environ.get("QUERY_STRING", "")).get("tagKeys", []):
            policy["Tags"].pop(key, None)
    return reply(start_response, {"Tags": policy["Tags"]} if method == "GET" else {})


def _summary(policy: dict[str, Any]) -> dict[str, Any]:
    short = {key: policy[key] for key in ("PolicyId", "Description", "State", "Tags")}
    return {**short, "PolicyType": policy["PolicyDetails"]["PolicyType"]}


def _not_found(start_response: Any, id: str) -> Iterable[bytes]:
    text = json.dumps({"Message": f"The policy {id} does not exist", "Code": "ResourceNotFoundException"}).encode()
    headers = [("Content-Type", "application/json"), ("x-amzn-ErrorType", "ResourceNotFoundException")]
    start_response("404 Not Found", [*headers, ("Content-Length", str(len(text)))])
    return [text]


def _region(environ: dict[str, Any]) -> str:
    return str(environ["HTTP_AUTHORIZATION"].partition("/dlm/")[0].rpartition("/")[2])


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
