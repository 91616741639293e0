"""What the operator wrote: rmu.toml and the environment. The only reader of both.

rmu.toml is found by RMU_CONFIG, else upward from the working directory.
"""

from __future__ import annotations

import os
import pwd
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from ratemyunit_ops.errors import Mistyped
from ratemyunit_ops.model import Severity
from ratemyunit_ops.spans import SpanOrIso


class Credentials(BaseModel):
    """Fixed credentials, for a local endpoint only: a real account's never stand in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    access_key: str
    secret_key: SecretStr


RESPOND_WITHIN: dict[Severity, timedelta] = {
    "SEV-1": timedelta(minutes=15),
    "SEV-2": timedelta(hours=1),
    "SEV-3": timedelta(hours=4),
}
"""The deployment review's response times: who has not acknowledged by then is paged again."""


class Environment(BaseModel):
    """One `[env.NAME]` of rmu.toml. Durations are written 5m, as seconds or as ISO 8601 has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    region: str
    account: str | None = None
    front_door: str
    endpoint: str | None = None
    registry: str | None = None
    profile: str | None = None
    credentials: Credentials | None = None
    start_hint: str | None = None
    confirm: bool = False
    bake: SpanOrIso = timedelta(minutes=5)
    ready_deadline: SpanOrIso = timedelta(minutes=2)
    warm_floor_mib: int = Field(default=150, ge=0)
    image_base: str | None = None
    allow_critical_findings: tuple[str, ...] = ()
    smoke: str = "a"
    tunnel: tuple[str, ...] = Field(
        default=("aws", "ec2-instance-connect", "open-tunnel", "--instance-id", "{host}", "--region", "{region}"),
        min_length=1,
        description="the command whose stdin and stdout lead to a host's sshd; {python} is the one that runs rmu",
    )
    measure_every: int = Field(default=60, ge=10, le=300, description="seconds between two looks of a host at itself")
    trusted_hops: int = Field(default=2, ge=0, description="proxies before the host: Cloudflare and the balancer")
    tfvars: str | None = None
    respond_within: Mapping[Severity, Annotated[SpanOrIso, Field(ge=timedelta(minutes=1))]] = Field(
        default_factory=lambda: RESPOND_WITHIN, description="what is not named is the review's"
    )
    slo: Literal["warn", "refuse"] = Field(default="warn", description="what a deploy does when a budget is gone")
    slo_speed: int = Field(default=1, ge=1, le=60, description="burn windows are so many times shorter: a local AWS")
    dashboard: str | None = Field(default=None, description="what people watch while a migration runs")
    app: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("respond_within")
    @classmethod
    def _all_severities(cls, named: Mapping[Severity, timedelta]) -> Mapping[Severity, timedelta]:
        return {**RESPOND_WITHIN, **named}


class File(BaseModel):
    """rmu.toml itself. An environment is looked at when it is picked: a mistake in one is not in the others' way."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    project: str = "ratemyunit"
    env: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Settings(BaseModel):
    """The settings of the environment that was picked."""

    model_config = ConfigDict(frozen=True)
    project: str
    environment: str
    picked_by_default: bool
    env: Environment
    path: Path

    @property
    def root(self) -> Path:
        """The folder rmu.toml lies in; the checkout, where there is one."""
        return self.path.parent

    @property
    def slo_tfvars(self) -> Path | None:
        """The file that `rmu slo compile` writes, beside the environment's tfvars; None where it has none."""
        tfvars = self.env.tfvars
        return self.root / f"{tfvars.removesuffix('.tfvars')}.slo.tfvars.json" if tfvars else None


DEFAULT_ENVIRONMENT = "twin"


