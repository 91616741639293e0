"""What is said of an image's layers is read from its blobs: a secret in any of them is named, a hidden one too."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.twin.layers import layers, secrets

KEY = "-----BEGIN EC PRIVATE KEY-----\n" + "MHcCAQEEIA0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR\n" * 2
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n" + "MIIDazCCAlOgAwIBAgIUX0123456789abcdefghijklmnopqrstuvwxyzABCDEFG\n" * 2
CLEAN = {
    "usr/bin/python3": "\x7fELF -----BEGIN PRIVATE KEY----- -----END",
    "opt/app/ratemyunit/api.py": "SECRET = None\n",
}


def keep(cache: Path, *contents: dict[str, str]) -> str:
    """Keep an image of these layers as a build does; return its digest."""
    parts = [{"digest": put(cache, packed(files)), "size": len(packed(files))} for files in contents]
    history = [{"created_by": f"COPY {n}"} for n, _ in enumerate(contents)]
    config = {"history": [{"created_by": "ENV X=1", "empty_layer": True}, *history]}
    manifest = {"config": {"digest": put(cache, json.dumps(config).encode())}, "layers": parts}
    return put(cache, json.dumps(manifest).encode())


def put(cache: Path, blob: bytes) -> str:
    name = hashlib.sha256(blob).hexdigest()
    (cache / "blobs/sha256").mkdir(parents=True, exist_ok=True)
    (cache / "blobs/sha256" / name).write_bytes(blob)
    return f"sha256:{name}"


def packed(files: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return gzip.compress(out.getvalue(), mtime=0)


def test_layers_are_listed_lowest_first_with_what_made_them(tmp_path: Path) -> None:
    made = layers(tmp_path, keep(tmp_path, CLEAN, {"a": "b"}))

    assert [(layer.made_by, [name for name, _ in layer.files()]) for layer in made] == [
        ("COPY 0", list(CLEAN)),
        ("COPY 1", ["a"]),
    ]
    assert [layer.compressed for layer in made] == [layer.blob.stat().st_size for layer in made]


def test_a_clean_image_holds_no_secret(tmp_path: Path) -> None:
    assert secrets(layers(tmp_path, keep(tmp_path, CLEAN)), [b"https://ann:pw@index.example/simple"]) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("opt/app/server.pem", f"x\n{KEY}"),
        ("etc/pip.conf", "[global]\nno-input = true\n"),
        ("root/.netrc", "machine index.example"),
        ("run/secrets/ca", CERTIFICATE),
        ("etc/ssl/certs/ca-certificates.crt", CERTIFICATE),
        ("opt/venv/setup.cfg", "index = https://ann:pw@index.example/simple"),
    ],
)
def test_a_secret_is_named_even_where_a_later_layer_hides_it(tmp_path: Path, name: str, text: str) -> None:
    digest = keep(tmp_path, {**CLEAN, name: text}, {f"{Path(name).parent}/.wh.{Path(name).name}": ""})
    lent = ["".join(CERTIFICATE.splitlines(keepends=True)[1:3]), "https://ann:pw@index.example/simple"]

    found = secrets(layers(tmp_path, digest), [value.encode() for value in lent])

    assert [said.partition(":")[0] for said in found] == [name]
