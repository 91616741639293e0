"""What is missing on this machine or in this account, and the command that mends each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from ratemyunit_ops.errors import RmuError
from ratemyunit_ops.ports import Outside
from ratemyunit_ops.reports.finding import Finding
from ratemyunit_ops.reports.heard import who_would_hear

TOOLS: Mapping[str, tuple[str, str]] = {
    "terraform": ("infra", "see README: Terraform 1.11, pinned by checksum"),
    "podman": ("image", "sudo apt-get install podman"),
    "skopeo": ("image", "sudo apt-get install skopeo"),
    "squawk": ("migrate lint", "pip install 'ratemyunit-ops[lint]'"),
}
PROVIDER_LOCK = (
    "terraform -chdir=terraform/live/stack providers lock "
    "-platform=linux_amd64 -platform=linux_arm64 -platform=darwin_arm64"
)


def examine(
    o: Outside, *, account: str | None, which: Callable[[str], str | None], machine: str, strict: bool, tunnel: str
) -> tuple[Finding, ...]:
    """Look at tools, credentials, account, ledger, places, hosts, front door and listeners; `strict` wants some.

    Never raises for what it finds.
    """
    return (
        *(_tool(name, verb, mend, which) for name, (verb, mend) in TOOLS.items()),
        *_tunnel(tunnel, which),
        _provider_lock(machine),
        _asked("credentials", o.identity.who, "aws sso login"),
        _account(o, account),
        _asked("ledger", lambda: "answers" if o.ledger.query("run") is not None else "", "rmu infra bootstrap"),
        _asked("places", lambda: f"{len(_some(o.places.all()))} names", "rmu infra apply"),
        _asked(
            "hosts", lambda: ", ".join(_some([f"{i.id} {i.state}" for i in o.fleet.instances()])), "rmu infra apply"
        ),
        _asked("front door", lambda: f"serves {o.traffic.look().version or 'nothing'}", "rmu status"),
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
    return Finding(
        name="account", verdict="missing", seen=f"{seen} instead of {account}", mend="aws sso login --profile"
    )


def well(findings: Sequence[Finding]) -> bool:
    """Tell whether nothing is missing and nothing unknown."""
    return all(f.verdict in ("ok", "note") for f in findings)
