"""What is missing on this machine or in this account, and the command that mends each."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.model import MINIMUM_TAG, GroupLeftovers
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.records import database_name, holder
from ratemyunit_ops.reports.finding import Finding
from ratemyunit_ops.reports.heard import who_would_hear
from ratemyunit_ops.reports.looking import who_looks

TERRAFORM = "see README: Terraform 1.11, pinned by checksum"
TOOLS: Mapping[str, tuple[str, str]] = {
    "terraform": ("infra", TERRAFORM),
    "podman": ("image", "sudo apt-get install podman"),
    "skopeo": ("image", "sudo apt-get install skopeo"),
    "squawk": ("migrate lint", "pip install 'ratemyunit-ops[lint]'"),
}
PROVIDER_LOCK = (
    "terraform -chdir=terraform/live/stack providers lock "
    "-platform=linux_amd64 -platform=linux_arm64 -platform=darwin_arm64"
)


def examine(
    o: Outside,
    *,
    environment: str,
    account: str | None,
    which: Callable[[str], str | None],
    terraform: str | None,
    machine: str,
    strict: bool,
    tunnel: str,
) -> tuple[Finding, ...]:
    """Look at tools, credentials, account, ledger, places, hosts, front door, probe and listeners; `strict` wants some.

    `terraform` is the version of the Terraform that is there. Never raises for what it finds.
    """
    return (
        *(_tool(name, verb, mend, which) for name, (verb, mend) in TOOLS.items()),
        *_version(terraform),
        *_tunnel(tunnel, which),
        _provider_lock(machine),
        _asked("credentials", o.identity.who, "aws sso login"),
        _account(o, account),
        _plan(o),
        _asked("ledger", lambda: "answers" if o.ledger.query("run") is not None else "", "rmu infra bootstrap"),
        _asked("places", lambda: f"{len(_some(o.places.all()))} names", "rmu infra apply"),
        _asked(
            "hosts", lambda: ", ".join(_some([f"{i.id} {i.state}" for i in o.fleet.instances()])), "rmu infra apply"
        ),
        *_leftovers(o, environment),
        _retention(o),
        _asked("front door", lambda: f"serves {o.traffic.look().version or 'nothing'}", "rmu status"),
        *who_looks(o),
        *who_would_hear(o, strict=strict),
    )


class _Empty(RmuError):
    """Nothing was found where something must be."""


def _some(found: Collection[str]) -> Collection[str]:
    if not found:
        raise _Empty("nothing there yet", next="")
    return found


def _asked(name: str, ask: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(name=name, verdict="ok", seen=ask())
    except RmuError as why:
        return Finding(name=name, verdict="missing", seen=why.what, mend=why.next or mend)


def _tool(name: str, verb: str, mend: str, which: Callable[[str], str | None]) -> Finding:
    path = which(name)
    if path:
        return Finding(name=name, verdict="ok", seen=path)
    return Finding(name=name, verdict="missing", seen=f"not on PATH; only `rmu {verb}` needs it", mend=mend)


def _version(seen: str | None) -> tuple[Finding, ...]:
    """See that Terraform is one that the modules take; whether there is one is another finding."""
    if seen is None:
        return ()
    numbers = re.findall(r"\d+", seen)[:2]
    if len(numbers) < 2:
        return (Finding(name="terraform version", verdict="unknown", seen=seen or "it names none", mend=TERRAFORM),)
    major, minor = (int(n) for n in numbers)
    if (1, 11) <= (major, minor) < (2, 0):
        return (Finding(name="terraform version", verdict="ok", seen=seen),)
    seen = f"{seen}; 1.11 to 1.x is needed"
    return (Finding(name="terraform version", verdict="missing", seen=seen, mend=TERRAFORM),)


def _leftovers(o: Outside, environment: str) -> tuple[Finding, ...]:
    """Find what a run that took a host out of service never put back; while a run is open it still may."""
    try:
        left, open_run = o.group.leftovers(), holder(o.ledger)
    except RmuError as why:
        return (Finding(name="hosts' group", verdict="unknown", seen=why.what, mend=why.next),)
    found = tuple(_left(left, f"rmu-{environment}-hosts"))
    if not found:
        return (Finding(name="hosts' group", verdict="ok", seen="nobody stands by, nothing is suspended"),)
    if open_run is None:
        return found
    mend = f"rmu resume {open_run.run}"
    return tuple(
        f.model_copy(update={"verdict": "note", "seen": f"{f.seen}; a run is open", "mend": mend}) for f in found
    )


def _left(left: GroupLeftovers, name: str) -> Iterator[Finding]:
    group = f"--auto-scaling-group-name {name}"
    for host in left.standing_by:
        mend = f"aws autoscaling exit-standby {group} --instance-ids {host}"
        yield Finding(name="hosts' group", verdict="missing", seen=f"{host} stands by, out of service", mend=mend)
    if left.minimum is not None:
        size = f"aws autoscaling update-auto-scaling-group {group} --min-size {left.minimum}"
        tag = f"ResourceId={name},ResourceType=auto-scaling-group,Key={MINIMUM_TAG}"
        mend = f"{size} && aws autoscaling delete-tags --tags {tag}"
        yield Finding(name="hosts' group", verdict="missing", seen=f"its minimum was {left.minimum}", mend=mend)
    if left.suspended:
        names = " ".join(left.suspended)
        mend = f"aws autoscaling resume-processes {group} --scaling-processes {names}"
        yield Finding(name="hosts' group", verdict="missing", seen=f"suspended: {', '.join(left.suspended)}", mend=mend)


def _retention(o: Outside) -> Finding:
    """See that the live database keeps backups: without them there is no restore."""
    try:
        name = database_name(o)
        if not name:
            return Finding(name="backups", verdict="unknown", seen="there is no database yet", mend="rmu infra apply")
        days = o.databases.settings(name).retention_days
    except RmuError as why:
        return Finding(name="backups", verdict="unknown", seen=why.what, mend=why.next)
    if days:
        return Finding(name="backups", verdict="ok", seen=f"{name} keeps them for {days} days")
    return Finding(name="backups", verdict="missing", seen=f"{name} keeps none (0 days)", mend="rmu infra apply")


def _tunnel(program: str, which: Callable[[str], str | None]) -> tuple[Finding, ...]:
    """Look for the program that leads to a host's sshd; rmu's own Python is there."""
    if program == "{python}":
        return ()
    return (
        _tool(program, "exec --transport ssh", "install the AWS CLI 2, or name another `tunnel` in rmu.toml", which),
    )


def _provider_lock(machine: str) -> Finding:
    if machine == "Linux x86_64":
        return Finding(name="provider lock", verdict="ok", seen="hashes for linux_amd64 are committed")
    return Finding(name="provider lock", verdict="missing", seen=f"no hashes for {machine}", mend=PROVIDER_LOCK)


def _account(o: Outside, account: str | None) -> Finding:
    if account is None:
        return Finding(
            name="account", verdict="unknown", seen="rmu.toml names none", mend='add account = "..." to rmu.toml'
        )
    try:
        seen = o.identity.account()
    except RmuError as why:
        return Finding(name="account", verdict="unknown", seen=why.what, mend=why.next)
    if seen == account:
        return Finding(name="account", verdict="ok", seen=seen)
    mend = f"export AWS_PROFILE=NAME   (one of account {account}; `profile` in rmu.toml goes before it)"
    return Finding(name="account", verdict="missing", seen=f"{seen} instead of {account}", mend=mend)


def _plan(o: Outside) -> Finding:
    """Say before an apply that a free plan caps sizes and retention; not to be told stops nobody."""
    try:
        plan = o.identity.plan()
    except RmuError as why:
        return Finding(name="plan", verdict="note", seen=f"not known whether it is a free one: {why.what}")
    if plan == "paid":
        return Finding(name="plan", verdict="ok", seen="paid")
    seen = "free: micro sizes alone, retention of backups is capped, and it closes after six months"
    return Finding(name="plan", verdict="note", seen=seen, mend="upgrade it in the console, under Billing")


def well(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing is missing and nothing unknown."""
    return all(f.verdict in ("ok", "note") for f in findings)
