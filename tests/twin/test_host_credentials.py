"""A host's credentials, where the metadata service takes its time: a server alone on loopback."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rmu_host.cloud import Cloud

BOTOCORES_OWN = 1.0
KEYS = {"AccessKeyId": "ours", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}


class SlowMetadata(BaseHTTPRequestHandler):
    """Takes its time to give a token, as on a busy host, and gives nothing without one."""

    def do_PUT(self) -> None:
        time.sleep(BOTOCORES_OWN + 0.5)
        self._say("token")

    def do_GET(self) -> None:
        if self.headers["x-aws-ec2-metadata-token"] != "token":
            self.send_error(401)
        else:
            self._say("role" if self.path.endswith("/") else json.dumps({"Code": "Success", **KEYS}))

    def _say(self, text: str) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_a_host_whose_metadata_service_is_slow_has_its_credentials_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), SlowMetadata) as imds:
        threading.Thread(target=imds.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{imds.server_port}/")

        found = Cloud({"region": "us-east-1"})._session.get_credentials()
        imds.shutdown()

    assert found is not None and found.access_key == "ours"
