"""What whoever runs the app asks it: is it alive, is it ready, which release is it, what has it counted."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ratemyunit import health, schema
from ratemyunit.api.parts import Asked, Cache, Pool

router = APIRouter()

NO_STORE = {"Cache-Control": "no-store"}


@router.get("/livez")
async def livez() -> dict[str, bool]:
    """Say that the process can answer, and ask nobody else."""
    return {"live": True}


@router.get("/readyz")
def readyz(pool: Pool, redis: Cache) -> JSONResponse:
    """Say whether it may be sent requests, and if not, what is missing."""
    seen = health.look(pool, redis)
    body = {
        "ready": seen.ready,
        "schema_head": schema.HEAD,
        "database_head": seen.database_head,
        "checks": seen.checks,
    }
    return JSONResponse(body, status_code=200 if seen.ready else 503, headers=NO_STORE)


@router.get("/version")
async def version(settings: Asked) -> JSONResponse:
    """Repeat what this process was started as."""
    body = {
        "version": settings.version,
        "digest": settings.digest,
        "host": settings.host,
        "database": settings.database,
        "schema_head": schema.HEAD,
    }
    return JSONResponse(body, headers=NO_STORE)


@router.get("/metrics", include_in_schema=False)
def metrics() -> Response:
    """Tell Prometheus what was counted."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
