"""Terraform as the port `Infra`: commands built by python-terraform, run here, read as JSON.

The sources may be read-only (they travel in the wheel), so each use works on a copy of its own. Nothing is passed as an
argument that could be a secret: credentials go by environment, values by a file.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from python_terraform import IsFlagged
from python_terraform import Terraform as CommandLine

from ratemyunit_ops.errors import NOTHING_CHANGED, Busy, Failed, Interrupted, Refused
from ratemyunit_ops.model import PlanSummary
from ratemyunit_ops.outside.aws.session import Account
from ratemyunit_ops.outside.terraform_adopt import BY_NAME, Death, exists, find, kind_of, wait_for_address
from ratemyunit_ops.outside.terraform_copy import allow_destruction, fresh, name_backend, use_state, write_imports
from ratemyunit_ops.outside.terraform_log import POLL_S, Log, OnEvent, resources, summary_of
from ratemyunit_ops.ports import Identity, LockHolder

Variables = Mapping[str, str]

MIRROR = "/opt/*/registry.terraform.io"
"""Where a machine may keep providers, so that no registry is asked."""
PATIENCE_S = 30 * 60.0
"""How long to wait for a Terraform of an earlier rmu that still works; one database may take that long."""
OURS_ALONE = ("TF_LOG", "TF_VAR_", "TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR", "TF_REATTACH")
"""Variables that would change what Terraform does behind our back; TF_LOG would even write passwords down."""


class TerraformFailed(Failed):
    """Terraform stopped after it may have changed something."""


class TerraformRefused(Refused):
    """Terraform refused before it changed anything."""


@dataclass(frozen=True)
class Folders:
    """Where Terraform's sources lie, where it may write, and the environment's own values (None: it has none).

    `alarms` are the values that `rmu slo compile` wrote.
    """

    sources: Path
    work: Path
    tfvars: Path | None = None
    alarms: Path | None = None
    mirror: Path | None = None


class Terraform:
    """Terraform's roots `bootstrap` and `stack` of one environment."""

    def __init__(self, environment: str, account: Account, identity: Identity, folders: Folders) -> None:
        self._environment = environment
        self._account = account
        self._identity = identity
        self._folders = folders
        self._lock_fd = -1

    def plan(self, root: str, variables: Variables) -> PlanSummary:
        """Plan without changing anything.

        Raises:
            Refused: Terraform cannot plan; its own words say why.
            Busy: someone else holds the state.
        """
        with self._alone():
            return self._plan(root, variables)

    def apply(self, root: str, variables: Variables, on_event: OnEvent) -> PlanSummary:
        """Plan and apply that very plan; answer what was done.

        Raises:
            Refused: Terraform cannot plan; nothing was changed.
            Busy: someone else holds the state.
            TerraformFailed: it stopped half-way; what it made is in its state.
        """
        with self._alone():
            summary = self._plan(root, variables)
            if not summary.empty:
                self._change(root, "apply", self._plan_file(root), on_event=on_event)
            if root == "bootstrap":
                self._move_state_in(root)
            return summary

    def destroy(self, root: str, variables: Variables, on_event: OnEvent) -> None:
        """Destroy everything of the root. Raises what `apply` raises."""
        with self._alone():
            self._init(root)
            allow_destruction(self._home / "src")
            options = {"auto_approve": IsFlagged, "var_file": self._value_files(root, variables)}
            self._change(root, "destroy", on_event=on_event, **options)

    def held(self, root: str, address: str) -> str:
        """Name what the state holds at a resource's address; empty for nothing. Raises Refused, Busy."""
        with self._alone():
            self._init(root)
            return self._held(root, address)

    def adoption(self, root: str, address: str, name: str, variables: Variables) -> PlanSummary:
        """Plan to hold another thing at an address, on a copy of the state. Raises what `plan` raises."""
        with self._alone():
            self._init(root)
            copy = self._home / f"{root}-copy.tfstate"
            try:
                copy.write_text(self._read(root, "state pull"))
                use_state(self._folder(root), copy)
                self._read(root, "init", input=False, reconfigure=IsFlagged)
                self._let_go(root, address, name)
                write_imports(self._imports(root), {} if self._held(root, address) else {address: name})
                return self._planned(root, variables, out=f"{copy}.plan")
            finally:
                for left in (*self._home.glob(f"{copy.name}*"), *self._home.glob(f"{root}-state-pull.*")):
                    left.unlink()

    def adopt(self, root: str, address: str, name: str, variables: Variables, on_event: OnEvent) -> PlanSummary:
        """Let go of what the state holds at an address, import another thing there, apply; answer what was done.

        Raises:
            Refused: Terraform cannot plan.
            Busy: someone else holds the state.
            TerraformFailed: it would replace or destroy something, or it stopped half-way.
        """
        with self._alone():
            self._init(root)
            self._let_go(root, address, name)
            self._remember(root, {address: name})
            summary = self._plan(root, variables)
            if summary.replace or summary.destroy:
                raise TerraformFailed(
                    f"terraform would replace or destroy {', '.join([*summary.replace, *summary.destroy])}",
                    state=f"The state has let go of the old {kind_of(address)}; nothing was applied.",
                    next=f"mend it, then: rmu infra adopt --env {self._environment}",
                )
            if not summary.empty:
                self._change(root, "apply", self._plan_file(root), on_event=on_event)
            return summary

    def output(self, root: str) -> Mapping[str, str]:
        """Read the root's outputs; those of a map are named `output.key`. Raises Refused."""
        with self._alone():
            self._init(root)
            found = json.loads(self._read(root, "output", json=IsFlagged))
        flat: dict[str, str] = {}
        for name, output in found.items():
            value = output["value"]
            inner = value if isinstance(value, dict) else {"": value}
            flat.update({f"{name}.{key}".rstrip("."): _text(v) for key, v in inner.items()})
        return flat

    def lock_holder(self, root: str) -> LockHolder | None:
        """Tell who holds the state lock; None when nobody does."""
        answer = exists(self._account, "s3", "GetObject", Bucket=self._bucket, Key=f"{_key(root)}.tflock")
        if answer is None:
            return None
        lock = json.loads(answer["Body"].read())
        return LockHolder(
            id=lock["ID"],
            who=lock["Who"],
            created=_time(lock["Created"]),
            by_hand=self._unlock_by_hand(root, lock["ID"]),
        )

    def unlock(self, root: str, lock_id: str) -> None:
        """Release a state lock by its id, once no Terraform of ours works any more. Raises Refused, Busy."""
        with self._alone():
            holder = self.lock_holder(root)
            if holder is None or holder.id != lock_id:
                return  # the Terraform we waited for ended well and gave the lock back
            self._init(root)
            self._read(root, "force-unlock", lock_id, force=IsFlagged)

    def _unlock_by_hand(self, root: str, lock_id: str) -> str:
        """Spell the command for a shell: Terraform knows the state only in the folder and with the data of our own."""
        set_here = {"AWS_PROFILE": self._account.profile, "TF_DATA_DIR": str(self._data(root))}
        words = [f"{name}={shlex.quote(value)}" for name, value in set_here.items() if value]
        return " ".join(
            [*words, "terraform", f"-chdir={shlex.quote(str(self._folder(root)))}", "force-unlock", lock_id]
        )

    # ---- the working copy

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold this machine's lock of the environment. A Terraform that outlived its rmu holds it too.

        Terraform inherits the open file, so the lock is free only when the last of its processes is gone: a state lock
        whose holder still works is never taken for one that was left behind.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        with (self._home / "lock").open("w") as lock:
            until = time.monotonic() + PATIENCE_S
            while not _locked(lock):
                if time.monotonic() > until:
                    raise Busy(
                        f"a Terraform of {self._environment} still works on this machine", next=f"fuser {lock.name}"
                    )
                self._end_leftovers()
                time.sleep(POLL_S)
            os.set_inheritable(lock.fileno(), True)
            self._lock_fd = lock.fileno()
            yield

    def _end_leftovers(self) -> None:
        """End the processes of a Terraform that is dead itself.

        A provider that it had only just started waits for it for ever, and would hold our lock as long. Nobody else can
        be hit: while one of a group lives, its number is given to no other.
        """
        if not self._child_file.exists():
            return
        leader = int(self._child_file.read_text() or 0)
        try:
            os.kill(leader, 0)
        except ProcessLookupError:
            with suppress(ProcessLookupError):
                os.killpg(leader, signal.SIGKILL)
            self._child_file.unlink(missing_ok=True)

    def _init(self, root: str) -> None:
        """Copy the sources and make them ready, on the state in the bucket where there is one."""
        fresh(self._folders.sources, self._home / "src")
        remote = root != "bootstrap" or exists(self._account, "s3", "HeadBucket", Bucket=self._bucket) is not None
        if root == "bootstrap":
            self._write_bootstrap(remote)
        backend = {"backend_config": self._backend(root)} if remote else {}
        self._read(root, "init", input=False, reconfigure=IsFlagged, **backend)

    def _write_bootstrap(self, remote: bool) -> None:
        """Name the backend, and take over what an earlier try made before its state could be saved."""
        name_backend(self._folder("bootstrap"), remote=remote)
        table = f"rmu-{self._environment}"
        there = {"aws_s3_bucket.state": self._bucket} if remote else {}
        if exists(self._account, "dynamodb", "DescribeTable", TableName=table) is not None:
            there["aws_dynamodb_table.ledger"] = table
        write_imports(self._imports("bootstrap"), there)

    def _move_state_in(self, root: str) -> None:
        """Put the state of a first bootstrap into the bucket that it made."""
        made_here = self._folder(root) / "terraform.tfstate"
        if not made_here.exists():
            return
        kept = self._home / "bootstrap.tfstate"
        kept.write_bytes(made_here.read_bytes())
        made_here.unlink()
        self._init(root)
        self._read(root, "state push", str(kept))
        kept.unlink()

    def _adopt(self, root: str) -> None:
        """Import what a Terraform made that died before it saved its state; its log knows the ids.

        They are kept in a file until an apply has ended, since the next log is written over that one.
        """
        last = self._home / f"{root}-apply.log"
        death = Death(last)
        known = self._remembered(root) | death.imports()
        if death.died:
            known |= self._found(root, death.making | {a for a in death.made if kind_of(a) == "aws_db_instance"})
            last.replace(last.with_suffix(".died.log"))
        if known:
            self._remember(root, known)
            there = resources(self._state(root))
            known = {address: id for address, id in known.items() if address not in there}
        for id in (id for address, id in known.items() if kind_of(address) == "aws_db_instance"):
            wait_for_address(self._account, id, PATIENCE_S)
        write_imports(self._imports(root), known)

    def _remember(self, root: str, ids: Mapping[str, str]) -> None:
        """Keep what is to be imported until an apply has ended."""
        self._adopted(root).write_text(json.dumps({**self._remembered(root), **ids}))

    def _remembered(self, root: str) -> dict[str, str]:
        kept = self._adopted(root)
        return dict(json.loads(kept.read_text())) if kept.exists() else {}

    def _state(self, root: str) -> dict[str, Any]:
        return dict(json.loads(self._read(root, "show", json=IsFlagged)))

    def _held(self, root: str, address: str) -> str:
        there = resources(self._state(root)).get(address)
        return str(there[BY_NAME[kind_of(address)].attribute]) if there else ""

    def _let_go(self, root: str, address: str, name: str) -> None:
        """Take a thing out of the state that is not the one to be held there; it stays as it is."""
        if self._held(root, address) not in ("", name):
            self._read(root, "state rm", address)

    def _found(self, root: str, making: set[str]) -> dict[str, str]:
        """Find by name what was being made, and what is imported by another name than its id."""
        plan = json.loads(self._read(root, "show", self._plan_file(root), json=IsFlagged))
        wanted = {c["address"]: dict(c["change"]["after"]) for c in plan["resource_changes"] if c["address"] in making}
        found = {address: find(self._account, kind_of(address), wanted[address]) for address in making}
        return {address: id for address, id in found.items() if id is not None}

    def _plan(self, root: str, variables: Variables) -> PlanSummary:
        self._init(root)
        if root != "bootstrap":
            self._adopt(root)
        return self._planned(root, variables, out=self._plan_file(root))

    def _planned(self, root: str, variables: Variables, *, out: str) -> PlanSummary:
        log = self._run(root, "plan", json=IsFlagged, input=False, out=out, var_file=self._value_files(root, variables))
        if log.code != 0:
            raise self._refusal(root, log)
        return summary_of(log)

    def _value_files(self, root: str, variables: Variables) -> list[str]:
        """Write rmu's own values and name every file of values, the environment's first."""
        own = self._home / f"{root}.tfvars.json"
        declared = (self._folder(root) / "variables.tf").read_text()
        own.write_text(json.dumps({k: v for k, v in variables.items() if f'variable "{k}"' in declared}))
        files = [self._folders.tfvars, own]
        if 'variable "slo_alarms"' in declared and self._folders.alarms and self._folders.alarms.is_file():
            files.insert(1, self._folders.alarms)
        return [str(f.resolve()) for f in files if f is not None]

    # ---- running it

    def _change(self, root: str, verb: str, *arguments: str, on_event: OnEvent, **options: Any) -> None:
        try:
            log = self._run(root, verb, *arguments, on_event=on_event, json=IsFlagged, input=False, **options)
        except KeyboardInterrupt as why:  # a bootstrap's: in a run, the run listens
            raise Interrupted(
                f"stopped while terraform {verb} {root} works",
                state=f"Terraform goes on by itself to its end; its log: {self._home / f'{root}-{verb}.log'}",
                next=f"rmu infra bootstrap --env {self._environment}",
            ) from why
        if log.code >= 0:  # it ended by itself, so its state is saved, imports and all
            self._adopted(root).unlink(missing_ok=True)
        if log.code != 0:
            raise TerraformFailed(
                f"terraform {verb} {root} failed: {log.errors[0] if log.errors else f'it ended with {log.code}'}",
                state=_left(log),
                next=f"mend it, then: rmu infra {verb} --env {self._environment}",
            )

    def _read(self, root: str, verb: str, *arguments: str, **options: Any) -> str:
        """Run a command that changes nothing in the cloud; answer its output. Raises Refused."""
        log = self._run(root, verb, *arguments, **options)
        if log.code != 0:
            raise self._refusal(root, log)
        return log.path.read_text()

    def _run(self, root: str, verb: str, *arguments: str, on_event: OnEvent | None = None, **options: Any) -> Log:
        """Run Terraform to its end, its output in a file.

        A pipe would end with us, and Terraform with the pipe, its state unsaved. With a file, and in a session of its
        own that no Ctrl-C reaches, it finishes what it began even if rmu is killed.
        """
        argv = CommandLine(terraform_bin_path="terraform").generate_cmd_string(verb, *arguments, **options)
        log = Log(self._home / f"{root}-{verb.replace(' ', '-')}.log")
        errors = log.path.with_suffix(".err")
        with log.path.open("wb") as out, errors.open("wb") as err:
            try:
                child = subprocess.Popen(
                    argv,
                    cwd=self._folder(root),
                    env=self._child_environment(root),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    pass_fds=(self._lock_fd,),
                )
            except FileNotFoundError as why:
                raise Refused("terraform is not on PATH", next="rmu doctor") from why
            self._child_file.write_text(str(child.pid))
            log.follow(child, on_event)
        self._end_leftovers()
        log.stderr = errors.read_text(errors="replace")
        return log

    def _refusal(self, root: str, log: Log) -> Refused | Busy:
        """Say why nothing was changed: by who holds the state, else in Terraform's words."""
        holder = self.lock_holder(root)
        if holder is not None:
            return Busy(
                f"{holder.who} holds Terraform's state since {holder.created:%Y-%m-%d %H:%M:%S} UTC (lock {holder.id})",
                state=NOTHING_CHANGED,
                next=f"rmu status --env {self._environment}",
            )
        said = log.errors[0] if log.errors else "\n".join(log.tail) or f"it ended with {log.code}"
        return TerraformRefused(f"terraform ({root}): {said}", next=f"less {log.path}")

    def _child_environment(self, root: str) -> dict[str, str]:
        """Hand our environment on, without what would change Terraform's doings and with the account we reach."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(OURS_ALONE)}
        account = self._account
        env |= {
            "AWS_REGION": account.region,
            "AWS_DEFAULT_REGION": account.region,
            "CHECKPOINT_DISABLE": "1",
            "TF_CLI_CONFIG_FILE": str(self._cli_config(env)),
            "TF_DATA_DIR": str(self._data(root)),
            "TF_IN_AUTOMATION": "1",
        }
        if account.endpoint:
            env["AWS_ENDPOINT_URL"] = account.endpoint
        if account.profile:
            env["AWS_PROFILE"] = account.profile
        if account.access_key and account.secret:
            for other in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
                env.pop(other, None)
            env |= {"AWS_ACCESS_KEY_ID": account.access_key, "AWS_SECRET_ACCESS_KEY": account.secret}
        return env

    def _cli_config(self, env: Mapping[str, str]) -> Path:
        """Write Terraform's own configuration: a provider mirror where this machine has one, else a shared cache."""
        mirror = self._folders.mirror or find_mirror(env.get("RMU_TF_PLUGIN_MIRROR"))
        cache = self._folders.work / "plugins"
        cache.mkdir(parents=True, exist_ok=True)
        lines = ["disable_checkpoint = true", f"plugin_cache_dir = {json.dumps(str(cache))}"]
        if mirror is not None:
            path = json.dumps(str(mirror))
            lines = [lines[0], f"provider_installation {{\n  filesystem_mirror {{\n    path = {path}\n  }}\n}}"]
        config = self._home / "terraform.rc"
        config.write_text("\n".join(lines) + "\n")
        return config

    # ---- names

    @property
    def _home(self) -> Path:
        return self._folders.work.resolve() / self._environment

    @property
    def _bucket(self) -> str:
        return f"rmu-{self._environment}-state-{self._identity.account()}"

    def _folder(self, root: str) -> Path:
        return self._home / "src" / "live" / root

    def _data(self, root: str) -> Path:
        return self._home / f"{root}.data"

    @property
    def _child_file(self) -> Path:
        return self._home / "terraform.pid"

    def _imports(self, root: str) -> Path:
        return self._folder(root) / "rmu_import.tf"

    def _adopted(self, root: str) -> Path:
        return self._home / f"{root}-adopt.json"

    def _plan_file(self, root: str) -> str:
        return str(self._home / f"{root}.plan")

    def _backend(self, root: str) -> dict[str, str]:
        values = {"bucket": self._bucket, "key": _key(root), "region": self._account.region}
        # An endpoint that is an address has no host name to put the bucket in front of.
        return {**values, "use_path_style": "true"} if self._account.endpoint else values


def _left(log: Log) -> str:
    """Say what a failed Terraform leaves: everything in its state, or, if it was killed, what it was making as well."""
    death = Death(log.path)
    if not death.died:
        return f"What it changed until then is in its state; the log: {log.path}"
    making = ", ".join(sorted(death.making)) or "nothing"
    return f"It was killed while making: {making}. What it had made is imported by the next apply; the log: {log.path}"


def find_mirror(named: str | None) -> Path | None:
    """Find a folder of providers on this machine: the named one, else one under /opt; None asks the registry."""
    if named:
        return Path(named)
    found = sorted(Path("/").glob(MIRROR.lstrip("/")))
    return found[0].parent if found else None


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _key(root: str) -> str:
    return f"{root}.tfstate"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _time(text: str) -> datetime:
    """Read Go's time, whose nanoseconds Python does not."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{(fraction + '000000')[:6]}+00:00")
