"""What Terraform made, by the names it wrote to SSM parameters."""

from __future__ import annotations

from collections.abc import Mapping

from ratemyunit_ops.outside.aws.session import Account


class SsmPlaces:
    """The parameters under `/rmu/ENV/places/`."""

    def __init__(self, account: Account, environment: str) -> None:
        self._account = account
        self._path = f"/rmu/{environment}/places/"

    def all(self) -> Mapping[str, str]:
        """Read every place; empty before the first apply. Raises Unreachable."""
        found = self._account.pages("ssm", "GetParametersByPath", "Parameters", Path=self._path, Recursive=False)
        return {p["Name"].removeprefix(self._path): p["Value"] for p in found}