def load(environment: str | None = None) -> Settings:
    """Read rmu.toml and pick an environment: named, else RMU_ENV, else `twin`.

    Raises:
        Mistyped: no file, or one that cannot be read; broken TOML, an unknown or wrong key (each with its line); an
            unknown environment.
    """
    path = _find()
    file = _parse(path)
    name = environment or os.environ.get("RMU_ENV") or DEFAULT_ENVIRONMENT
    known = file.env
    if name not in known:
        raise Mistyped(
            f"rmu.toml defines no environment “{name}” (it has: {', '.join(sorted(known)) or 'none'})",
            next=f"rmu status --env {next(iter(sorted(known)), 'NAME')}",
        )
    try:
        env = Environment.model_validate(known[name])
    except ValidationError as why:
        raise _wrong_key(path, f"env.{name}", why) from why
    return Settings(
        project=file.project,
        environment=name,
        picked_by_default=not (environment or os.environ.get("RMU_ENV")),
        env=env,
        path=path,
    )


def user() -> str:
    """Name who types, as `user@host`: by the real uid, as Terraform names the holder of its lock.

    A uid that nobody gave a name, as in a container, is called what USER says, as Terraform does, else by its number.
    """
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = os.environ.get("USER") or str(uid)
    return f"{name}@{os.uname().nodename}"


def journal() -> Path | None:
    """Name the folder that holds the ledger instead of the table: RMU_JOURNAL, for the disaster that took it."""
    named = os.environ.get("RMU_JOURNAL")
    return Path(named) if named else None


def cache_dir() -> Path:
    """Name the folder for what may be thrown away at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rmu"


def _find() -> Path:
    named = os.environ.get("RMU_CONFIG")
    if named:
        if not Path(named).is_file():
            raise Mistyped(f"RMU_CONFIG names {named}, which is no file", next="export RMU_CONFIG=PATH/rmu.toml")
        return Path(named).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "rmu.toml").is_file():
            return folder / "rmu.toml"
    raise Mistyped(
        "there is no rmu.toml here or in any folder above", next="cd into the checkout, or export RMU_CONFIG=PATH"
    )


def _parse(path: Path) -> File:
    try:
        return File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as why:
        raise Mistyped(f"{path} cannot be read: {why.strerror}", next=f"ls -l {path}") from why
    except UnicodeDecodeError as why:
        line = why.object[: why.start].count(b"\n") + 1
        raise Mistyped(f"{path}, line {line}: this is not UTF-8: {why.reason}", next=f"edit {path}") from why
    except tomllib.TOMLDecodeError as why:
        raise Mistyped(f"{path} is not valid TOML: {why}", next=f"edit {path}") from why
    except ValidationError as why:
        raise _wrong_key(path, "", why) from why


def _wrong_key(path: Path, section: str, why: ValidationError) -> Mistyped:
    """Say which key of a section is wrong, and where; the empty section is the file itself."""
    first = why.errors()[0]
    words = [str(part) for part in first["loc"]]
    line = _line_of(path, [*section.split("."), *words] if section else words)
    at = f", line {line}" if line else ""
    inside = f" [{section}]" if section else ""
    return Mistyped(
        f"{path}{at}:{inside} {'.'.join(words)}: {first['msg'].lower().removeprefix('value error, ')}",
        next=f"edit {path}",
    )


def _line_of(path: Path, words: Sequence[str]) -> int | None:
    """Find the line of a key, for the message; that of the table it should be in where the key is missing."""
    table: list[str] = []
    lines: dict[tuple[str, ...], int] = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        bare = text.split("#")[0].strip()
        header = re.fullmatch(r"\[([^\[\]]+)\]", bare)
        table = _names(header[1]) if header else table
        at = table if header else [*table, *_names(bare.split("=")[0])]
        if header or "=" in bare:
            for upto in range(len(at)):
                lines.setdefault(tuple(at[: upto + 1]), number)
    return next((lines[tuple(words[:n])] for n in range(len(words), 0, -1) if tuple(words[:n]) in lines), None)


def _names(dotted: str) -> list[str]:
    return [part.strip().strip('"') for part in dotted.split(".")]
