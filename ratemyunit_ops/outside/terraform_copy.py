"""The working copy of Terraform's sources, and the few files that rmu adds to it. Each use begins with a fresh copy.

The sources themselves may be read-only: they travel in the wheel.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

# The bootstrap root names no backend of its own: its bucket is what it makes.
BOOTSTRAP_BACKENDS = {
    "s3": 'terraform {\n  backend "s3" {\n    use_lockfile = true\n    encrypt      = true\n  }\n}\n',
    "local": 'terraform {\n  backend "local" {}\n}\n',
}
KEPT = {"modules/database": '"aws_db_instance" "this"'}
"""What no plan may destroy (`prevent_destroy`), but for `rmu infra destroy`: the module, and the resource in it."""


def fresh(source: Path, to: Path) -> None:
    """Copy the sources, whole, over an older copy. Modes are not copied: the wheel's may be read-only."""
    wanted = {f.relative_to(source) for f in source.rglob("*") if f.is_file() and ".terraform" not in f.parts}
    wanted = {f for f in wanted if not f.name.startswith("terraform.tfstate")}
    for old in [f for f in to.rglob("*") if f.is_file() and f.relative_to(to) not in wanted]:
        old.unlink()
    for name in wanted:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        (to / name).write_bytes((source / name).read_bytes())


def name_backend(bootstrap: Path, *, remote: bool) -> None:
    """Name the backend of the bootstrap root."""
    (bootstrap / "rmu_backend.tf").write_text(BOOTSTRAP_BACKENDS["s3" if remote else "local"])


def write_imports(file: Path, ids: Mapping[str, str]) -> None:
    """Ask for imports, by address and id; they are planned and applied like any change."""
    blocks = [f"import {{\n  to = {address}\n  id = {json.dumps(id)}\n}}\n" for address, id in ids.items()]
    file.write_text("\n".join(blocks))


def use_state(root: Path, state: Path) -> None:
    """Let a root use a state in a file, in place of its own."""
    backend = f'  backend "local" {{\n    path = {json.dumps(str(state))}\n  }}\n'
    (root / "rmu_state_override.tf").write_text(f"terraform {{\n{backend}}}\n")


def allow_destruction(copy: Path) -> None:
    """Take `prevent_destroy` out of the copy: a variable cannot."""
    for module, resource in KEPT.items():
        if (copy / module).exists():
            block = f"resource {resource} {{\n  lifecycle {{\n    prevent_destroy = false\n  }}\n}}\n"
            (copy / module / "rmu_destroy_override.tf").write_text(block)
