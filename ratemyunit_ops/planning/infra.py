"""Plan `infra apply`, `adopt` and `destroy`.

An apply makes secrets first (Terraform reads them), then Terraform works, then come hosts and database roles.
"""

from __future__ import annotations

from collections.abc import Mapping

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Frozen, PlanSummary, Pointer, World
from ratemyunit_ops.steps.base import Plan, Step
from ratemyunit_ops.steps.infra import (
    AdoptDatabase,
    ApplyInfra,
    DestroyInfra,
    EnsureSecrets,
    HostsInService,
    MakeRoles,
    NothingLeft,
)

SECRETS = (
    "db/master_password",
    "db/ops_password",
    "db/migrate_password",
    "db/app_password",
    "app/secret_key",
    "app/admin_token",
    "edge/header_secret",
)
"""Names under /rmu/ENV/ that must exist before the first apply."""


DATABASE = "module.database.aws_db_instance.this"
"""Where Terraform's state holds the live database."""


class InfraRequest(Frozen):
    """What a run of Terraform is made of. `database` is the live one, `held` the one that Terraform wrote down."""

    run: str
    rmu_version: str
    database: str
    held: str = ""
    variables: dict[str, str]


def plan_apply(world: World, request: InfraRequest, summary: PlanSummary) -> Plan:
    """Plan to bring the stack to what Terraform says. The summary is Terraform's own plan, as counts and names.

    Raises Refused when Terraform would take a database away: making it again is no way of changing it.
    """
    holds_the_live_one(request)
    _keeps_databases(summary)
    return _plan(
        world,
        request,
        "infra apply",
        EnsureSecrets(names=SECRETS),
        ApplyInfra(root="stack", variables=request.variables, summary=summary, planned=world.at, fence=True),
        HostsInService(),
        MakeRoles(database=request.database),
    )


def plan_adopt(world: World, request: InfraRequest, summary: PlanSummary) -> Plan:
    """Plan to let Terraform hold the live database. The summary is what the apply after the import would do.

    Raises Refused when Terraform holds it already, or would do more than change things in place.
    """
    if request.held in ("", request.database):
        raise Refused(f"Terraform holds the live database {request.database} already", next="rmu infra plan")
    lost = [*summary.replace, *summary.destroy]
    if lost:
        raise Refused(
            f"after the import Terraform would replace or destroy {', '.join(lost)}",
            next="adopt with the rmu and the tfvars that were applied last; then: rmu infra apply",
        )
    adopt = AdoptDatabase(
        root="stack",
        address=DATABASE,
        database=request.database,
        variables=request.variables,
        summary=summary,
        fence=True,
    )
    return _plan(world, request, "infra adopt", adopt, NothingLeft(root="stack", variables=request.variables))


def plan_destroy(world: World, request: InfraRequest, *, protected: bool, others: Mapping[str, str]) -> Plan:
    """Plan to destroy the stack. `others` are databases that Terraform does not hold, and what lets each one go.

    Raises Refused while the live database is protected, or a database would be left behind in a network that is going.
    """
    if protected:
        raise Refused(
            f"database {request.database} is protected from deletion",
            next="set deletion_protection = false in terraform/env, rmu infra apply, then rmu infra destroy",
        )
    holds_the_live_one(request)
    if others:
        raise Refused(
            f"Terraform does not hold {', '.join(others)}, and would leave it behind",
            next=next(iter(others.values())),
        )
    return _plan(world, request, "infra destroy", DestroyInfra(root="stack", variables=request.variables, fence=True))


def holds_the_live_one(request: InfraRequest) -> None:
    """See that Terraform's database is the one that serves. Else it would rename the old one to the live one's name.

    Raises Refused after a restore, until the restored database is adopted.
    """
    if request.held not in ("", request.database):
        raise Refused(
            f"Terraform still holds {request.held}, but {request.database} serves since a restore",
            next="rmu infra adopt",
        )


def _plan(world: World, request: InfraRequest, verb: str, *steps: Step) -> Plan:
    return Plan(
        run=request.run,
        verb=verb,
        environment=world.environment,
        rmu_version=request.rmu_version,
        created=world.at,
        steps=steps,
    )


def _keeps_databases(summary: PlanSummary) -> None:
    lost = [name for name in (*summary.replace, *summary.destroy) if "aws_db_instance." in name]
    if lost:
        raise Refused(f"Terraform would destroy the database {lost[0]}", next="rmu infra plan")


def database_identifier(environment: str, pointer: Pointer) -> str:
    """Name the database that Terraform is to hold: the live one, else the first."""
    return pointer.database.identifier if pointer.database else f"rmu-{environment}-db-1"
