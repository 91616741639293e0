"""The private bucket, from a host: what a salvage wrote goes there, since an answer has no room for rows."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from .cloud import Cloud


class Bucket:
    """The files of one salvage, under `salvage/RUN/`: all that this host's role may touch there."""

    def __init__(self, cloud: Cloud, bucket: str, run: str) -> None:
        self._cloud, self._bucket, self._run = cloud, bucket, run

    def put(self, place: Path) -> None:
        """Send a file, under its own name."""
        with place.open("rb") as body:
            self.send(place.name, body)

    def send(self, name: str, body: BinaryIO) -> None:
        """Send what is to be a file."""
        self._cloud._client("s3").put_object(Bucket=self._bucket, Key=self._key(name), Body=body)

    def get(self, name: str) -> bytes | None:
        """Fetch a file, None where there is none (or the role may not say so)."""
        s3 = self._cloud._client("s3")
        try:
            found: bytes = s3.get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read()
        except s3.exceptions.ClientError as why:
            if why.response["Error"]["Code"] not in ("NoSuchKey", "AccessDenied"):
                raise
            return None
        return found

    def _key(self, name: str) -> str:
        return f"salvage/{self._run}/{name}"
