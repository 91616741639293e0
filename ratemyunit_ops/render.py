"""Templates become text here, and the host program becomes one archive. Writes nothing.

A template with a value too few is an error, never an empty string.
"""

from __future__ import annotations

import base64
import functools
import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from ratemyunit_ops.leaner import lean
from ratemyunit_ops.shipped import shipped

USER_DATA_LIMIT = 16 * 1024
"""EC2's limit for user data, before base64."""

HOST_SETTINGS = ("env", "region", "table", "asg", "hook", "repository", "project")
"""What a host knows of its environment: the keys of `/etc/rmu/host.json`."""

_PACKAGES = (
    *("ca-certificates", "curl", "podman", "crun", "haproxy", "redis-server", "nftables"),
    *("python3-boto3", "amazon-ecr-credential-helper", "postgresql-client"),
    *("openssh-server", "sudo"),
)
_OF_BOOT = frozenset(
    {
        "__init__",
        "main",
        "answers",
        "boot",
        "cloud",
        "follow",
        "log",
        "machine",
        "ready",
        "slots",
        "state",
        "traffic",
        "units",
        "vitals",
    }
)
"""All that user data has room for."""
_SALVAGING = frozenset({"data_salvage", "data_apply"})
_ASIDE = frozenset({"data_rows", "follow", "stale", "tidy", "vitals"})
"""What a salvage has no need of, and no room for."""
_CARRIED = ("haproxy.cfg", "hold.lua")
"""Files a request brings along, for a host whose HAProxy is older than its caller."""

_FILES = {
    "hold": "/etc/haproxy/hold.lua",
    "haproxy": "/etc/haproxy/haproxy.cfg",
    "nftables": "/etc/nftables.conf",
    "redis": "/etc/redis/redis.conf",
    "podman": "/etc/containers/storage.conf",
    "boot": "/etc/systemd/system/rmu-boot.service",
    "follow": "/etc/systemd/system/rmu-follow.service",
    "vitals": "/etc/systemd/system/rmu-vitals.service",
    "timer": "/etc/systemd/system/rmu-vitals.timer",
    "agent": "/etc/rmu/cloudwatch-agent.json",
    "keys": "/etc/rmu/ssh-keys",
    "sudoers": "/etc/sudoers.d/rmu-sudoers",
    "sshd": "/etc/ssh/sshd_config.d/10-rmu-sshd.conf",
}


def render(template: str, values: Mapping[str, Any]) -> str:
    """Render a template to text.

    Raises jinja2.UndefinedError naming a value that is missing.
    """
    house = jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701  (configuration files, not HTML)
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return house.get_template(template).render(values)


def page(template: str, values: Mapping[str, Any]) -> str:
    """Render a page for people: HTML, whose values are escaped, or Markdown.

    Raises jinja2.UndefinedError naming a value that is missing.
    """
    return _pages().get_template(template).render(values)


@functools.cache
def _pages() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(shipped("templates")),
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(("html",)),
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def host_program(*, boot_only: bool = False, salvage: bool = True, aside: bool = True) -> bytes:
    """Return the host program as a zip archive that Python runs; the same sources give the same bytes.

    What only a request needs is left out for the boot, since user data is small: every request brings it along.
    """
    archive = io.BytesIO()
    # Stored, not deflated: whoever carries it compresses it whole, which is smaller.
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as z:
        for name, source in _sources(boot_only=boot_only, salvage=salvage, aside=aside):
            z.writestr(zipfile.ZipInfo(name), source)
    return archive.getvalue()


def _sources(*, boot_only: bool, salvage: bool = True, aside: bool = True) -> list[tuple[str, str]]:
    package = shipped("templates") / "host" / "rmu_host"
    left_out = frozenset() if aside else _ASIDE
    names = [f for f in package.glob("*.py") if f.stem not in left_out and (f.stem in _OF_BOOT or not boot_only)]
    sources = {f"rmu_host/{f.name}": lean(f.read_text()) for f in names if salvage or "salvage" not in f.stem}
    if not boot_only:
        # How many proxies stand in front, the host knows.
        sources |= {f"rmu_host/{n}": render(f"host/files/{n}", {"trusted_hops": "TRUSTED_HOPS"}) for n in _CARRIED}
    sources["__main__.py"] = "import sys\nfrom rmu_host.main import main\nsys.exit(main(sys.argv[1:]))\n"
    return sorted(sources.items())


def host_program_text(verb: str) -> str:
    """Return the host program as SSM carries it with a verb: base64 of its gzip."""
    return _text(verb in _SALVAGING)


@cache
def _text(salvage: bool) -> str:
    return base64.b64encode(gzip.compress(host_program(salvage=salvage, aside=not salvage), mtime=0)).decode()


def user_data(values: Mapping[str, Any]) -> bytes:
    """Return the gzipped user data of a host: a few lines that unpack themselves.

    `values` are the host's settings (`HOST_SETTINGS`), `trusted_hops`, the number of proxies in front of it, and
    `measure_every`, the seconds between two looks at how it is.

    Raises jinja2.UndefinedError for a value that is missing, ValueError when the result exceeds EC2's limit.
    """
    parts = [
        render("host/unpack.in", {}),
        first_boot(values),
        *(part for source in _sources(boot_only=True) for part in source),
    ]
    # One dictionary for script, files and program: packed apart they are a kilobyte larger.
    body = base64.b64encode(lzma.compress("\0".join(parts).encode(), format=lzma.FORMAT_ALONE, filters=[_TEXT]))
    head, tail = render("host/user_data.in", {"packed": "\0"}).encode().split(b"\0")
    packer = zlib.compressobj(9, wbits=31, memLevel=9, strategy=zlib.Z_FILTERED)
    packed = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)  # base64 wants a code of its own
    packed += packer.compress(body + tail) + packer.flush()
    if len(packed) > USER_DATA_LIMIT:
        raise ValueError(f"user data has {len(packed)} bytes, EC2 takes {USER_DATA_LIMIT}")
    return packed


_TEXT = {"id": lzma.FILTER_LZMA1, "preset": 9 | lzma.PRESET_EXTREME, "lp": 0, "pb": 0, "dict_size": 1 << 20}
"""How text packs best."""


def first_boot(values: Mapping[str, Any]) -> str:
    """Return the script of a host's first boot, as user data unpacks it."""
    settings = {key: values[key] for key in HOST_SETTINGS}
    registry = str(values["repository"]).split("/", 1)[0]
    files = [(name, path, render(f"host/files/{Path(path).name}", values)) for name, path in _FILES.items()]
    files += [
        ("settings", "/etc/rmu/host.json", json.dumps(settings, indent=1) + "\n"),
        ("auth", "/etc/rmu/auth.json", json.dumps({"credHelpers": {registry: "ecr-login"}}) + "\n"),
    ]
    return render("host/first_boot.sh", {**values, "files": files, "packages": " ".join(_PACKAGES)})
