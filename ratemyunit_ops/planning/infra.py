"""Plan `infra apply`: secrets first (Terraform reads them), Terraform, then hosts and database roles."""

from __future__ import annotations

from ratemyunit_ops.errors import Refused
from ratemyunit_ops.model import Frozen, PlanSummary, Pointer, World
from ratemyunit_ops.steps.base import Plan
from ratemyunit_ops.steps.infra import ApplyInfra, EnsureSecrets, HostsInService, MakeRoles

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


class InfraRequest(Frozen):
    """What an apply is made of."""

    run: str
    rmu_version: str
    who: str
    database: str
    variables: dict[str, str]


def plan_apply(world: World, request: InfraRequest, summary: PlanSummary) -> Plan:
    """Plan to bring the stack to what Terraform says. The summary is Terraform's own plan, as counts and names.

    Raises Refused when Terraform would take a database away: making it again is no way of changing it.
    """
    _keeps_databases(summary)
    return Plan(
        run=request.run,
        verb="infra apply",
        environment=world.environment,
        rmu_version=request.rmu_version,
        created=world.at,
        steps=(
            EnsureSecrets(names=SECRETS),
            ApplyInfra(
                root="stack",
                variables=request.variables,
                summary=summary,
                who=request.who,
                planned=world.at,
                fence=True,
            ),
            HostsInService(),
            MakeRoles(database=request.database),
        ),
    )


def _keeps_databases(summary: PlanSummary) -> None:
    lost = [name for name in (*summary.replace, *summary.destroy) if "aws_db_instance." in name]
    if lost:
        raise Refused(f"Terraform would destroy the database {lost[0]}", next="rmu infra plan")


def database_identifier(environment: str, pointer: Pointer) -> str:
    """Name the database that Terraform is to hold: the live one, else the first."""
    return pointer.database.identifier if pointer.database else f"rmu-{environment}-db-1"
