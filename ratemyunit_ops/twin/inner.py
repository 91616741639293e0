"""The gate's inner side, `/twin/ACTION`, as keepers and commands call it; and the public API for the same callers."""

import json
import urllib.request
from typing import Any

import boto3
from botocore.config import Config

from ratemyunit_ops.twin.site import Site


def call(site: Site, action: str, body: Any = None) -> Any:
    """Ask the gate, or tell it something; raises OSError when it does not answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{site.endpoint}/twin/{action}", data=data)  # noqa: S310  (always loopback)
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.loads(answer.read())


def client(site: Site, service: str, region: str | None = None) -> Any:
    """Speak the twin's AWS API, as anyone does; it believes any credentials."""
    make: Any = boto3.client  # the service is known at run time only
    return make(
        service,
        endpoint_url=site.endpoint,
        region_name=region or site.region,
        aws_access_key_id="twin",
        aws_secret_access_key="twin",  # noqa: S106
        config=Config(retries={"total_max_attempts": 1}),
    )
