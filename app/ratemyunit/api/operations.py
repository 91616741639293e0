"""What whoever runs the app asks it: is it alive, is it ready, which release is it, what has it counted."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from ratemyunit import health, schema
from ratemyunit.api.parts import Asked, Cache, Pool
from ratemyunit.problems import problem

router = APIRouter()

NO_STORE = {"Cache-Control": "no-store"}


class Ready(BaseModel):
    """What a process that may be sent requests says of itself: its code's schema, and the database's."""

    ready: bool
    schema_head: str
    database_head: str | None
    checks: dict[str, str]


class Version(BaseModel):
    """What a process was started as, and the schema that its code was written for."""

    version: str
    digest: str
    host: str
    database: str
    schema_head: str


@router.get("/livez")
async def livez() -> dict[str, bool]:
    """Say that the process can answer, and ask nobody else."""
    return {"live": True}


@router.get("/readyz", response_model=Ready)
def readyz(pool: Pool, redis: Cache, response: Response) -> Ready | Response:
    """Say whether it may be sent requests. If not it is a problem, with the same members beside its own."""
    seen = health.look(pool, redis)
    ready = Ready(ready=seen.ready, schema_head=schema.HEAD, database_head=seen.database_head, checks=seen.checks)
    if seen.ready:
        response.headers.update(NO_STORE)
        return ready
    missing = problem(503, "this process may not be sent requests", **ready.model_dump())
    missing.headers.update(NO_STORE)
    return missing


@router.get("/version")
async def version(settings: Asked, response: Response) -> Version:
    """Repeat what this process was started as."""
    response.headers.update(NO_STORE)
    return Version(
        version=settings.version,
        digest=settings.digest,
        host=settings.host,
        database=settings.database,
        schema_head=schema.HEAD,
    )


@router.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    """Tell Prometheus what was counted."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
