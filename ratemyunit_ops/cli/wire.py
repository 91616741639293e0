"""The only composition: settings -> adapters -> Outside. Everything heavy is imported here, late."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from ratemyunit_ops import settings as settings_file
from ratemyunit_ops.cli.people import Operator
from ratemyunit_ops.engine import run as runs
from ratemyunit_ops.errors import Mistyped, Refused, Unreachable
from ratemyunit_ops.outside.file_ledger import FileLedger
from ratemyunit_ops.ports import Builder, Corner, Infra, Outside, People
from ratemyunit_ops.settings import Settings
from ratemyunit_ops.show.screen import Screen

if TYPE_CHECKING:
    from ratemyunit_ops.outside.aws.session import Account
    from ratemyunit_ops.outside.podman import Target
    from ratemyunit_ops.outside.ssh import SshShell


def _as_agreed() -> None: ...


@dataclass(frozen=True)
class Wired:
    """What a command works with."""

    outside: Outside
    settings: Settings
    screen: Screen
    who: str
    journal: Path | None = None
    still: Callable[[], None] = _as_agreed
    """What is asked right after a consent; it raises where what was agreed to is no longer what was seen."""

    @cached_property
    def places(self) -> Mapping[str, str]:
        """What Terraform made, by name."""
        return self.outside.places.all()

    def open_run(self) -> str:
        """Name the run that holds the environment. Raises Refused when there is none."""
        run = runs.open_run(self.outside)
        if run is None:
            raise Refused("no run is open here", next="rmu history")
        return run

    @cached_property
    def ssh(self) -> SshShell:
        """The way to hosts when SSM is dead."""
        return ssh_shell(self.settings)

    def builder(self) -> Builder:
        """Make the image builder; only `image` needs it, and podman."""
        from ratemyunit_ops.outside.podman import Podman

        cache = settings_file.cache_dir() / "images"
        return Podman(base=self.settings.env.image_base, cache=cache, target=self._target)

    def names(self) -> dict[str, str]:
        """Make the variables that every root gets."""
        return {"environment": self.settings.environment, "region": self.settings.env.region}

    def variables(self) -> dict[str, str]:
        """Make the variables that the stack gets from rmu, user data among them."""
        import base64

        from ratemyunit_ops.planning.infra import database_identifier
        from ratemyunit_ops.records import read_pointer
        from ratemyunit_ops.render import user_data

        env, region = self.settings.environment, self.settings.env.region
        values = {
            "env": env,
            "region": region,
            "table": f"rmu-{env}",
            "asg": f"rmu-{env}-hosts",
            "hook": f"rmu-{env}-boot",
            "repository": self._repository,
            "project": self.settings.project,
            "trusted_hops": self.settings.env.trusted_hops,
            "measure_every": self.settings.env.measure_every,
        }
        return {
            **self.names(),
            "user_data_base64": base64.b64encode(user_data(values)).decode(),
            "database_identifier": database_identifier(env, read_pointer(self.outside.ledger)),
        }

    def vouching(self, yes: bool) -> Wired:
        """Take --yes for the answer to what a run asks, in the name of who typed it."""
        return replace(self, outside=replace(self.outside, people=Operator(self.screen, self.who, vouches=yes)))

    @property
    def _repository(self) -> str:
        account, region = self.outside.identity.account(), self.settings.env.region
        return f"{account}.dkr.ecr.{region}.amazonaws.com/rmu-{self.settings.environment}/app"

    def _target(self) -> Target:
        from ratemyunit_ops.outside.aws.registry import login
        from ratemyunit_ops.outside.podman import Target

        env = self.settings.env
        name = f"rmu-{self.settings.environment}/app"
        if env.registry:
            return Target(endpoint=f"http://{env.registry}", repository=name)
        endpoint, user, password = login(account_of(self.settings))
        return Target(endpoint=endpoint, repository=name, user=user, password=password)


def wire(
    env: str | None,
    *,
    as_json: bool = False,
    may_ask: bool = True,
    reach: bool = True,
    journal: Path | None = None,
    in_folder: bool = False,
    transport: Literal["ssm", "ssh"] = "ssm",
    changes: bool = False,
    still: Callable[[], None] | None = None,
) -> Wired:
    """Pick the environment, compose the ports, and see that the account is the one the environment names.

    `changes` is said by what changes something and asks nobody: all else learns in `agreed` that no account is named.

    With `journal`, a folder holds the ledger instead of the table; so does RMU_JOURNAL, for verbs that may work
    `in_folder`: what serves is never changed by a ledger that hosts and other people do not read. By `transport` ssh,
    commands reach hosts without SSM; the host program goes by SSM alone. `still` is what a runbook that hands over
    wants to be asked after the consent.

    Raises:
        Mistyped: settings or credentials are wrong.
        Refused: the account is another one.
        Unreachable: nothing answers.
    """
    settings = settings_file.load(env)
    screen = Screen(as_json=as_json, may_ask=may_ask)
    screen.frame(settings.environment, settings.env.account or "not named", settings.env.front_door)
    atexit.register(screen.end)  # the last line, also after a failure that main prints
    who = settings_file.user()
    folder = journal or settings_file.journal()
    if folder is not None and not in_folder:
        raise Mistyped(
            "RMU_JOURNAL names a folder, in which only these may work: dr, exec, console, incident, runbook run,"
            " resume, abandon, history, show, status",
            next="unset RMU_JOURNAL",
        )
    outside = compose(settings, Operator(screen, who))
    if folder is not None:
        outside = replace(outside, ledger=FileLedger(folder))
    if transport == "ssh":
        outside = replace(outside, shell=ssh_shell(settings))
    wired = Wired(outside=outside, settings=settings, screen=screen, who=who, journal=folder, still=still or _as_agreed)
    if reach:
        right_account(wired)
    if changes:
        account_is_named(wired)
    return wired


def account_of(settings: Settings) -> Account:
    """Say how the environment's account is reached."""
    from ratemyunit_ops.outside.aws.session import Account

    env = settings.env
    return Account(
        region=env.region,
        endpoint=env.endpoint,
        profile=env.profile,
        access_key=env.credentials.access_key if env.credentials else None,
        secret=env.credentials.secret_key.get_secret_value() if env.credentials else None,
        start_hint=env.start_hint,
    )


