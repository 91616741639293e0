"""Places, secrets and databases, as the account keeps them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ratemyunit_ops.errors import Unreachable
from ratemyunit_ops.outside.aws.databases import RdsDatabases
from ratemyunit_ops.outside.aws.places import SsmPlaces
from ratemyunit_ops.outside.aws.secrets import SsmSecrets
from ratemyunit_ops.outside.aws.session import Account
from tests.contract.stand_in import StandIn, error
from tests.fakes.clock import FakeClock


def put(account: Account, name: str, value: str) -> None:
    account.act("ssm", "PutParameter", Name=name, Value=value, Type="String")


def test_places_are_read_whole_by_the_names_terraform_wrote(account: Account, environment: str) -> None:
    for n in range(12):
        put(account, f"/rmu/{environment}/places/place_{n}", f"value {n}")
    put(account, f"/rmu/{environment}-other/places/place_0", "not ours")

    places = SsmPlaces(account, environment).all()

    assert places == {f"place_{n}": f"value {n}" for n in range(12)}


def test_before_the_first_apply_there_is_no_place(account: Account, environment: str) -> None:
    assert SsmPlaces(account, environment).all() == {}


def test_missing_secrets_are_made_and_the_others_left_alone(account: Account, environment: str) -> None:
    secrets = SsmSecrets(account, environment)
    put(account, f"/rmu/{environment}/db/app_password", "theirs")
    names = ["db/app_password", *(f"app/name_{n}" for n in range(11))]

    made = secrets.ensure(names)

    assert made == tuple(names[1:])
    assert secrets.ensure(names) == secrets.missing(names) == ()
    kept = account.ask("ssm", "GetParameter", Name=f"/rmu/{environment}/db/app_password")
    assert kept["Parameter"]["Value"] == "theirs"


def test_a_secret_is_encrypted_random_and_fit_for_a_url(account: Account, environment: str) -> None:
    SsmSecrets(account, environment).ensure(["app/one", "app/two"])

    made = [
        account.ask("ssm", "GetParameter", Name=f"/rmu/{environment}/app/{n}", WithDecryption=True)["Parameter"]
        for n in ("one", "two")
    ]
    assert {p["Type"] for p in made} == {"SecureString"}
    assert made[0]["Value"] != made[1]["Value"]
    assert all(len(p["Value"]) == 32 and p["Value"].replace("-", "").replace("_", "").isalnum() for p in made)


def test_a_secret_somebody_else_makes_at_the_same_moment_is_theirs(
    account: Account, environment: str, aws: StandIn
) -> None:
    aws.faults.instead["PutParameter"] = [error("ParameterAlreadyExists", "it is there")]

    assert SsmSecrets(account, environment).ensure(["app/one"]) == ()


def test_only_the_apps_secrets_are_listed_by_bare_names(account: Account, environment: str) -> None:
    secrets = SsmSecrets(account, environment)
    secrets.ensure(["db/app_password", "app/secret_key", "app/admin_token"])

    assert secrets.names() == ("admin_token", "secret_key")


def test_a_database_is_described(account: Account, environment: str) -> None:
    name = f"rmu-{environment}-db-1"
    account.act(
        "rds",
        "CreateDBInstance",
        DBInstanceIdentifier=name,
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        MasterUsername="rmu_master",
        MasterUserPassword="throwaway-password",
        DeletionProtection=True,
    )

    seen = RdsDatabases(account, environment, FakeClock()).view(name)

    assert (seen.identifier, seen.status, seen.port, seen.protected) == (name, "available", 5432, True)
    assert seen.resource_id.startswith("db-")
    assert seen.address
    assert seen.asked is not None and abs(seen.asked - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_database_that_is_not_there_is_unreachable(account: Account) -> None:
    with pytest.raises(Unreachable, match="no database rmu-nowhere-db-1"):
        RdsDatabases(account, "nowhere", FakeClock()).view("rmu-nowhere-db-1")
