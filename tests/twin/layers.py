"""What lies in the layers of a kept image: each file as it would be unpacked, for whoever weighs or searches them.

The layers are read from the OCI layout that builds are kept in, so nothing has to run, and a file that a later layer
hides is looked at, too.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Names under which programs keep what opens something.
KEPT_SECRETS = frozenset(
    {"pip.conf", ".pypirc", ".netrc", ".pgpass", ".git-credentials", ".htpasswd", ".env", "id_rsa", "id_ed25519"}
)
# With its body: libraries that read keys hold the first line alone.
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+(?:[\w-]+: [^\n]*\s+)*[A-Za-z0-9+/=\r\n]{60}")


@dataclass(frozen=True)
class Layer:
    """One layer: the command that made it, how much of it moves, and its files."""

    made_by: str
    compressed: int
    blob: Path

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Unpack its files, one after another."""
        with tarfile.open(self.blob) as tar:
            for entry in tar:
                if entry.isfile() and (file := tar.extractfile(entry)):
                    yield entry.name.removeprefix("./"), file.read()


def layers(cache: Path, digest: str) -> list[Layer]:
    """List a kept image's layers, lowest first."""
    blobs = cache / "blobs"
    manifest = json.loads((blobs / digest.replace(":", "/")).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].replace(":", "/")).read_text())
    made = [step["created_by"] for step in config["history"] if not step.get("empty_layer")]
    return [
        Layer(by, layer["size"], blobs / layer["digest"].replace(":", "/"))
        for by, layer in zip(made, manifest["layers"], strict=True)
    ]


def secrets(image: Sequence[Layer], known: Sequence[bytes] = ()) -> list[str]:
    """Name every file that holds a private key, a value in `known`, or that is kept for nothing but secrets."""
    found = []
    for layer in image:
        for name, body in layer.files():
            path = PurePosixPath(name)
            if body and (path.name in KEPT_SECRETS or path.is_relative_to("run/secrets")):
                found.append(f"{name}: its name")
            elif PRIVATE_KEY.search(body):
                found.append(f"{name}: a private key")
            elif any(value in body for value in known):
                found.append(f"{name}: a value of the build's own")
    return found