def ssh_shell(settings: Settings) -> SshShell:
    """Make the way to hosts when SSM is dead. Hosts' keys stand in the table, whatever ledger a command works in."""
    from ratemyunit_ops.outside.aws.instance_connect import InstanceConnect
    from ratemyunit_ops.outside.aws.ledger import DynamoLedger
    from ratemyunit_ops.outside.clock import SystemClock
    from ratemyunit_ops.outside.ssh import SshShell

    env, account, clock = settings.env, account_of(settings), SystemClock()
    words = {"{region}": env.region, "{python}": sys.executable}
    admission = InstanceConnect(account, DynamoLedger(account, f"rmu-{settings.environment}", clock))
    return SshShell(
        admission=admission,
        tunnel=[_filled(word, words) for word in env.tunnel],
        clock=clock,
        environ={"AWS_PROFILE": env.profile} if env.profile else {},
    )


def _filled(text: str, words: Mapping[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(word, value)
    return text


def compose(settings: Settings, people: People) -> Outside:
    """Make every port of an environment. Reaches nothing yet."""
    from ratemyunit_ops.outside.aws.certificates import AcmCertificates
    from ratemyunit_ops.outside.aws.corner import Ec2Corner
    from ratemyunit_ops.outside.aws.data import SsmData
    from ratemyunit_ops.outside.aws.databases import RdsDatabases
    from ratemyunit_ops.outside.aws.group import AutoScalingGroup
    from ratemyunit_ops.outside.aws.hosts import Hosts, SsmFleet, SsmOneOff
    from ratemyunit_ops.outside.aws.identity import StsIdentity
    from ratemyunit_ops.outside.aws.ledger import DynamoLedger
    from ratemyunit_ops.outside.aws.logs import CloudWatchLogs
    from ratemyunit_ops.outside.aws.metrics import CloudWatchMetrics
    from ratemyunit_ops.outside.aws.pager import SnsPager
    from ratemyunit_ops.outside.aws.places import SsmPlaces
    from ratemyunit_ops.outside.aws.queue import SsmQueue
    from ratemyunit_ops.outside.aws.registry import EcrRegistry
    from ratemyunit_ops.outside.aws.secrets import SsmSecrets
    from ratemyunit_ops.outside.aws.shell import SsmShell
    from ratemyunit_ops.outside.aws.ssm import Commands
    from ratemyunit_ops.outside.clock import SystemClock
    from ratemyunit_ops.outside.http import FrontDoorTraffic
    from ratemyunit_ops.render import host_program_text

    env, name, clock, account = settings.env, f"rmu-{settings.environment}", SystemClock(), account_of(settings)
    places = SsmPlaces(account, settings.environment)
    shell = SsmShell(Commands(account, clock), f"{name}-exec")
    hosts = Hosts(account, clock, f"{name}-hosts", f"{name}-host", host_program_text)
    return Outside(
        clock=clock,
        ledger=DynamoLedger(account, name, clock),
        fleet=SsmFleet(hosts, places, probe_for=PROBE_FOR),
        group=AutoScalingGroup(account, f"{name}-hosts", shell),
        oneoff=SsmOneOff(hosts),
        shell=shell,
        queue=SsmQueue(hosts),
        traffic=FrontDoorTraffic(env.front_door, smoke=env.smoke, start_hint=env.start_hint),
        databases=RdsDatabases(account, settings.environment, clock),
        data=SsmData(hosts, places, account),
        corner=cast(Corner, Ec2Corner(hosts, places, shell, smoke=env.smoke)),
        registry=EcrRegistry(account, f"{name}/app", endpoint=env.registry),
        secrets=SsmSecrets(account, settings.environment),
        certificates=AcmCertificates(account, clock),
        places=places,
        metrics=CloudWatchMetrics(account, settings.environment, clock),
        logs=CloudWatchLogs(account, settings.environment),
        pager=SnsPager(account, places, settings.environment),
        identity=StsIdentity(account),
        people=people,
        infra=_infra(settings, account),
    )


def _infra(settings: Settings, account: Account) -> Infra:
    from ratemyunit_ops.outside.aws.identity import StsIdentity
    from ratemyunit_ops.outside.terraform import Folders, Terraform
    from ratemyunit_ops.shipped import shipped

    tfvars = settings.env.tfvars
    folders = Folders(
        sources=shipped("terraform"),
        work=settings_file.cache_dir() / "terraform",
        tfvars=settings.root / tfvars if tfvars else None,
        alarms=settings.slo_tfvars,
    )
    return Terraform(settings.environment, account, StsIdentity(account), folders)


PROBE_FOR = timedelta(seconds=8)
"""How long the drop probe on the hosts watches after a flip."""


def right_account(w: Wired) -> None:
    """See that the account is the one that the environment names. Raises what `wire` raises."""
    try:
        account = w.outside.identity.account()
    except Unreachable as why:
        if not w.settings.picked_by_default:
            raise
        raise Unreachable(
            f"no environment was named, and the default ({w.settings.environment}) does not answer: {why.what}",
            next=f"{why.next}   (or did you mean --env production?)",
        ) from why
    named = w.settings.env.account
    if named is None:
        w.screen.frame(w.settings.environment, f"{account}, which rmu.toml does not name", w.settings.env.front_door)
    elif named != account:
        raise Refused(
            f"these credentials reach account {account}, but {w.settings.environment} is account {named}",
            next=f"aws sso login --profile {w.settings.env.profile or 'PROFILE'}",
        )


def account_is_named(w: Wired) -> None:
    """See that rmu.toml says which account an environment of AWS itself is, before it is changed. Raises Mistyped."""
    env, name = w.settings.env, w.settings.environment
    if env.account is None and env.endpoint is None:
        account = w.outside.identity.account()
        raise Mistyped(
            f"rmu.toml does not say which account {name} is; these credentials reach {account}",
            next=f'add account = "{account}" to [env.{name}] of rmu.toml, if that is the one',
        )
