"""Secrets as SSM SecureStrings. Names go in and out; a value is made here and never read back."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from ratemyunit_ops.model import Facts
from ratemyunit_ops.outside.aws.session import Account, Said

BYTES = 24  # 32 url-safe characters
AT_ONCE = 10  # names that GetParameters takes


class SsmSecrets:
    """The parameters under `/rmu/ENV/`; names are relative to it: `db/app_password`, `app/secret_key`."""

    def __init__(self, account: Account, environment: str) -> None:
        self._account = account
        self._base = f"/rmu/{environment}/"

    def ensure(self, names: Sequence[str]) -> tuple[str, ...]:
        """Make those that are missing, random; answer the names that were made."""
        return tuple(name for name in self.missing(names) if self._make(name))

    def missing(self, names: Sequence[str]) -> tuple[str, ...]:
        """List those of the names that do not exist yet."""
        absent: set[str] = set()
        for start in range(0, len(names), AT_ONCE):
            paths = [self._base + name for name in names[start : start + AT_ONCE]]
            answer = self._account.ask("ssm", "GetParameters", Names=paths, WithDecryption=False)
            absent |= set(answer["InvalidParameters"])
        return tuple(name for name in names if self._base + name in absent)

    def names(self) -> tuple[str, ...]:
        """List the names of the app's secrets, as a release keeps them."""
        # DescribeParameters knows no values, so whoever deploys need not be allowed to read one.
        path = f"{self._base}app/"
        here = [{"Key": "Path", "Option": "OneLevel", "Values": [path.rstrip("/")]}]
        found = self._account.pages("ssm", "DescribeParameters", "Parameters", ParameterFilters=here)
        return tuple(sorted(p["Name"].removeprefix(path) for p in found))

    def renewed(self, name: str, *, run: str) -> bool:
        """Tell whether a secret's value is the one that this run has made: its description says who did."""
        here = [{"Key": "Name", "Option": "Equals", "Values": [self._base + name]}]
        found = self._account.pages("ssm", "DescribeParameters", "Parameters", ParameterFilters=here)
        return any(p.get("Description") == _made_by(run) for p in found)

    def renew(self, name: str, *, run: str) -> Facts:
        """Give a secret a new random value, once for a run. SSM keeps the older ones as versions."""
        if self.renewed(name, run=run):
            return {"outcome": "already"}
        answer = self._account.act(
            "ssm",
            "PutParameter",
            Name=self._base + name,
            Type="SecureString",
            Value=secrets.token_urlsafe(BYTES),
            Description=_made_by(run),
            Overwrite=True,
        )
        return {"outcome": "changed", "version": answer["Version"]}

    def _make(self, name: str) -> bool:
        """Make one secret; False where somebody was faster. PutParameter has no token, but it does not overwrite."""
        try:
            self._account.act(
                "ssm",
                "PutParameter",
                Name=self._base + name,
                Type="SecureString",
                Value=secrets.token_urlsafe(BYTES),
                Overwrite=False,
            )
        except Said as why:
            if why.code != "ParameterAlreadyExists":
                raise
            return False
        return True


def _made_by(run: str) -> str:
    return f"made by run {run}"
