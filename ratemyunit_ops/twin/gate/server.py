"""The gate's process: moto's server on one address inside the twin's namespace, mended, with our own few paths."""

import argparse
import logging
import os
from collections.abc import Iterable
from typing import Any

# moto reads its environment when imported.
os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import run_simple

from ratemyunit_ops.twin.gate import (
    agent,
    autoscaling,
    cloudwatch,
    dlm,
    ec2,
    ecr,
    elbv2,
    inside,
    rds,
    rds_backups,
    rds_restore,
    rereads,
    ssm,
)

MENDED = (autoscaling, cloudwatch, ec2, ecr, elbv2, rds, rds_backups, rds_restore, rereads, ssm)


class Gate:
    """Ours first, moto's otherwise."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if path.startswith("/twin-agent/"):
            return agent.answer(environ, start_response)
        if path.startswith("/twin/"):
            return inside.answer(environ, start_response)
        if dlm.is_asked(environ):
            return dlm.answer(environ, start_response)
        answered: Iterable[bytes] = self.moto(environ, start_response)
        return answered


class Quiet(MotoRequestHandler):
    """Log API calls; the keepers' and agents' polls would drown them."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if not self.path.startswith("/twin"):
            super().log_request(code, size)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    run_simple(asked.host, asked.port, Gate(), threaded=True, request_handler=Quiet)


if __name__ == "__main__":
    main()
