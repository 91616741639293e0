"""The gate's process: moto's server on one address inside the twin's namespace, mended, with our own few paths."""

import argparse
import itertools
import logging
import os
import threading
import time
import traceback
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
    alarms,
    autoscaling,
    cloudwatch,
    dlm,
    ec2,
    ecr,
    elbv2,
    events,
    inside,
    instance_connect,
    logs,
    measured,
    rds,
    rds_backups,
    rds_restore,
    rereads,
    schedules,
    sns,
    ssm,
)
from ratemyunit_ops.twin.gate.lag import LAG
from ratemyunit_ops.twin.gate.metrics import STORES

MENDED = (
    autoscaling,
    cloudwatch,
    ec2,
    ecr,
    elbv2,
    events,
    instance_connect,
    logs,
    rds,
    rds_backups,
    rds_restore,
    rereads,
    sns,
    ssm,
)


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
        return LAG.answer(environ, start_response, self.moto)


class Quiet(MotoRequestHandler):
    """Log API calls; the keepers' and agents' polls would drown them."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        ships = self.headers.get("X-Amz-Target", "").endswith(".PutLogEvents")
        if not self.path.startswith("/twin") and not ships:
            super().log_request(code, size)


def keep_time() -> None:
    """Every second: judge alarms, fire schedules, now and then measure what the record tells and let old points go.

    The same failure is told once.
    """
    told: set[str] = set()
    for beat in itertools.count():
        began = time.time()
        for act, every in ((measured.look, 5), (alarms.tick, 1), (schedules.tick, 1), (_age, 30)):
            try:
                if beat % every == 0:
                    act(began)
            except Exception as why:  # noqa: BLE001  (a clock that stops is worse than one that stumbles)
                if repr(why) not in told:
                    told.add(repr(why))
                    traceback.print_exc()
        time.sleep(max(0.05, 1.0 - (time.time() - began)))


def _age(now: float) -> None:
    for store in list(STORES.values()):
        store.age(now)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.INFO)
    threading.Thread(target=keep_time, name="clock", daemon=True).start()
    run_simple(asked.host, asked.port, Gate(), threaded=True, request_handler=Quiet)


if __name__ == "__main__":
    main()
