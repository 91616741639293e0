"""An image of the smallest app, made in seconds from the twin's base: its Python, what that links to, one file."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

from tests.contract_app.app import HEAD

PYTHON = "usr/bin/python3.13"
LIBRARY = "usr/lib/python3.13"
LEFT_OUT = ("__pycache__", "/test", "/idlelib", "/ensurepip", "/lib2to3", "/pydoc_data")


def make(base: Path, where: Path) -> Path:
    """Write the root file system as a tar file; return it."""
    made = where / "contract-app.tar"
    with tarfile.open(made, "w") as tar:
        for name in [PYTHON, *linked(base)]:
            tar.add((base / name).resolve(), arcname=name)
        tar.add(base / LIBRARY, arcname=LIBRARY, filter=wanted)
        for link, target in (("lib", "usr/lib"), ("lib64", "usr/lib64"), ("bin", "usr/bin")):
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        tar.add(Path(__file__).with_name("app.py"), arcname="app/app.py")
    return made


def linked(base: Path) -> list[str]:
    """Name the shared libraries that Python and its own modules link to, and the loader."""
    modules = [f"/{f.relative_to(base)}" for f in (base / LIBRARY / "lib-dynload").glob("*.so")]
    said = subprocess.run(
        ["chroot", base, "ldd", f"/{PYTHON}", *modules], capture_output=True, text=True, check=True
    ).stdout
    words = {w for line in said.splitlines() for w in line.split() if w.startswith("/") and not w.endswith(":")}
    real = {str(Path("/usr") / w.lstrip("/")) if not w.startswith("/usr") else w for w in words}
    return sorted(w.lstrip("/") for w in real)


def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what the app never imports."""
    return None if any(part in entry.name for part in LEFT_OUT) else entry


def push(tar: Path, registry: str, version: str) -> str:
    """Import the tar as the image of a version, push it, return its digest."""
    name = f"{registry}/rmu-twin/app:{version}"
    entry = 'ENTRYPOINT ["/usr/bin/python3.13", "-I", "/app/app.py"]'
    # A label of its own gives each version a digest of its own.
    labels = {"release": version, **{f"rmu.schema.{name}": HEAD for name in ("head", "oldest", "admits")}}
    # One label each: podman takes a line of several for one.
    changes = [f"--change=LABEL {key}={value}" for key, value in labels.items()]
    podman("import", "--quiet", f"--change={entry}", *changes, str(tar), name)
    digest = tar.with_name(f"{version}.digest")
    podman("push", "--quiet", "--tls-verify=false", "--digestfile", str(digest), name)
    podman("rmi", name)
    return digest.read_text().strip()


def podman(*argv: str) -> None:
    """Run podman."""
    subprocess.run(["podman", *argv], check=True, capture_output=True)
